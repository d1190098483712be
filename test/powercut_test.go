package test

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// disk is a file system in an image file. Copying the image while it is mounted gives what a power cut would leave: what
// reached the device, and nothing that was only in the page cache above it.
type disk struct {
	image, mounted string
}

const diskSize = 256 << 20

// newDisk makes an empty disk. The file system commits by itself once a minute only, so that nothing but a sync makes data
// safe within the test.
func newDisk(t *testing.T) disk {
	t.Helper()
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("mounting an image takes root on Linux; in CI this test must run")
		}
		t.Skip("SKIPPED: mounting an image takes root on Linux, so nothing shows here that commits are synced to disk")
	}
	image := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, diskSize); err != nil {
		t.Fatal(err)
	}
	mustRun(t, "mkfs.ext4", "-q", "-F", image)
	return mount(t, image)
}

func mount(t *testing.T, image string) disk {
	t.Helper()
	d := disk{image: image, mounted: t.TempDir()}
	mustRun(t, "mount", "-o", "loop,commit=60", image, d.mounted)
	t.Cleanup(func() { mustRun(t, "umount", "--lazy", d.mounted) })
	return d
}

// cut returns the disk as a power cut at this moment would leave it.
func (d disk) cut(t *testing.T) disk {
	t.Helper()
	image := filepath.Join(t.TempDir(), "image")
	from, err := os.Open(d.image)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	to, err := os.Create(image)
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	if _, err := io.Copy(to, from); err != nil {
		t.Fatal(err)
	}
	return mount(t, image)
}

func mustRun(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

// Every commit that was acknowledged is on disk: the power fails under load, and all of them are there afterwards. So it is at
// once after the first start, and the directory is whole. (Without the log's sync this test fails.)
func TestPowerCut(t *testing.T) {
	first := newDisk(t)
	s := startServer(t, "--data", filepath.Join(first.mounted, "data"))
	writers := newWriters(4)
	for _, commits := range []int64{20, 400} {
		l := startLoad(t, s.url(""), writers)
		l.await(t, commits)
		s.kill()
		l.done.Wait()
		after := first.cut(t)
		s.args = append(s.args, "--data", filepath.Join(after.mounted, "data")) // the last --data counts
		s.start()
		l.verify(t, s.url(""))
		first = after
	}
	s.stop()
}
