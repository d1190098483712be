// Package blobtest has the contract of backup.Blob as tests, which every implementation passes.
package blobtest

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/millpondkv/millpond/backup"
)

// TestBlob runs the suite. open returns a new, empty Blob.
func TestBlob(t *testing.T, open func(t *testing.T) backup.Blob) {
	for name, test := range map[string]func(*testing.T, backup.Blob){
		"what was put is got, byte for byte":      testPut,
		"a name that is taken is not replaced":    testTaken,
		"of many puts of one name one is kept":    testRace,
		"what does not end well is not stored":    testBroken,
		"names are listed by their beginning":     testList,
		"what was deleted is gone":                testDelete,
		"an empty Blob lists and deletes nothing": testEmpty,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func put(t *testing.T, b backup.Blob, name string, data []byte) {
	t.Helper()
	if err := b.Put(t.Context(), name, iotest.OneByteReader(bytes.NewReader(data))); err != nil {
		t.Fatalf("Put %s: %v", name, err)
	}
}

func want(t *testing.T, b backup.Blob, name string, data []byte) {
	t.Helper()
	file, err := b.Get(t.Context(), name)
	if err != nil {
		t.Fatalf("Get %s: %v", name, err)
	}
	defer file.Close()
	if got, err := io.ReadAll(file); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%s has %d bytes, %v; want the %d that were put", name, len(got), err, len(data))
	}
}

func wantAbsent(t *testing.T, b backup.Blob, name string) {
	t.Helper()
	file, err := b.Get(t.Context(), name)
	if err == nil {
		file.Close()
	}
	if !errors.Is(err, backup.ErrNotFound) {
		t.Errorf("Get %s: %v; want ErrNotFound", name, err)
	}
}

func wantNames(t *testing.T, b backup.Blob, prefix string, names ...string) {
	t.Helper()
	got, err := b.List(t.Context(), prefix)
	slices.Sort(got)
	if err != nil || !slices.Equal(got, names) {
		t.Errorf("List %q: %q, %v; want %q", prefix, got, err, names)
	}
}

func testPut(t *testing.T, b backup.Blob) {
	large := bytes.Repeat([]byte("0123456789abcdef"), 1<<10)
	put(t, b, "d/small", []byte{0})
	put(t, b, "d/large.part", large)
	want(t, b, "d/small", []byte{0})
	want(t, b, "d/large.part", large)
}

func testTaken(t *testing.T, b backup.Blob) {
	put(t, b, "d/a", []byte("first"))
	if err := b.Put(t.Context(), "d/a", bytes.NewReader([]byte("second"))); !errors.Is(err, backup.ErrExists) {
		t.Errorf("Put of a taken name: %v; want ErrExists", err)
	}
	want(t, b, "d/a", []byte("first"))
}

func testRace(t *testing.T, b backup.Blob) {
	var group sync.WaitGroup
	kept := make(chan byte, 8)
	for i := range byte(8) {
		group.Go(func() {
			err := b.Put(t.Context(), "d/a", bytes.NewReader([]byte{i}))
			if err == nil {
				kept <- i
			} else if !errors.Is(err, backup.ErrExists) {
				t.Errorf("Put: %v; want ErrExists", err)
			}
		})
	}
	group.Wait()
	if len(kept) != 1 {
		t.Fatalf("%d of them were kept; want 1", len(kept))
	}
	want(t, b, "d/a", []byte{<-kept})
}

func testBroken(t *testing.T, b backup.Blob) {
	broken := errors.New("broken")
	if err := b.Put(t.Context(), "d/a", io.MultiReader(bytes.NewReader(make([]byte, 100_000)), iotest.ErrReader(broken))); err == nil {
		t.Error("Put of what does not end well succeeded")
	}
	wantAbsent(t, b, "d/a")
	wantNames(t, b, "")
}

func testList(t *testing.T, b backup.Blob) {
	for _, name := range []string{"d/a", "d/b.json", "dd/a", "e"} {
		put(t, b, name, []byte(name))
	}
	wantNames(t, b, "d/", "d/a", "d/b.json")
	wantNames(t, b, "", "d/a", "d/b.json", "dd/a", "e")
	wantNames(t, b, "f")
}

func testDelete(t *testing.T, b backup.Blob) {
	put(t, b, "d/a", []byte("a"))
	if err := b.Delete(t.Context(), "d/a"); err != nil {
		t.Fatal(err)
	}
	wantAbsent(t, b, "d/a")
	put(t, b, "d/a", []byte("again"))
	want(t, b, "d/a", []byte("again"))
}

func testEmpty(t *testing.T, b backup.Blob) {
	wantNames(t, b, "")
	wantAbsent(t, b, "d/a")
	if err := b.Delete(t.Context(), "d/a"); err != nil {
		t.Errorf("Delete of nothing: %v", err)
	}
}
