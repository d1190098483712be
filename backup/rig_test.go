package backup_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/millpondkv/millpond/backup"
	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/internal/recovery"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kv/kvtest"
	"github.com/millpondkv/millpond/projection"
	"github.com/millpondkv/millpond/writer"
	"github.com/oklog/ulid/v2"
)

const databaseID = "b0000000-0000-4000-8000-000000000001"

// source is a database of which there is only a log; while that is trimmed, its state comes from checkpoints.
type source struct {
	*log
	whole *log // the same log, not trimmed
}

func sourceOf(l *log) *source { return &source{l, l} }

func (s *source) ID() string { return databaseID }

func (s *source) WriteCheckpoint(ctx context.Context, w io.Writer) (events.Chain, error) {
	p := projection.New(projection.Options{})
	defer p.Close()
	_, end, err := s.Bounds(ctx)
	if err == nil {
		err = p.CatchUp(ctx, s.whole, end)
	}
	if err != nil {
		return events.Chain{}, err
	}
	return p.WriteCheckpoint(ctx, w, s.ID())
}

// history is a database that a sequencer has written to, and what the model says about it.
type history struct {
	t       *testing.T
	random  *mathrand.Rand
	log     *log
	now     kv.Millis
	model   *kvtest.Model
	moments []moment // one for each commit
}

// moment is what the model has just after a commit.
type moment struct {
	stamp   kv.Versionstamp
	now     kv.Millis
	entries []kv.Entry
}

func newHistory(t *testing.T, seed uint64) *history {
	return &history{t: t, random: mathrand.New(mathrand.NewPCG(seed, 0)), log: newLog(1), now: 1_767_225_600_000, model: kvtest.New()}
}

func newID() ulid.ULID { return ulid.MustNew(ulid.Now(), rand.Reader) }

// reign has a sequencer commit so many groups of random atomics, and resign. Then there is a message or two that do not count.
func (h *history) reign(groups int) {
	h.t.Helper()
	p := projection.New(projection.Options{})
	defer p.Close()
	_, end, _ := h.log.Bounds(h.t.Context())
	if err := p.CatchUp(h.t.Context(), h.log, end); err != nil {
		h.t.Fatal(err)
	}
	now := h.now
	var mu sync.Mutex
	w := writer.New(writer.Config{Log: h.log, Projection: p, NewID: newID, Logger: slog.New(slog.DiscardHandler), Exclusive: true, Now: func() kv.Millis {
		mu.Lock()
		defer mu.Unlock()
		return now
	}})
	ended := make(chan error, 1)
	go func() { ended <- w.Run(h.t.Context()) }()
	for range groups {
		mu.Lock()
		h.now += kv.Millis(h.random.IntN(30))
		now = h.now
		mu.Unlock()
		h.group(w)
	}
	w.Close()
	if err := <-ended; err != nil {
		h.t.Fatal(err)
	}
	h.log.inject(events.Message{Data: []byte("nobody's"), Foreign: true})
	if messages := h.log.all(); h.random.IntN(2) == 0 {
		h.log.inject(messages[h.random.IntN(len(messages)-2)]) // of an epoch that has ended
	}
}

// group commits some atomics at once, which may become one record, and lets the model follow.
func (h *history) group(w *writer.Sequencer) {
	type decided struct {
		atomic *kv.Atomic
		result kv.CommitResult
	}
	var mu sync.Mutex
	var group sync.WaitGroup
	var committed []decided
	for range 1 + h.random.IntN(4) {
		a := kvtest.RandomAtomic(h.random, h.model, h.now)
		group.Go(func() {
			result, err := w.Commit(h.t.Context(), writer.Request{ID: newID(), Atomic: a})
			if err != nil && !errors.Is(err, kv.ErrInvalid) {
				h.t.Error(err)
			}
			if err == nil && result.OK() {
				mu.Lock()
				defer mu.Unlock()
				committed = append(committed, decided{a, result})
			}
		})
	}
	group.Wait()
	slices.SortFunc(committed, func(a, b decided) int {
		return slices.Compare(a.result.Versionstamp[:], b.result.Versionstamp[:])
	})
	for _, d := range committed {
		result, err := h.model.Commit(d.atomic, h.now, d.result.Versionstamp)
		if err != nil || !result.OK() {
			h.t.Fatalf("the model does not commit %+v: %+v, %v", d.atomic, result, err)
		}
		h.moments = append(h.moments, moment{d.result.Versionstamp, h.now, h.model.Entries(h.now)})
	}
}

// replayed returns the digest of the log's records up to a position.
func (h *history) replayed(at kv.Position) string {
	h.t.Helper()
	p := projection.New(projection.Options{})
	defer p.Close()
	for _, m := range h.log.all()[:at] {
		s, err := events.Open(m)
		if err := cmp.Or(err, p.Apply(s)); err != nil {
			h.t.Fatal(err)
		}
	}
	return digest(h.t, p)
}

type checkpointer interface {
	WriteCheckpoint(ctx context.Context, w io.Writer, database string) (events.Chain, error)
}

func digest(t *testing.T, p checkpointer) string {
	t.Helper()
	var sum digester
	if _, err := p.WriteCheckpoint(t.Context(), &sum, "digest"); err != nil {
		t.Fatal(err)
	}
	return string(sum)
}

type digester []byte

func (d *digester) Write(b []byte) (int, error) { *d = append(*d, b...); return len(b), nil }

// archive returns the archive in a Blob.
func archive(t *testing.T, blob backup.Blob, change ...func(*backup.Config)) *backup.Archive {
	c := backup.Config{
		Blob: blob, Database: "d", ReadState: recovery.ReadState, Now: time.Now, NewID: recovery.NewID(),
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	for _, f := range change {
		f(&c)
	}
	return backup.Open(c)
}

// quick is a RunConfig that stores every message at once, merges often, and adds full parts all the time.
var quick = backup.RunConfig{Every: time.Millisecond, Bytes: 1, Merge: 4000, FullEvery: 5 * time.Millisecond, Retry: time.Millisecond}

// follow runs the archive until it has all of the log.
func follow(t *testing.T, a *backup.Archive, s backup.Source, c backup.RunConfig) {
	t.Helper()
	_, end, err := s.Bounds(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	reached := false
	c.Archived = func(at kv.Position) {
		if at >= end {
			reached = true
			cancel()
		}
	}
	if err := a.Run(ctx, s, c); err != nil {
		t.Fatal(err)
	}
	if !reached {
		t.Fatalf("the archive did not come to position %d", end)
	}
}

// restored returns the state that an archive has at a target. The test closes it.
func restored(t *testing.T, a *backup.Archive, target backup.Target) (backup.State, error) {
	t.Helper()
	plan, err := a.Plan(t.Context(), target)
	if err != nil {
		return nil, err
	}
	return a.Replay(t.Context(), plan)
}

func mustVerify(t *testing.T, a *backup.Archive) {
	t.Helper()
	if _, err := a.Verify(t.Context()); err != nil {
		t.Errorf("Verify: %v", err)
	}
}

func sealed(t *testing.T, messages []events.Message) (list []events.Sealed) {
	t.Helper()
	for _, m := range messages {
		s, err := events.Open(m)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, s)
	}
	return list
}
