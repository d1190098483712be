//go:build linux

package faults

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// disk is a file system in an image file. Copying the image while it is mounted gives what a power cut would leave: what
// reached the device, and nothing that was only in the page cache above it.
type disk struct {
	t              testing.TB
	image, mounted string
}

// newDisk makes an empty disk and mounts it at a directory. The file system commits by itself once a minute only, so that
// nothing but a sync makes data safe within the test.
func newDisk(t testing.TB, at string, megabytes int) *disk {
	t.Helper()
	d := &disk{t: t, image: at + ".image", mounted: at}
	image, err := os.Create(d.image)
	if err == nil {
		err = image.Truncate(int64(megabytes) << 20)
		image.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	run(t, "mkfs.ext4", "-q", "-F", d.image)
	d.mount()
	t.Cleanup(d.unmount)
	return d
}

func (d *disk) mount() {
	d.t.Helper()
	run(d.t, "mount", "-o", "loop,commit=60", d.image, d.mounted)
}

func (d *disk) unmount() {
	d.t.Helper()
	run(d.t, "umount", "--lazy", d.mounted)
}

// copy copies the image as it is now.
func (d *disk) copy() {
	d.t.Helper()
	from, err := os.Open(d.image)
	if err != nil {
		d.t.Fatal(err)
	}
	defer from.Close()
	to, err := os.Create(d.image + ".copy")
	if err != nil {
		d.t.Fatal(err)
	}
	defer to.Close()
	if _, err := io.Copy(to, from); err != nil {
		d.t.Fatal(err)
	}
}

// useCopy mounts the copy in the place of the disk, which nobody may use any more.
func (d *disk) useCopy() {
	d.t.Helper()
	d.unmount()
	if err := os.Rename(d.image+".copy", d.image); err != nil {
		d.t.Fatal(err)
	}
	d.mount()
}

// fill leaves no room; clear makes room again.
func (d *disk) fill() {
	d.t.Helper()
	ballast, err := os.Create(d.ballast())
	if err != nil {
		d.t.Fatal(err)
	}
	defer ballast.Close()
	zeros := make([]byte, 64<<10)
	for size := len(zeros); size >= 512; {
		if _, err := ballast.Write(zeros[:size]); err != nil {
			size /= 2
		}
	}
}

func (d *disk) clear() {
	d.t.Helper()
	if err := os.Remove(d.ballast()); err != nil {
		d.t.Fatal(err)
	}
}

func (d *disk) ballast() string { return filepath.Join(d.mounted, "ballast") }

func run(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}
