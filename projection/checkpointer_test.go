package projection_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
)

// restore returns a checkpointer of the directory, and what it says in the log.
func restore(t *testing.T, dir string, every int64) (*projection.Checkpointer, *strings.Builder) {
	t.Helper()
	store, err := projection.OpenStore(dir, "id")
	if err != nil {
		t.Fatal(err)
	}
	said := &strings.Builder{}
	c, err := projection.Restore(store, every, projection.Options{}, slog.New(slog.NewTextHandler(said, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Projection().Close() })
	return c, said
}

func catchUp(t *testing.T, c *projection.Checkpointer, h *history, through kv.Position) {
	t.Helper()
	if err := c.Projection().CatchUp(t.Context(), &h.log, through); err != nil {
		t.Fatal(err)
	}
}

func step(t *testing.T, c *projection.Checkpointer, dir string, wantMark kv.Position, wantFiles ...string) {
	t.Helper()
	if err := c.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
	marked(t, dir, wantMark)
	if diff := cmp.Diff(files(t, dir), wantFiles); diff != "" {
		t.Errorf("files, got (-), want (+):\n%s", diff)
	}
}

func marked(t *testing.T, dir string, want kv.Position) {
	t.Helper()
	store, err := projection.OpenStore(dir, "id")
	if err != nil {
		t.Fatal(err)
	}
	if mark, err := store.LastMark(); err != nil || mark.Applied != want {
		t.Errorf("marked at %d, %v; want %d", mark.Applied, err, want)
	}
}

// The end of the log is marked when it has moved, and a checkpoint is taken when it has grown by enough bytes since the last
// one. A replay counts as growth.
func TestCheckpointerStep(t *testing.T) {
	dir := t.TempDir()
	h := randomHistory(t, 21, 40, 20)
	size := 0
	for _, s := range h.records[:20] {
		size += s.Size
	}
	c, _ := restore(t, dir, int64(size))
	catchUp(t, c, h, 19)
	step(t, c, dir, 19, "mark")
	step(t, c, dir, 19, "mark")
	catchUp(t, c, h, 20)
	step(t, c, dir, 20, at20, "mark")
	catchUp(t, c, h, 21)
	step(t, c, dir, 21, at20, "mark")
}

// After a start behind the mark nothing is written until the projection is there: the mark is a witness of what the log had.
func TestCheckpointerKeepsMark(t *testing.T) {
	dir := t.TempDir()
	h := randomHistory(t, 22, 40, 20)
	c, _ := restore(t, dir, 1)
	catchUp(t, c, h, 10)
	step(t, c, dir, 10, "checkpoint-00000000000000000010.millpond", "mark")
	before, _ := restore(t, dir, 1<<30)
	catchUp(t, before, h, 30)
	step(t, before, dir, 30, "checkpoint-00000000000000000010.millpond", "mark")

	rare, _ := restore(t, dir, 1<<30)
	catchUp(t, rare, h, 20)
	step(t, rare, dir, 30, "checkpoint-00000000000000000010.millpond", "mark")
	c, _ = restore(t, dir, 1)
	catchUp(t, c, h, 20)
	step(t, c, dir, 30, "checkpoint-00000000000000000010.millpond", "mark")
	if err := c.Save(t.Context()); err != nil {
		t.Fatal(err)
	}
	step(t, c, dir, 30, "checkpoint-00000000000000000010.millpond", "mark")
	catchUp(t, c, h, 30)
	step(t, c, dir, 30, "checkpoint-00000000000000000010.millpond", at30, "mark")
}

// A restart goes on from the newest checkpoint that is whole, and says which it is and which it has passed over.
func TestCheckpointerRestores(t *testing.T) {
	dir, _, h := saved(t)
	c, said := restore(t, dir, 1)
	if c.Restored() != 30 || !strings.Contains(said.String(), `msg="loaded a checkpoint" position=30`) {
		t.Errorf("restored %d and said:\n%s\nwant 30", c.Restored(), said)
	}
	if err := os.Truncate(filepath.Join(dir, at30), 100); err != nil {
		t.Fatal(err)
	}
	c, said = restore(t, dir, 1)
	if c.Restored() != 20 || !strings.Contains(said.String(), "passed over") || !strings.Contains(said.String(), at30) {
		t.Errorf("restored %d and said:\n%s\nwant 20, and what is wrong with 30", c.Restored(), said)
	}
	if err := os.Remove(filepath.Join(dir, at20)); err != nil {
		t.Fatal(err)
	}
	c, said = restore(t, dir, 1)
	if c.Restored() != 0 || strings.Contains(said.String(), "loaded") {
		t.Errorf("restored %d and said:\n%s\nwant nothing to be loaded", c.Restored(), said)
	}
	catchUp(t, c, h, 40)
	if got, want := digestOf(t, c.Projection()), digestOf(t, apply(t, h.records[:40], 9)); got != want {
		t.Errorf("from the log: %v; want %v", got, want)
	}
}

// verifier is a log that ends somewhere.
type verifier struct {
	end   kv.Position
	asked []kv.Position
}

func (v *verifier) Verify(_ context.Context, c events.Chain) error {
	v.asked = append(v.asked, c.Applied)
	if c.Applied > v.end {
		return events.ErrGap
	}
	return nil
}

// The log is compared with the mark and with the checkpoint.
func TestCheckpointerVerifies(t *testing.T) {
	dir, s, h := saved(t)
	if err := s.Mark(apply(t, h.records[:35], 9).Chain()); err != nil {
		t.Fatal(err)
	}
	c, _ := restore(t, dir, 1)
	for end, want := range map[kv.Position]error{29: events.ErrGap, 34: events.ErrGap, 35: nil} {
		if err := c.Verify(t.Context(), &verifier{end: end}); !errors.Is(err, want) {
			t.Errorf("a log that ends at %d: %v; want %v", end, err, want)
		}
	}
	log := &verifier{end: 40}
	if err := c.Verify(t.Context(), log); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(log.asked, []kv.Position{35, 30}); diff != "" {
		t.Errorf("asked, got (-), want (+):\n%s", diff)
	}
}

// Run takes checkpoints by itself. Without a store nothing is done.
func TestCheckpointerRuns(t *testing.T) {
	h := randomHistory(t, 23, 40, 20)
	dir := t.TempDir()
	c, _ := restore(t, dir, 1)
	none, err := projection.Restore(nil, 1, projection.Options{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer none.Projection().Close()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		for _, c := range []*projection.Checkpointer{c, none} {
			if err := c.Projection().Apply(h.records[:20]...); err != nil {
				t.Fatal(err)
			}
			go c.Run(ctx)
		}
		time.Sleep(6 * time.Second) // of the bubble's time
		cancel()
		synctest.Wait()
		if err := errors.Join(none.Verify(t.Context(), &verifier{}), none.Save(t.Context())); err != nil {
			t.Error(err)
		}
	})
	if diff := cmp.Diff(files(t, dir), []string{at20, "mark"}); diff != "" {
		t.Errorf("files, got (-), want (+):\n%s", diff)
	}
}
