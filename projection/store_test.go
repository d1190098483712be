package projection_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
)

// saved is a store with checkpoints of a history at positions 10, 20 and 30.
func saved(t *testing.T) (dir string, s *projection.Store, h *history) {
	dir = filepath.Join(t.TempDir(), "checkpoints", "id")
	h = randomHistory(t, 5, 40, 20)
	s, err := projection.OpenStore(dir, "id")
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int{10, 20, 30} {
		chain, err := s.Save(t.Context(), apply(t, h.records[:at], 7))
		if err != nil || chain.Applied != kv.Position(at) {
			t.Fatalf("Save: at %d, %v; want %d", chain.Applied, err, at)
		}
	}
	return dir, s, h
}

func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list {
		names = append(names, f.Name())
	}
	return names
}

const (
	at20 = "checkpoint-00000000000000000020.millpond"
	at30 = "checkpoint-00000000000000000030.millpond"
)

// The last two checkpoints are kept, and the newest is loaded.
func TestStore(t *testing.T) {
	dir, s, h := saved(t)
	if diff := cmp.Diff(files(t, dir), []string{at20, at30, "mark"}); diff != "" {
		t.Errorf("files, got (-), want (+):\n%s", diff)
	}
	p, skipped, err := s.Load(projection.Options{})
	if err != nil || skipped != nil {
		t.Fatalf("Load: skipped %v, %v", skipped, err)
	}
	defer p.Close()
	if got, want := digestOf(t, p), digestOf(t, apply(t, h.records[:30], 7)); got != want {
		t.Errorf("got %v; want %v", got, want)
	}
}

// A checkpoint that cannot be used is passed over for the one before. Without any the projection is empty.
func TestStorePassesOver(t *testing.T) {
	overwrite := func(t *testing.T, dir, file string, change func([]byte) []byte) {
		name := filepath.Join(dir, file)
		data, err := os.ReadFile(name)
		if err == nil {
			err = os.WriteFile(name, change(data), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	flip := func(b []byte) []byte { b[len(b)/2] ^= 1; return b }
	cut := func(b []byte) []byte { return b[:len(b)-1] }
	whole := func(b []byte) []byte { return b }
	for name, test := range map[string]struct {
		change30, change20 func([]byte) []byte
		database           string
		want               kv.Position
	}{
		"damaged":             {flip, whole, "id", 20},
		"cut off":             {cut, whole, "id", 20},
		"both damaged":        {flip, cut, "id", 0},
		"of another database": {whole, whole, "other", 0},
	} {
		t.Run(name, func(t *testing.T) {
			dir, _, _ := saved(t)
			overwrite(t, dir, at30, test.change30)
			overwrite(t, dir, at20, test.change20)
			s, err := projection.OpenStore(dir, test.database)
			if err != nil {
				t.Fatal(err)
			}
			p, skipped, err := s.Load(projection.Options{})
			if err != nil || !errors.Is(skipped, projection.ErrCheckpoint) {
				t.Fatalf("Load: skipped %v, %v; want ErrCheckpoint and nil", skipped, err)
			}
			defer p.Close()
			if got := p.Chain().Applied; got != test.want {
				t.Errorf("loaded at %d; want %d", got, test.want)
			}
			if diff := cmp.Diff(files(t, dir), []string{at20, at30, "mark"}); diff != "" {
				t.Errorf("files, got (-), want (+):\n%s", diff)
			}
		})
	}
}

// A crash while a checkpoint is written leaves a file that the next start clears; one after the rename leaves a file too
// many, which the next Save prunes.
func TestStoreAfterCrash(t *testing.T) {
	dir, _, h := saved(t)
	for _, name := range []string{"checkpoint-123.millpond.tmp", "checkpoint-00000000000000000005.millpond"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("millpond"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := projection.OpenStore(dir, "id")
	if err != nil {
		t.Fatal(err)
	}
	p, skipped, err := s.Load(projection.Options{})
	if err != nil || skipped != nil || p.Chain().Applied != 30 {
		t.Fatalf("Load: at %d, skipped %v, %v; want 30", p.Chain().Applied, skipped, err)
	}
	defer p.Close()
	if err := p.CatchUp(t.Context(), &h.log, 40); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Save(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(files(t, dir), []string{at30, "checkpoint-00000000000000000040.millpond", "mark"}); diff != "" {
		t.Errorf("files, got (-), want (+):\n%s", diff)
	}
}

// A checkpoint that cannot be written leaves nothing, and those that were there.
func TestStoreSaveFails(t *testing.T) {
	dir, s, h := saved(t)
	p := apply(t, h.records[:40], 7)
	full := filepath.Join(dir, "checkpoint-00000000000000000040.millpond", "in the way")
	if err := os.MkdirAll(full, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Save(t.Context(), p); err == nil {
		t.Error("Save succeeded; want an error")
	}
	if err := os.RemoveAll(filepath.Dir(full)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(files(t, dir), []string{at20, at30, "mark"}); diff != "" {
		t.Errorf("files, got (-), want (+):\n%s", diff)
	}
}
