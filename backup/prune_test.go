package backup_test

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millpondkv/millpond/backup"
)

// Prune deletes what is older than needed, and no more: a dry run says the same, and deletes nothing.
func TestPrune(t *testing.T) {
	h, blob := newHistory(t, 41), newMemory()
	a := archive(t, blob)
	follow(t, a, sourceOf(h.log), quick)
	for range 3 {
		h.reign(3)
		follow(t, a, sourceOf(h.log), quick)
		addFull(t, a, h)
	}
	since := h.moments[len(h.moments)*3/4].now
	before := slices.Collect(maps.Keys(blob.files))
	now := time.UnixMilli(int64(since)).Add(time.Hour)
	a = archive(t, blob, func(c *backup.Config) { c.Now = func() time.Time { return now } })
	would, err := a.Prune(t.Context(), time.Hour, true)
	if err != nil || len(blob.files) != len(before) {
		t.Fatalf("a dry run: %v, %d names of %d are left", err, len(blob.files), len(before))
	}
	did, err := a.Prune(t.Context(), time.Hour, false)
	if err != nil || did != would || did.Parts == 0 {
		t.Errorf("pruned %+v, %v; a dry run said %+v", did, err, would)
	}
	if got := len(blob.files); got != len(before)-2*did.Parts {
		t.Errorf("%d of %d names are left after %d parts were deleted", got, len(before), did.Parts)
	}
	mustVerify(t, a)
	wantMoments(t, a, h, since)
	if _, err := a.Plan(t.Context(), backup.Target{Versionstamp: h.moments[0].stamp}); err == nil {
		t.Error("the first commit can still be restored to")
	}
	again, err := a.Prune(t.Context(), time.Hour, false)
	if err != nil || again.Parts != 0 {
		t.Errorf("pruned again: %+v, %v", again, err)
	}
}

// A part without a manifest may be one that is being stored; after a day it is not.
func TestPruneUnfinished(t *testing.T) {
	_, blob := small(t)
	a := archive(t, blob)
	for name := range blob.files {
		if strings.Contains(name, "/log-") && strings.HasSuffix(name, ".json") {
			delete(blob.files, name)
		}
	}
	if p, err := a.Prune(t.Context(), time.Hour, false); err != nil || p.Unfinished != 0 {
		t.Errorf("pruned %+v, %v; want nothing", p, err)
	}
	tomorrow := archive(t, blob, func(c *backup.Config) { c.Now = func() time.Time { return time.Now().Add(25 * time.Hour) } })
	if p, err := tomorrow.Prune(t.Context(), time.Hour, false); err != nil || p.Unfinished != 2 || len(blob.files) != 2 {
		t.Errorf("pruned %+v, %v, %d names are left; want 2 unfinished parts gone and 2 names left", p, err, len(blob.files))
	}
	mustVerify(t, a)
}

// What is no archive's is left alone.
func TestStrangers(t *testing.T) {
	_, blob := small(t)
	for _, name := range []string{"d/README", "d/notes.part", "other/full.json"} {
		if err := blob.Put(t.Context(), name, bytes.NewReader([]byte("a note"))); err != nil {
			t.Fatal(err)
		}
	}
	mustVerify(t, archive(t, blob))
}

// A line that is not needed any more goes as a whole, whatever step of that a crash has ended.
func TestPruneOldLine(t *testing.T) {
	h, whole := newHistory(t, 42), newMemory()
	a := archive(t, whole)
	follow(t, a, sourceOf(h.log), quick)
	h.reign(2)
	follow(t, a, sourceOf(h.log), quick)
	h.now += 1000
	h.reign(2)
	if _, err := a.Create(t.Context(), sourceOf(h.log)); err != nil {
		t.Fatal(err)
	}
	since := h.now + 1000
	for step := 0; ; step++ {
		blob := newMemory()
		blob.files = mapsClone(whole.files)
		blob.crashAfter(step, step%2 == 0, func() {})
		prune(t, blob, since)
		crashed := blob.mend()
		mustVerify(t, archive(t, blob))
		if _, err := prune(t, blob, since); err != nil {
			t.Fatal(err)
		}
		left := 0
		for name := range blob.files {
			if strings.HasSuffix(name, ".json") {
				left++
			}
		}
		if left != 1 {
			t.Errorf("step %d: %d parts are left; want the full part of the second line", step, left)
		}
		if !crashed {
			return
		}
	}
}
