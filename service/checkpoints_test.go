package service

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/events/natslog"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
)

func openCheckpoints(t *testing.T, dir string) *Checkpoints {
	t.Helper()
	c, err := OpenCheckpoints(dir, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// keeping returns the databases of a reader process with checkpoints in dir; none is open yet. The process ends with stop.
func (r *rig) keeping(dir string) (s *Databases, stop func()) {
	r.t.Helper()
	checkpoints := openCheckpoints(r.t, dir)
	s, err := OpenDatabases(r.connect(), Config{
		AllowUnsafe: true, Create: true, Replicas: 1, Process: "r", Now: r.clock, NewID: randomID, Checkpoints: checkpoints,
		Logger: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry(),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return s, func() {
		r.t.Helper()
		if err := errors.Join(s.Close(), checkpoints.Close()); err != nil {
			r.t.Error(err)
		}
	}
}

// find returns an open database of the process.
func (r *rig) find(s *Databases, name string) *Database {
	r.t.Helper()
	d, err := s.find(r.t.Context(), name, true)
	if err != nil {
		r.t.Fatal(err)
	}
	return d
}

func (r *rig) log(name string) *natslog.Log {
	r.t.Helper()
	js, err := jetstream.New(r.connect())
	if err != nil {
		r.t.Fatal(err)
	}
	log, err := natslog.Open(r.t.Context(), js, name)
	if err != nil {
		r.t.Fatal(err)
	}
	return log
}

// resign appends a record that ends the epoch, which every writer may do.
func (r *rig) resign(name string, at events.Chain) {
	r.t.Helper()
	record := &events.Record{Kind: events.KindEpoch, Epoch: at.Epoch, Previous: at.Hash, Time: at.Time}
	if _, err := r.log(name).Append(r.t.Context(), events.Append{Kind: record.Kind, Data: record.Encode(), Last: at.Applied}); err != nil {
		r.t.Fatal(err)
	}
}

// filled makes two databases with some commits, and a reader's checkpoints of both in a new directory. It returns how far the
// log of "default" has come. No writer is left.
func (r *rig) filled() (dir string, end events.Chain) {
	r.t.Helper()
	dir = r.t.TempDir()
	s, stop := r.keeping(dir)
	stopWriters := r.writers()
	for _, name := range []string{"default", "other"} {
		d := r.find(s, name)
		for range 5 {
			if result, err := d.Commit(r.t.Context(), putting("k", name)); err != nil || !result.OK() {
				r.t.Fatalf("commit: %+v, %v", result, err)
			}
		}
	}
	stopWriters()
	d := r.find(s, "default")
	_, last, err := d.log.Bounds(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	if err := d.wait(r.t.Context(), last); err != nil {
		r.t.Fatal(err)
	}
	end = d.projection.Chain()
	stop()
	return dir, end
}

// pretend makes the checkpoints in dir say that the log of "default" had one record more than it has.
func (r *rig) pretend(dir string, end events.Chain) {
	r.t.Helper()
	id := r.log("default").ID()
	store, err := projection.OpenStore(filepath.Join(dir, id), id)
	if err != nil {
		r.t.Fatal(err)
	}
	end.Applied++
	if err := store.Mark(end); err != nil {
		r.t.Fatal(err)
	}
}

// poll fails the test if f does not become true soon.
func poll(t *testing.T, what string, f func() bool) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	late := time.After(20 * time.Second)
	for !f() {
		select {
		case <-ticker.C:
		case <-late:
			t.Fatalf("it did not happen in time that %s", what)
		}
	}
}

// A reader that starts again goes on from its checkpoints, and has the state that a replay of the log has.
func TestReaderStartsFromCheckpoint(t *testing.T) {
	r := newRig(t)
	dir, end := r.filled()
	s, stop := r.keeping(dir)
	defer stop()
	if err := s.OpenAll(t.Context(), "default"); err != nil {
		t.Fatal(err)
	}
	d := r.find(s, "default")
	if got := d.keeper.Restored(); got != end.Applied {
		t.Errorf("began from %d; want %d", got, end.Applied)
	}
	r.writers()
	result, err := d.Commit(t.Context(), putting("k2", "new"))
	if err != nil {
		t.Fatal(err)
	}
	at := result.Versionstamp.Position()
	hash, err := d.projection.DigestAt(t.Context(), at)
	replayed, replayedErr := r.reader().projection.DigestAt(t.Context(), at)
	if hash != replayed || err != nil || replayedErr != nil {
		t.Errorf("at %d the digest is %x, %v; that of a replay is %x, %v", at, hash[:4], err, replayed[:4], replayedErr)
	}
}

// A log that seems to be shorter than what the checkpoints have keeps its database closed, and no other. Once the log is seen
// to have it all, it is opened.
func TestReaderWaitsForLogBehindCheckpoint(t *testing.T) {
	r := newRig(t)
	dir, end := r.filled()
	r.pretend(dir, end)
	s, stop := r.keeping(dir)
	defer stop()
	opened := make(chan error, 1)
	go func() { opened <- s.OpenAll(t.Context(), "default") }()
	poll(t, "the reader says why it is not ready", func() bool {
		err := s.Ready()
		return err != nil && strings.Contains(err.Error(), `"default"`) && strings.Contains(err.Error(), "may be behind")
	})
	if diff := cmp.Diff(len(s.all()), 1); diff != "" || s.all()["other"] == nil {
		t.Errorf("open are %v; want the other database", s.all())
	}
	if _, err := s.Database(t.Context(), "default", true); !kv.SafeToRetry(err) {
		t.Errorf("the database: %v; want an error that says to try again", err)
	}
	r.resign("default", end)
	if err := <-opened; err != nil {
		t.Error(err)
	}
	if err := s.Ready(); err != nil {
		t.Error(err)
	}
}

// A log that does not come to what the checkpoint has counts as lost after a while. The error says what to do, and the log
// is asked again all the same.
func TestLostLog(t *testing.T) {
	r := newRig(t)
	dir, end := r.filled()
	r.pretend(dir, end)
	log := r.log("default")
	checkpoints := openCheckpoints(t, dir)
	loaded, err := checkpoints.restore(log, projection.Options{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer loaded.keeper.Projection().Close()
	if err := loaded.verify(t.Context(), log); !errors.Is(err, events.ErrGap) || errors.Is(err, errLost) {
		t.Errorf("at first: %v; want a gap that may close", err)
	}
	loaded.since = loaded.since.Add(-lostAfter)
	if err := loaded.verify(t.Context(), log); !errors.Is(err, errLost) || !strings.Contains(err.Error(), filepath.Join(dir, log.ID())) {
		t.Errorf("later: %v; want errLost and what to do", err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := loaded.verify(gone, log); err == nil || errors.Is(err, errLost) {
		t.Errorf("a log that cannot be asked: %v; want another error", err)
	}
	r.resign("default", end)
	if err := loaded.verify(t.Context(), log); err != nil {
		t.Error(err)
	}

	other := end
	other.Applied, other.Hash[0] = end.Applied-2, end.Hash[0]^1
	r.pretend(dir, other)
	diverged, err := checkpoints.restore(log, projection.Options{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer diverged.keeper.Projection().Close()
	if err := diverged.verify(t.Context(), log); !errors.Is(err, events.ErrDiverged) || !errors.Is(err, errLost) {
		t.Errorf("another record: %v; want errLost at once", err)
	}
}

// A writer stands by for a database only once its log has all that the checkpoint has, and for others meanwhile. It takes
// a checkpoint when it stops.
func TestWriterWaitsForLogBehindCheckpoint(t *testing.T) {
	r := newRig(t)
	dir, end := r.filled()
	r.pretend(dir, end)
	run := func() (w *Writers, stop func()) {
		checkpoints := openCheckpoints(t, dir)
		w, err := NewWriters(r.connect(), WritersConfig{
			AllowUnsafe: true, Lease: time.Second, Now: r.clock, NewID: randomID, Process: "w", Checkpoints: checkpoints,
			Logger: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry(),
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() { ended <- w.Run(ctx) }()
		return w, func() {
			cancel()
			if err := errors.Join(<-ended, checkpoints.Close()); err != nil {
				t.Error(err)
			}
		}
	}
	w, stop := run()
	poll(t, "the other database is led", func() bool { return w.leading.Load() == 1 })
	poll(t, "the writer says why it is not ready", func() bool {
		err := w.Ready()
		return err != nil && strings.Contains(err.Error(), `"default"`) && strings.Contains(err.Error(), "may be behind")
	})
	r.resign("default", end)
	poll(t, "both are led", func() bool { return w.leading.Load() == 2 && w.Ready() == nil })
	stop()
	names, err := filepath.Glob(filepath.Join(dir, r.log("default").ID(), "checkpoint-*"))
	if err != nil || len(names) != 2 {
		t.Errorf("checkpoints: %v, %v; want the reader's and the writer's", names, err)
	}
	w, stop = run()
	defer stop()
	poll(t, "both are led again", func() bool { return w.leading.Load() == 2 })
}

// Checkpoints of databases that have no log are pointed out, and no others.
func TestMissingLogs(t *testing.T) {
	dir := t.TempDir()
	c := openCheckpoints(t, dir)
	defer c.Close()
	const known, missing, empty = "9ab3d5f2-0b2e-4f4c-8d55-0b8f5f9c0001", "9ab3d5f2-0b2e-4f4c-8d55-0b8f5f9c0002", "9ab3d5f2-0b2e-4f4c-8d55-0b8f5f9c0003"
	for _, id := range []string{known, missing} {
		store, err := projection.OpenStore(filepath.Join(dir, id), id)
		if err == nil {
			err = store.Mark(events.Chain{Applied: 1})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, empty), 0o700); err != nil { // made a moment before a crash
		t.Fatal(err)
	}
	got, err := c.without(map[string]bool{known: true})
	if diff := cmp.Diff(got, []string{filepath.Join(dir, missing)}); diff != "" || err != nil {
		t.Errorf("%v, got (-), want (+):\n%s", err, diff)
	}
}

// A directory belongs to one process, and has checkpoints only.
func TestCheckpointDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	c := openCheckpoints(t, dir)
	if _, err := OpenCheckpoints(dir, 1); err == nil || !strings.Contains(err.Error(), dir+" is in use by another process") {
		t.Errorf("a second process: %v; want a refusal that names %s", err, dir)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := openCheckpoints(t, dir).Close(); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "notes.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenCheckpoints(dir, 1); err == nil || !strings.Contains(err.Error(), "notes.txt") {
		t.Errorf("a directory of something else: %v; want a refusal that says what is there", err)
	}
}
