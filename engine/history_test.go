package engine_test

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/millpondkv/millpond/backup"
	"github.com/millpondkv/millpond/engine"
	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/internal/checkpoints"
	"github.com/millpondkv/millpond/kv"
)

// valueAt returns the value that a key had at a moment, "" if it was absent.
func valueAt(t *testing.T, db *engine.Database, key string, m kv.Moment) (value string, err error) {
	t.Helper()
	r, err := db.History(t.Context(), kv.HistoryRead{Kind: kv.HistoryEntries, Keys: []kv.EncodedKey{kv.Key{key}.MustEncode()}, To: m})
	for err == nil {
		var part kv.HistoryPart
		part, err = r.Next(t.Context())
		for _, e := range part.Entries {
			value = string(e.Value.Data)
		}
	}
	if err == io.EOF {
		err = nil
	}
	return value, err
}

func mustValueAt(t *testing.T, db *engine.Database, key string, m kv.Moment) string {
	t.Helper()
	value, err := valueAt(t, db, key, m)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func stamped(t *testing.T, db *engine.Database, key, value string) kv.Versionstamp {
	t.Helper()
	mustSet(t, db, key, value)
	return stampOf(t, db, key)
}

// A log that was trimmed behind a checkpoint of the bucket tells of what came after that; of what was before it says that it is gone, and
// since when it knows.
func TestHistoryOfTrimmedLog(t *testing.T) {
	e := mustOpen(t, engine.Config{Memory: true, CreateDatabases: true})
	db := mustDatabase(t, e, "d")
	first := stamped(t, db, "a", "one")
	kept := stamped(t, db, "b", "before the checkpoint")
	js := db.Log().JetStream()
	bucket, err := checkpoints.Open(t.Context(), js, checkpoints.Config{Replicas: 1, Memory: true})
	if err != nil {
		t.Fatal(err)
	}
	info, err := bucket.Put(t.Context(), db.ID(), func(w io.Writer) (events.Chain, error) {
		state, err := db.State(t.Context())
		if err != nil {
			return events.Chain{}, err
		}
		defer state.Close()
		return state.WriteCheckpoint(t.Context(), w, db.ID())
	})
	if err != nil {
		t.Fatal(err)
	}
	second := stamped(t, db, "a", "two")
	mustSet(t, db, "b", "changed")
	if got := mustValueAt(t, db, "a", kv.Moment{Versionstamp: first}); got != "one" {
		t.Errorf("before the log is trimmed: %q", got)
	}
	if err := db.Log().Trim(t.Context(), info.Position+1); err != nil {
		t.Fatal(err)
	}
	at := kv.Moment{Versionstamp: second}
	if a, b := mustValueAt(t, db, "a", at), mustValueAt(t, db, "b", at); a != "two" || b != "before the checkpoint" {
		t.Errorf("after it was trimmed: %q and %q", a, b)
	}
	_, err = valueAt(t, db, "a", kv.Moment{Versionstamp: first})
	want := fmt.Sprintf("the history that is kept of this database begins at %s (versionstamp %s); versionstamp %s lies before that",
		info.Time, kv.NewVersionstamp(info.Position, 65535), first)
	if !errors.Is(err, kv.ErrGone) || err.Error() != want {
		t.Errorf("%v, want %q", err, want)
	}
	r, err := db.History(t.Context(), kv.HistoryRead{Kind: kv.HistoryVersions, Keys: []kv.EncodedKey{kv.Key{"b"}.MustEncode()}})
	if err != nil {
		t.Fatal(err)
	}
	part, err := r.Next(t.Context())
	if err != nil || len(part.Versions) != 2 || part.Versions[0].Time != 0 || part.Versions[0].Versionstamp != kept || part.Versions[1].Time == 0 {
		t.Errorf("the versions are %+v, %v", part.Versions, err)
	}
}

// A restored database has a history from the restored moment on.
func TestHistoryOfRestored(t *testing.T) {
	dir, restored := t.TempDir(), t.TempDir()
	e := onDisk(t, dir)
	mustSet(t, mustDatabase(t, e, "d"), "a", "archived")
	mustClose(t, e)
	if err := restoreTo(t, archived(t, dir), backup.Target{}, restored); err != nil {
		t.Fatal(err)
	}
	e = onDisk(t, restored)
	db := mustDatabase(t, e, "d")
	v := stamped(t, db, "b", "new")
	mustSet(t, db, "a", "changed")
	if got := mustValueAt(t, db, "a", kv.Moment{Versionstamp: v}); got != "archived" {
		t.Errorf("got %q", got)
	}
	if _, err := valueAt(t, db, "a", kv.Moment{Time: 1}); !errors.Is(err, kv.ErrGone) {
		t.Errorf("%v, want ErrGone", err)
	}
}

// When an engine is closed, reads of the past end.
func TestHistoryEndsWithEngine(t *testing.T) {
	e := mustOpen(t, engine.Config{Memory: true, CreateDatabases: true})
	db := mustDatabase(t, e, "d")
	v := stamped(t, db, "a", "one")
	mustClose(t, e)
	ended := make(chan error, 1)
	go func() { _, err := valueAt(t, db, "a", kv.Moment{Versionstamp: v}); ended <- err }()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("a closed engine answers")
		}
	case <-time.After(time.Minute):
		t.Error("it does not end")
	}
}
