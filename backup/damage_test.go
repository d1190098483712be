package backup_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/millpondkv/millpond/backup"
	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
)

// small is an archive of one full part and two segments, all of which a restore needs.
func small(t *testing.T, change ...func(*backup.Config)) (*history, *memory) {
	h, blob := newHistory(t, 21), newMemory()
	a := archive(t, blob, change...)
	config := backup.RunConfig{Every: time.Millisecond, Bytes: 1 << 20, Merge: 1 << 20, Retry: time.Millisecond}
	follow(t, a, sourceOf(h.log), config)
	for range 2 {
		h.reign(1)
		follow(t, a, sourceOf(h.log), config)
	}
	return h, blob
}

// latest restores to the end and closes the state.
func latest(t *testing.T, a *backup.Archive) error {
	t.Helper()
	state, err := restored(t, a, backup.Target{})
	if err == nil {
		state.Close()
	}
	return err
}

// Whatever byte of an archive is another one, or is missing at the end: Verify notices, and nothing is restored.
func TestEveryByteCounts(t *testing.T) {
	_, blob := small(t)
	a := archive(t, blob)
	mustVerify(t, a)
	bytes := 0
	for name, data := range blob.files {
		for i := range data {
			bytes++
			damaged := append([]byte(nil), data...)
			damaged[i] ^= 1 << (i % 8)
			if i%7 == 0 {
				damaged = damaged[:i]
			}
			blob.files[name] = damaged
			if _, err := a.Verify(t.Context()); err == nil {
				t.Errorf("byte %d of %s: Verify says that all is well", i, name)
			}
			if err := latest(t, a); err == nil {
				t.Errorf("byte %d of %s: it was restored", i, name)
			}
		}
		blob.files[name] = data
	}
	mustVerify(t, a)
	if bytes < 2000 {
		t.Errorf("the archive has %d bytes only", bytes)
	}
}

