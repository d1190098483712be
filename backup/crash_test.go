package backup_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/millpondkv/millpond/backup"
	"github.com/millpondkv/millpond/kv"
)

// Whatever step of a backup a crash ends, done or not done, the archive is whole then, and the next run goes on: it ends with
// the state of the log, and every commit in between can be restored to.
func TestCrashOfRunAtEveryStep(t *testing.T) {
	h := newHistory(t, 11)
	h.reign(8)
	_, end, _ := h.log.Bounds(t.Context())
	want := h.replayed(end)
	config := backup.RunConfig{Every: time.Hour, Bytes: 1, Merge: 1500, Retry: time.Millisecond}
	crashes := 0
	for _, keep := range []bool{false, true} {
		for step := 0; ; step++ {
			blob := newMemory()
			ctx, cancel := context.WithCancel(t.Context())
			blob.crashAfter(step, keep, cancel)
			c := config
			c.Archived = func(at kv.Position) {
				if at >= end {
					cancel()
				}
			}
			empty := &source{h.log.clone(0), h.log} // begins with the state before the first record
			a := archive(t, blob)
			if _, err := a.Create(ctx, empty); err == nil {
				err = a.Run(ctx, sourceOf(h.log), c)
				if err != nil && !errors.Is(err, errCrash) {
					t.Fatal(err)
				}
			}
			cancel()
			if !blob.mend() {
				break
			}
			crashes++
			a = archive(t, blob)
			if catalog, err := a.Catalog(t.Context()); err != nil {
				t.Fatalf("step %d: %v", step, err)
			} else if len(catalog.Lines) > 0 {
				mustVerify(t, a)
			}
			follow(t, a, sourceOf(h.log), config)
			mustVerify(t, a)
			state, err := restored(t, a, backup.Target{})
			if err != nil || digest(t, state) != want {
				t.Fatalf("step %d, keep %v: %v, or not the state of the log", step, keep, err)
			}
			state.Close()
		}
	}
	if crashes < 50 {
		t.Errorf("%d steps; want more", crashes)
	}
}

// A crash of Prune at any step leaves an archive that is whole, and the moments that were to stay.
func TestCrashOfPruneAtEveryStep(t *testing.T) {
	h := newHistory(t, 12)
	whole := newMemory()
	follow(t, archive(t, whole), sourceOf(h.log), quick)
	for range 3 {
		h.reign(2)
		a := archive(t, whole)
		follow(t, a, sourceOf(h.log), quick)
		addFull(t, a, h)
	}
	since := h.moments[len(h.moments)*3/4]
	for step := 0; ; step++ {
		blob := newMemory()
		blob.files = mapsClone(whole.files)
		blob.crashAfter(step, step%2 == 0, func() {})
		_, err := prune(t, blob, since.now)
		crashed := blob.mend()
		if crashed != (err != nil) {
			t.Fatalf("step %d: %v", step, err)
		}
		a := archive(t, blob)
		mustVerify(t, a)
		wantMoments(t, a, h, since.now)
		if !crashed {
			if step < 6 {
				t.Errorf("%d steps; want more", step)
			}
			return
		}
		if _, err := prune(t, blob, since.now); err != nil {
			t.Fatal(err)
		}
		mustVerify(t, a)
		wantMoments(t, a, h, since.now)
	}
}

func mapsClone(files map[string][]byte) map[string][]byte {
	clone := map[string][]byte{}
	for name, data := range files {
		clone[name] = slices.Clone(data)
	}
	return clone
}

// addFull adds a full part to the last line, as Run does when one is due.
func addFull(t *testing.T, a *backup.Archive, h *history) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	before := countFulls(t, a)
	ended := make(chan error, 1)
	c := quick
	c.FullEvery = time.Nanosecond
	go func() { ended <- a.Run(ctx, sourceOf(h.log), c) }()
	for countFulls(t, a) == before {
		if err := ctx.Err(); err != nil {
			t.Fatal("no full part was added")
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

func countFulls(t *testing.T, a *backup.Archive) (n int) {
	t.Helper()
	catalog, err := a.Catalog(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range catalog.Lines {
		n += len(l.Fulls)
	}
	return n
}

// prune keeps what is needed since a moment of the history.
func prune(t *testing.T, blob backup.Blob, since kv.Millis) (backup.Pruned, error) {
	now := time.UnixMilli(int64(since)).Add(time.Hour)
	a := archive(t, blob, func(c *backup.Config) { c.Now = func() time.Time { return now } })
	return a.Prune(t.Context(), time.Hour, false)
}

// wantMoments expects that every commit since a moment can be restored to.
func wantMoments(t *testing.T, a *backup.Archive, h *history, since kv.Millis) {
	t.Helper()
	for _, m := range h.moments {
		if m.now < since {
			continue
		}
		state, err := restored(t, a, backup.Target{Versionstamp: m.stamp})
		if err != nil {
			t.Errorf("restore to %s at %d: %v", m.stamp, m.now, err)
			continue
		}
		if got := entries(t, state, m.now); len(got) != len(m.entries) || fmt.Sprint(got) != fmt.Sprint(m.entries) {
			t.Errorf("at %s: got %v; want %v", m.stamp, got, m.entries)
		}
		state.Close()
	}
}
