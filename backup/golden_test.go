package backup_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/millpondkv/millpond/backup"
	"github.com/millpondkv/millpond/kv"
)

var writeGolden = flag.Bool("golden", false, "write testdata/archive-1, which must not be there: what a version has once written stays as it is")

// An archive that format 1 has written can be verified and restored for ever.
func TestGolden(t *testing.T) {
	dir := filepath.Join("testdata", "archive-1")
	if *writeGolden {
		_, blob := small(t)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, data := range blob.files {
			path := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	a := archive(t, backup.NewDirectory(dir))
	v, err := a.Verify(t.Context())
	if err != nil || v.Fulls != 1 || v.Segments != 2 {
		t.Errorf("Verify: %+v, %v; want a full part and two segments", v, err)
	}
	state, err := restored(t, a, backup.Target{})
	if err != nil {
		t.Fatal(err)
	}
	defer state.Close()
	if got, want := state.Chain().Applied, kv.Position(goldenEnd); got != want {
		t.Errorf("restored to position %d; want %d", got, want)
	}
	if got := len(entries(t, state, 0)); got != goldenEntries {
		t.Errorf("%d entries; want %d", got, goldenEntries)
	}
}

// What testdata/archive-1 has.
const (
	goldenEnd     = 13
	goldenEntries = 9
)