// A part that is missing, in the middle or with its manifest, is noticed.
func TestMissingParts(t *testing.T) {
	_, blob := small(t)
	whole := mapsClone(blob.files)
	a := archive(t, blob)
	catalog, err := a.Catalog(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name := range whole {
		if strings.HasSuffix(name, ".json") {
			continue
		}
		blob.files = mapsClone(whole)
		delete(blob.files, name)
		if _, err := a.Verify(t.Context()); !errors.Is(err, backup.ErrDamaged) {
			t.Errorf("without %s: Verify: %v", name, err)
		}
		if err := latest(t, a); !errors.Is(err, backup.ErrDamaged) {
			t.Errorf("without %s: restored: %v", name, err)
		}
	}
	blob.files = mapsClone(whole)
	for name := range whole {
		if strings.Contains(name, catalog.Lines[0].Segments[0].ID.String()) {
			delete(blob.files, name)
		}
	}
	if _, err := a.Verify(t.Context()); !errors.Is(err, backup.ErrDamaged) {
		t.Errorf("without the first segment and its manifest: Verify: %v", err)
	}
}

// A segment of another history, whose own sums are right, does not become part of what is restored.
func TestSwappedSegments(t *testing.T) {
	h, blob := small(t)
	other := newHistory(t, 99)
	otherBlob := newMemory()
	a, b := archive(t, blob), archive(t, otherBlob)
	follow(t, b, sourceOf(other.log), quick)
	other.reign(6)
	follow(t, b, sourceOf(other.log), quick)
	stranger, err := b.Catalog(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	own, err := a.Catalog(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if own.Lines[0].Start().Hash == stranger.Lines[0].End().Hash {
		t.Fatal("the histories are the same")
	}
	plan, err := a.Plan(t.Context(), backup.Target{})
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range otherBlob.files {
		blob.files[name] = data
	}
	plan.Segments = append(plan.Segments[:1:1], stranger.Lines[0].Segments...)
	state, err := a.Replay(t.Context(), plan)
	if err == nil {
		state.Close()
	}
	if !errors.Is(err, events.ErrDiverged) && !errors.Is(err, events.ErrGap) {
		t.Errorf("replayed records of two histories, %d positions of one: %v", h.log.last(), err)
	}
}

// An encrypted archive is restored with its identity only; without one the checksums can be verified.
func TestEncrypted(t *testing.T) {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	_, blob := small(t, func(c *backup.Config) { c.Recipients = []age.Recipient{identity.Recipient()} })
	with := func(identities ...age.Identity) *backup.Archive {
		return archive(t, blob, func(c *backup.Config) { c.Identities = identities })
	}
	if err := latest(t, with(identity)); err != nil {
		t.Errorf("with the identity: %v", err)
	}
	mustVerify(t, with(identity))
	if err := latest(t, with()); err == nil || !strings.Contains(err.Error(), "encrypted") {
		t.Errorf("without an identity: %v", err)
	}
	if err := latest(t, with(stranger)); err == nil || errors.Is(err, backup.ErrDamaged) {
		t.Errorf("with another identity: %v; want an error, and no damage", err)
	}
	v, err := with().Verify(t.Context())
	if err != nil || v.Sealed != 3 {
		t.Errorf("Verify without an identity: %+v, %v; want 3 sealed parts", v, err)
	}
	for name := range blob.files {
		if strings.HasSuffix(name, ".part") {
			blob.files[name][30] ^= 1
			break
		}
	}
	if _, err := with().Verify(t.Context()); !errors.Is(err, backup.ErrDamaged) {
		t.Errorf("Verify of a damaged part without an identity: %v", err)
	}
}

// lines returns how many lines an archive has.
func lines(t *testing.T, a *backup.Archive) int {
	t.Helper()
	catalog, err := a.Catalog(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return len(catalog.Lines)
}

// If the log was trimmed beyond the end of the archive, a full part begins a new line. What lies between the two cannot be
// restored to, and the archive says so.
func TestGapIsHealed(t *testing.T) {
	h, a := newHistory(t, 31), archive(t, newMemory())
	follow(t, a, sourceOf(h.log), quick)
	h.reign(4)
	follow(t, a, sourceOf(h.log), quick)
	before := h.moments[len(h.moments)-1]
	h.now += 1000
	h.reign(4)
	lost := h.moments[len(h.moments)-1]
	h.now += 1000
	h.reign(2)
	whole := h.log.clone(h.log.last())
	trimmed := h.log.clone(h.log.last())
	trimmed.trim(h.log.last() - 1)
	follow(t, a, &source{trimmed, whole}, quick)
	if got := lines(t, a); got != 2 {
		t.Errorf("%d lines; want 2", got)
	}
	mustVerify(t, a)
	state, err := restored(t, a, backup.Target{})
	if err != nil || digest(t, state) != h.replayed(whole.last()) {
		t.Fatalf("restored: %v, or not the state of the log", err)
	}
	state.Close()
	wantMoments(t, a, &history{moments: []moment{before}}, 0)
	for _, target := range []backup.Target{{Versionstamp: lost.stamp}, {Time: lost.now}} {
		if _, err := a.Plan(t.Context(), target); !errors.Is(err, backup.ErrIncomplete) {
			t.Errorf("Plan to %v, which lies in the gap: %v", target, err)
		}
	}
}

// If the log is another one than was archived, as after a copy of its server's disk was put back, a full part begins a new line:
// both histories can be restored.
func TestOtherHistory(t *testing.T) {
	h, a := newHistory(t, 32), archive(t, newMemory())
	follow(t, a, sourceOf(h.log), quick)
	h.reign(3)
	fork := h.log.last()
	h.now += 1000
	h.reign(4)
	follow(t, a, sourceOf(h.log), quick)
	abandoned := h.moments[len(h.moments)-1]

	other := newHistory(t, 33)
	other.log, other.now = h.log.clone(fork), abandoned.now+1000
	for range 4 {
		other.reign(0)
	}
	follow(t, a, sourceOf(other.log), quick)
	if got := lines(t, a); got != 2 {
		t.Errorf("%d lines; want 2", got)
	}
	mustVerify(t, a)
	state, err := restored(t, a, backup.Target{})
	if err != nil || digest(t, state) != other.replayed(other.log.last()) {
		t.Fatalf("restored: %v, or not the state of the new history", err)
	}
	state.Close()
	plan, err := a.Plan(t.Context(), backup.Target{Time: abandoned.now - 1})
	if err != nil || plan.Line.End().Hash == placeOfLast(t, a).Hash {
		t.Errorf("a time of the abandoned history: %v, or not its line", err)
	}
}

// placeOfLast returns the end of the line that was written to last.
func placeOfLast(t *testing.T, a *backup.Archive) backup.Place {
	t.Helper()
	catalog, err := a.Catalog(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return catalog.Lines[0].End()
}

// A log that ends before the archive does is another one, too; a server that lags behind is waited for.
func TestLogBehindTheArchive(t *testing.T) {
	h, a := newHistory(t, 34), archive(t, newMemory())
	h.reign(5)
	follow(t, a, sourceOf(h.log), quick)
	lagging := h.log.clone(h.log.last() - 3)
	missing := h.log.all()[lagging.last():]
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := quick
	c.FullEvery = 0
	c.Archived = func(kv.Position) { cancel() }
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx, sourceOf(lagging), c) }()
	for _, m := range missing {
		lagging.inject(m)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if got := lines(t, a); got != 1 {
		t.Errorf("%d lines; want 1", got)
	}
}
