package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/client/clienttest"
	"github.com/millpondkv/millpond/client/embedded"
	"github.com/millpondkv/millpond/kv"
)

func set(t *testing.T, db *client.DB, key kv.Key, value string) {
	t.Helper()
	if _, err := db.Set(t.Context(), key, client.Bytes([]byte(value))); err != nil {
		t.Fatal(err)
	}
}

func wantValue(t *testing.T, db *client.DB, key kv.Key, want string) {
	t.Helper()
	e, err := db.Get(t.Context(), key)
	if err != nil || string(e.Value.Data) != want {
		t.Errorf("got %q, %v; want %q", e.Value.Data, err, want)
	}
}

// What was written to a directory is there when it is opened again, in every database of its own.
func TestReopen(t *testing.T) {
	dir := t.TempDir()
	for round := range 2 {
		e, err := embedded.Open(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"users", "orders"} {
			db, err := e.DB(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			if round == 0 {
				set(t, db, kv.Key{"k"}, name)
			}
			wantValue(t, db, kv.Key{"k"}, name)
			db.Close()
			if _, err := db.Get(t.Context(), kv.Key{"k"}); !errors.Is(err, client.ErrClosed) {
				t.Errorf("Get after Close: %v; want ErrClosed", err)
			}
		}
		if _, err := embedded.Open(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "by a program that has opened it (perhaps this one)") {
			t.Errorf("the directory was opened twice at once: %v", err)
		}
		if err := errors.Join(e.Close(), e.Close()); err != nil {
			t.Error(err)
		}
	}
}

func TestRefused(t *testing.T) {
	if _, err := embedded.Open(t.Context(), ""); !errors.Is(err, kv.ErrInvalid) {
		t.Errorf("no directory: %v; want ErrInvalid", err)
	}
	e, err := embedded.OpenMemory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if _, err := e.DB(t.Context(), "No/Name"); !errors.Is(err, kv.ErrInvalid) {
		t.Errorf("a bad name: %v; want ErrInvalid", err)
	}
	db, err := e.DB(t.Context(), "left-open")
	if err != nil {
		t.Fatal(err)
	}
	e.Close()
	if _, err := db.Set(t.Context(), kv.Key{"k"}, client.Bytes(nil)); !errors.Is(err, kv.ErrUnavailable) {
		t.Errorf("a write after the engine's Close: %v; want ErrUnavailable", err)
	}
}

// Databases of tests that run in parallel have nothing in common.
func TestParallel(t *testing.T) {
	for i := range 8 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			db := clienttest.New(t)
			e, err := db.Get(t.Context(), kv.Key{"k"})
			if err != nil || e.Exists() {
				t.Errorf("a new database has %v, %v", e, err)
			}
			set(t, db, kv.Key{"k"}, fmt.Sprint(i))
			wantValue(t, db, kv.Key{"k"}, fmt.Sprint(i))
		})
	}
}

// Checks, watches, expiry by the clock that was given, and data that is the caller's own.
func TestDB(t *testing.T) {
	began, ahead := time.Now(), atomic.Int64{}
	now := func() time.Time { return began.Add(time.Duration(ahead.Load())) }
	db := clienttest.New(t, embedded.WithClock(now))
	set(t, db, kv.Key{"k"}, "first")
	_, err := db.Atomic().Check(client.Absent(kv.Key{"k"})).Set(kv.Key{"k"}, client.Bytes([]byte("second"))).Commit(t.Context())
	if failed := (*client.CheckError)(nil); !errors.As(err, &failed) || len(failed.Keys) != 1 {
		t.Errorf("got %v; want the check that failed", err)
	}
	e, err := db.Get(t.Context(), kv.Key{"k"})
	if err != nil {
		t.Fatal(err)
	}
	e.Value.Data[0] = 'X'
	wantValue(t, db, kv.Key{"k"}, "first")

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	shown := []string{}
	for entries, err := range db.Watch(ctx, kv.Key{"k"}) {
		if err != nil {
			t.Fatal(err)
		}
		if shown = append(shown, string(entries[0].Value.Data)); len(shown) == 2 {
			break
		}
		set(t, db, kv.Key{"k"}, "third")
	}
	if shown[0] != "first" || shown[1] != "third" {
		t.Errorf("the watch has shown %q", shown)
	}
	if _, err := db.Set(t.Context(), kv.Key{"brief"}, client.Bytes(nil), client.ExpireAt(now().Add(time.Hour))); err != nil {
		t.Fatal(err)
	}
	ahead.Store(int64(time.Hour))
	if e, err := db.Get(t.Context(), kv.Key{"brief"}); err != nil || e.Exists() {
		t.Errorf("got %v, %v; want it expired", e, err)
	}
}

// An engine leaves nothing behind.
func TestNoLeaks(t *testing.T) {
	before := goleak.IgnoreCurrent()
	e, err := embedded.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	db, err := e.DB(t.Context(), "default")
	if err != nil {
		t.Fatal(err)
	}
	set(t, db, kv.Key{"k"}, "v")
	db.Close()
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	goleak.VerifyNone(t, before, goleak.IgnoreAnyFunction("github.com/tidwall/buntdb.(*DB).backgroundManager")) // ends within a second
}
