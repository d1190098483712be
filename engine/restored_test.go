package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/millpondkv/millpond/backup"
	"github.com/millpondkv/millpond/engine"
	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/internal/recovery"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kv/v8"
)

func mustStop(t *testing.T, dir string, create bool) *engine.Stopped {
	t.Helper()
	s, err := engine.OpenStopped(dir, create, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// archived backs up the database "d" of a data directory.
func archived(t *testing.T, dir string) *backup.Archive {
	t.Helper()
	a := backup.Open(backup.Config{Blob: backup.NewDirectory(t.TempDir()), Database: "d", ReadState: recovery.ReadState, Now: time.Now, NewID: recovery.NewID()})
	archiveAgain(t, a, dir)
	return a
}

func archiveAgain(t *testing.T, a *backup.Archive, dir string) {
	t.Helper()
	s := mustStop(t, dir, false)
	source, err := recovery.Stopped(t.Context(), s, "d")
	if err != nil {
		t.Fatal(err)
	}
	_, end, err := source.Bounds(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err = a.Run(ctx, source, backup.RunConfig{Every: time.Millisecond, Bytes: 1, Merge: 1 << 20, Retry: time.Second, Archived: func(at kv.Position) {
		if at >= end {
			cancel()
		}
	}})
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
}

// restoreTo restores into a data directory.
func restoreTo(t *testing.T, a *backup.Archive, target backup.Target, dir string) error {
	t.Helper()
	s := mustStop(t, dir, true)
	_, err := a.Restore(t.Context(), target, "d", s)
	return errors.Join(err, s.Close())
}

func stampOf(t *testing.T, db *engine.Database, key string) kv.Versionstamp {
	t.Helper()
	k := kv.Key{key}.MustEncode()
	found, err := db.Read(t.Context(), []kv.Range{{Start: k, End: k + "\x00", Limit: 1}})
	if err != nil || len(found[0]) != 1 {
		t.Fatalf("read %q: %v, %v", key, found, err)
	}
	return found[0][0].Versionstamp
}

// A restored database has the entries of that moment with their versionstamps, takes writes, and can be backed up and restored
// again. No versionstamp of the time that was abandoned passes a check, whatever is written there.
func TestRestored(t *testing.T) {
	dir := t.TempDir()
	e := onDisk(t, dir)
	db := mustDatabase(t, e, "d")
	mustSet(t, db, "kept", "before the archive")
	mustClose(t, e)
	a := archived(t, dir)
	e = onDisk(t, dir)
	db = mustDatabase(t, e, "d")
	mustSet(t, db, "kept", "first")
	kept := stampOf(t, db, "kept")
	var abandoned []kv.Versionstamp
	for range 20 {
		mustSet(t, db, "kept", "later")
		abandoned = append(abandoned, stampOf(t, db, "kept"))
	}
	mustClose(t, e)
	archiveAgain(t, a, dir)

	to := t.TempDir()
	if err := restoreTo(t, a, backup.Target{Versionstamp: kept}, to); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time from the log that the first has begun
		e = onDisk(t, to)
		db = mustDatabase(t, e, "d")
		if got := get(t, db, "kept"); got != "first" || stampOf(t, db, "kept") != kept {
			t.Fatalf("restored %q at %s; want first at %s", got, stampOf(t, db, "kept"), kept)
		}
		for range 20 {
			mustSet(t, db, "new", "value")
		}
		for _, key := range []string{"kept", "new"} {
			for _, stamp := range abandoned {
				check := setting("wrong", key)
				check.Checks = []kv.Check{{Key: kv.Key{key}.MustEncode(), Versionstamp: &stamp}}
				if result, err := db.Commit(t.Context(), check); err != nil || result.OK() {
					t.Fatalf("a check with %s of the abandoned time: %+v, %v", stamp, result, err)
				}
			}
		}
		last := abandoned[len(abandoned)-1]
		if stamp := stampOf(t, db, "new"); stamp.Position() <= last.Position() {
			t.Errorf("a new commit is at %s, before %s", stamp, last)
		}
		mustClose(t, e)
	}

	again := t.TempDir()
	archiveAgain(t, a, to) // the same name, another history
	if err := restoreTo(t, a, backup.Target{}, again); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Verify(t.Context()); err != nil {
		t.Error(err)
	}
	e = onDisk(t, again)
	defer mustClose(t, e)
	if db = mustDatabase(t, e, "d"); get(t, db, "kept") != "first" || get(t, db, "new") != "value" {
		t.Errorf("restored again: %q, %q", get(t, db, "kept"), get(t, db, "new"))
	}
}

// A restore does not touch a database that exists.
func TestRestoreOverExisting(t *testing.T) {
	dir := t.TempDir()
	addCommits(t, dir, "value", 3)
	a := archived(t, dir)
	addCommits(t, dir, "later", 3)
	if err := restoreTo(t, a, backup.Target{}, dir); !errors.Is(err, backup.ErrDatabaseExists) {
		t.Errorf("restore over an existing database: %v; want ErrDatabaseExists", err)
	}
	e := onDisk(t, dir)
	defer mustClose(t, e)
	if got := get(t, mustDatabase(t, e, "d"), "k"); got != "later" {
		t.Errorf("got %q; want what was there", got)
	}
}

// failing is a Maker that fails in the midst of writing the state, as a crash does.
type failing struct{ *engine.Stopped }

var errCrash = errors.New("crash")

func (f failing) Make(ctx context.Context, n backup.New) error {
	write := n.WriteCheckpoint
	n.WriteCheckpoint = func(ctx context.Context, w io.Writer, id string) (events.Chain, error) {
		chain, err := write(ctx, w, id)
		return chain, errors.Join(err, errCrash)
	}
	return f.Stopped.Make(ctx, n)
}

// Wherever a restore was interrupted, the same command does it, and the server starts in between.
func TestRestoreInterrupted(t *testing.T) {
	dir := t.TempDir()
	addCommits(t, dir, "value", 3)
	a := archived(t, dir)
	for name, interrupt := range map[string]func(t *testing.T, dir string) (exists bool){
		"before the state is stored": func(t *testing.T, dir string) bool {
			s := mustStop(t, dir, true)
			if _, err := a.Restore(t.Context(), backup.Target{}, "d", failing{s}); !errors.Is(err, errCrash) {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			return false
		},
		"before the log is made": func(t *testing.T, dir string) bool {
			if err := restoreTo(t, a, backup.Target{}, dir); err != nil {
				t.Fatal(err)
			}
			unadopt(t, dir)
			if err := os.RemoveAll(filepath.Join(dir, "nats")); err != nil {
				t.Fatal(err)
			}
			return false
		},
		"before the state has its place": func(t *testing.T, dir string) bool {
			if err := restoreTo(t, a, backup.Target{}, dir); err != nil {
				t.Fatal(err)
			}
			unadopt(t, dir)
			return true
		},
	} {
		t.Run(name, func(t *testing.T) {
			to := t.TempDir()
			interrupt(t, to)
			if err := restoreTo(t, a, backup.Target{}, to); err != nil {
				t.Fatalf("restore again: %v", err)
			}
			wantRestored(t, to)
		})
		t.Run(name+", then a start", func(t *testing.T) {
			to := t.TempDir()
			exists := interrupt(t, to)
			if exists {
				wantRestored(t, to)
			} else {
				mustClose(t, onDisk(t, to))
			}
			if err := restoreTo(t, a, backup.Target{}, to); exists != errors.Is(err, backup.ErrDatabaseExists) || !exists && err != nil {
				t.Errorf("restore again: %v", err)
			}
			wantRestored(t, to)
		})
	}
}

// unadopt takes the last step of a restore back.
func unadopt(t *testing.T, dir string) {
	t.Helper()
	made, err := filepath.Glob(filepath.Join(dir, "checkpoints", "*"))
	if err != nil || len(made) != 1 {
		t.Fatalf("checkpoints: %q, %v", made, err)
	}
	if err := os.Rename(made[0], filepath.Join(dir, "restored", filepath.Base(made[0]))); err != nil {
		t.Fatal(err)
	}
}

func wantRestored(t *testing.T, dir string) {
	t.Helper()
	e := onDisk(t, dir)
	defer mustClose(t, e)
	if got := get(t, mustDatabase(t, e, "d"), "k"); got != "value" {
		t.Errorf("restored %q; want value", got)
	}
}

// A log that begins late, whose checkpoint is gone, is refused at once.
func TestRestoredLostItsCheckpoint(t *testing.T) {
	dir, to := t.TempDir(), t.TempDir()
	addCommits(t, dir, "value", 3)
	if err := restoreTo(t, archived(t, dir), backup.Target{}, to); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(to, "checkpoints")); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, to, events.ErrTrimmed)
	s := mustStop(t, to, false)
	defer s.Close()
	source, err := recovery.Stopped(t.Context(), s, "d")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := source.WriteCheckpoint(t.Context(), io.Discard); !errors.Is(err, events.ErrTrimmed) {
		t.Errorf("a backup: %v; want ErrTrimmed", err)
	}
}

// A kill while a log is being made does not keep the next start, or restore, from happening; a log with messages whose description is
// lost is refused as ever.
func TestLogThatWasBeingMade(t *testing.T) {
	dir := t.TempDir()
	addCommits(t, dir, "value", 3)
	unfinished := filepath.Join(dir, "nats", "jetstream", "$G", "streams", "millpond_unfinished")
	if err := os.MkdirAll(filepath.Join(unfinished, "msgs"), 0o700); err != nil {
		t.Fatal(err)
	}
	wantRestored(t, dir)
	described := filepath.Join(dir, "nats", "jetstream", "$G", "streams", "millpond_d", "meta.inf")
	if err := os.Remove(described); err != nil {
		t.Fatal(err)
	}
	if e, err := engine.Open(t.Context(), engine.Config{Dir: dir, Logger: slog.New(slog.DiscardHandler)}); err == nil {
		mustClose(t, e)
		t.Error("a log whose description is lost was taken for none")
	}
}

// The queue of a restored database delivers what is enqueued there, and nothing from before; also if it is lost and made again when
// there are later checkpoints than the one that was restored.
func TestRestoredQueue(t *testing.T) {
	dir, to := t.TempDir(), t.TempDir()
	enqueue := func(db *engine.Database, text string) {
		t.Helper()
		payload, err := v8.Encode(text)
		if err != nil {
			t.Fatal(err)
		}
		result, err := db.Commit(t.Context(), &kv.Atomic{Enqueues: []kv.Enqueue{{Payload: payload}}})
		if err != nil || !result.OK() {
			t.Fatalf("enqueue: %+v, %v", result, err)
		}
	}
	receive := func(db *engine.Database) string {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; {
			got, err := db.Queue().Receive(t.Context(), 1, time.Second)
			switch {
			case len(got) == 1:
				text, err := v8.Decode(got[0].Payload)
				if err = errors.Join(err, db.Queue().Settle(t.Context(), kv.VerdictAck, []string{got[0].Receipt})); err != nil {
					t.Fatal(err)
				}
				return fmt.Sprint(text)
			case time.Now().After(deadline):
				t.Fatalf("nothing is delivered: %v", err)
			}
		}
	}
	e := onDisk(t, dir)
	enqueue(mustDatabase(t, e, "d"), "before")
	mustClose(t, e)
	if err := restoreTo(t, archived(t, dir), backup.Target{}, to); err != nil {
		t.Fatal(err)
	}
	e = onDisk(t, to)
	enqueue(mustDatabase(t, e, "d"), "after")
	if got := receive(mustDatabase(t, e, "d")); got != "after" {
		t.Errorf("got the message %q; want the one after", got)
	}
	mustClose(t, e)
	queues, err := filepath.Glob(filepath.Join(to, "nats", "jetstream", "*", "streams", "millpond-queue_d"))
	if err != nil || len(queues) != 1 {
		t.Fatalf("the queue's stream: %v, %v", queues, err)
	}
	if err := os.RemoveAll(queues[0]); err != nil {
		t.Fatal(err)
	}
	if got := receive(mustDatabase(t, onDisk(t, to), "d")); got != "after" {
		t.Errorf("from the queue that was made again: %q; want the one after", got)
	}
}

// The queue of a restored database delivers what may not have been handled at that moment, and keeps what was due long before among the
// dead; what a stop interrupts is gone on with.
func TestRestoredMessages(t *testing.T) {
	dir := t.TempDir()
	addCommits(t, dir, "value", 1)
	a := archived(t, dir)
	e := onDisk(t, dir)
	db := mustDatabase(t, e, "d")
	now := kv.MillisOf(time.Now())
	enqueue := func(messages ...kv.Enqueue) kv.Versionstamp {
		t.Helper()
		result, err := db.Commit(t.Context(), &kv.Atomic{Enqueues: messages})
		if err != nil || !result.OK() {
			t.Fatal(result, err)
		}
		return result.Versionstamp
	}
	last := enqueue(kv.Enqueue{Payload: []byte("due")}, kv.Enqueue{Payload: []byte("tomorrow"), Deadline: now + 24*3_600_000})
	enqueue(kv.Enqueue{Payload: []byte("after the moment")})
	mustClose(t, e)
	archiveAgain(t, a, dir)

	to := t.TempDir()
	if err := restoreTo(t, a, backup.Target{Versionstamp: last}, to); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		e = onDisk(t, to)
		q := mustDatabase(t, e, "d").Queue()
		var stats kv.QueueStats
		for deadline := time.Now().Add(30 * time.Second); stats.Waiting+stats.InFlight != 1 || stats.Scheduled != 1; {
			var err error
			if stats, err = q.Stats(t.Context()); time.Now().After(deadline) {
				t.Fatalf("the queue has %+v, %v", stats, err)
			}
		}
		mustClose(t, e)
	}
	e = onDisk(t, to)
	defer mustClose(t, e)
	q := mustDatabase(t, e, "d").Queue()
	var got []kv.Message
	for deadline := time.Now().Add(30 * time.Second); len(got) == 0 && time.Now().Before(deadline); {
		got, _ = q.Receive(t.Context(), 10, time.Second)
	}
	if len(got) != 1 || string(got[0].Payload) != "due" {
		t.Errorf("the queue delivers %v; want what was due", got)
	}
}
