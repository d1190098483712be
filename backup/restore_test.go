package backup_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/millpondkv/millpond/backup"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
	"pgregory.net/rapid"
)

// archived is a random history, of several reigns, in an archive that was stopped and begun again.
func archived(t *testing.T, seed uint64, reigns, groups int) (*history, *backup.Archive) {
	h := newHistory(t, seed)
	a := archive(t, newMemory())
	if seed%4 != 0 {
		follow(t, a, sourceOf(h.log), quick) // from the very beginning
	}
	for range reigns {
		h.reign(groups)
		follow(t, a, sourceOf(h.log), quick)
	}
	return h, a
}

// entries reads all that a state has at a time.
func entries(t *testing.T, s backup.State, now kv.Millis) []kv.Entry {
	t.Helper()
	var file bytes.Buffer
	if _, err := s.WriteCheckpoint(t.Context(), &file, "id"); err != nil {
		t.Fatal(err)
	}
	p, _, err := projection.ReadCheckpoint(&file, projection.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	snapshot, err := p.Read([]kv.Range{{Start: "", End: "\xff", Limit: 1 << 20}}, now)
	if err != nil {
		t.Fatal(err)
	}
	return snapshot.Entries[0]
}

// Restoring to any commit gives what the model had just after it; to any position and log time, what replaying the log to
// there gives, byte for byte.
func TestRestoreToEveryMoment(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		seed := rapid.Uint64().Draw(r, "seed")
		h, a := archived(t, seed, rapid.IntRange(1, 3).Draw(r, "reigns"), rapid.IntRange(1, 10).Draw(r, "groups"))
		for _, m := range h.moments {
			state, err := restored(t, a, backup.Target{Versionstamp: m.stamp})
			if err != nil {
				if first, _ := a.Catalog(t.Context()); m.stamp.Position() <= first.Lines[0].Start().Applied && errors.Is(err, backup.ErrIncomplete) {
					continue // from before the archive was begun
				}
				r.Fatalf("restore to %s: %v", m.stamp, err)
			}
			if diff := gocmp.Diff(m.entries, entries(t, state, m.now)); diff != "" {
				r.Errorf("at %s the model has (-), the restored state (+):\n%s", m.stamp, diff)
			}
			state.Close()
		}
		if t.Failed() {
			r.Fatalf("seed %d", seed)
		}
	})
}

// Of every log time the restored state is that of the last record that is not later.
func TestRestoreToEveryTime(t *testing.T) {
	h, a := archived(t, 7, 3, 6)
	p := projection.New(projection.Options{})
	defer p.Close()
	times := map[kv.Millis]kv.Position{}
	chain := p.Chain()
	for _, s := range sealed(t, h.log.all()) {
		if _, err := chain.Accept(s); err != nil {
			t.Fatal(err)
		}
		times[chain.Time] = chain.Applied
	}
	catalog, err := a.Catalog(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	first := catalog.Lines[len(catalog.Lines)-1].Start()
	for at, position := range times {
		state, err := restored(t, a, backup.Target{Time: at})
		if at < first.Time {
			if !errors.Is(err, backup.ErrIncomplete) {
				t.Errorf("restore to %d, before the archive begins: %v", at, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("restore to %d: %v", at, err)
			continue
		}
		if got := state.Chain().Applied; got != position || digest(t, state) != h.replayed(position) {
			t.Errorf("restored to %d: position %d, or a state that is not that of position %d", at, got, position)
		}
		state.Close()
	}
}

// The latest state is that of the whole log, and the archive verifies, however its segments were merged.
func TestRestoreLatest(t *testing.T) {
	for seed := range uint64(5) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			h, a := archived(t, seed, 3, 8)
			mustVerify(t, a)
			state, err := restored(t, a, backup.Target{})
			if err != nil {
				t.Fatal(err)
			}
			defer state.Close()
			if _, end, _ := h.log.Bounds(t.Context()); digest(t, state) != h.replayed(end) {
				t.Error("the restored state is not that of the log")
			}
		})
	}
}

// A versionstamp that names no commit is not restored to.
func TestRestoreToNoCommit(t *testing.T) {
	h, a := archived(t, 3, 2, 4)
	_, end, _ := h.log.Bounds(t.Context())
	last := h.moments[len(h.moments)-1].stamp
	for _, stamp := range []kv.Versionstamp{kv.NewVersionstamp(end+1, 0), kv.NewVersionstamp(last.Position(), last.Index()+1), kv.NewVersionstamp(end, 0)} {
		state, err := restored(t, a, backup.Target{Versionstamp: stamp})
		if err == nil {
			state.Close()
		}
		if !errors.Is(err, backup.ErrIncomplete) {
			t.Errorf("restore to %s: %v; want ErrIncomplete", stamp, err)
		}
	}
}

// The log of a restored database begins behind the archived one, and behind all that another restore from the same archive, some
// seconds ago, can have written since; and far ahead even if the clock has gone back to the beginning of time.
func TestFirstPosition(t *testing.T) {
	_, blob := small(t)
	first := func(now time.Time) kv.Position {
		a := archive(t, blob, func(c *backup.Config) { c.Now = func() time.Time { return now } })
		r, err := a.Restore(t.Context(), backup.Target{}, "d", nil)
		if err != nil {
			t.Fatal(err)
		}
		if r.First <= r.Position {
			t.Errorf("at %v a log that ended at %d goes on at %d", now, r.Position, r.First)
		}
		return r.First
	}
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	if earlier, later := first(now), first(now.Add(10*time.Second)); later < earlier+10_000_000 {
		t.Errorf("ten seconds after a restore whose log began at %d, another one begins at %d", earlier, later)
	}
	if got := first(time.Unix(0, 0)); got < 1<<32 {
		t.Errorf("with a clock that stands at 1970 the log begins at %d", got)
	}
}

// What has expired since the restored moment is counted as left out.
func TestExpiredSince(t *testing.T) {
	h, blob := newHistory(t, 51), newMemory()
	a := archive(t, blob)
	h.reign(10)
	follow(t, a, sourceOf(h.log), quick)
	state, err := restored(t, a, backup.Target{})
	if err != nil {
		t.Fatal(err)
	}
	defer state.Close()
	last := state.Chain().Time
	for _, now := range []kv.Millis{last, last + 20, last + 1_000_000} {
		live, expired := state.Count(now)
		if want := len(entries(t, state, now)); live != want || live+expired != len(entries(t, state, last)) {
			t.Errorf("%d ms later: %d live and %d expired; want %d live of %d", now-last, live, expired, want, len(entries(t, state, last)))
		}
	}
}
