package client_test

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/kv"
)

// Callers that count at once lose none of their counts.
func TestUpdateConcurrent(t *testing.T) {
	const callers, rounds = 8, 10
	db, _ := open(t)
	key := kv.Key{"n"}
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for range rounds {
				err := db.Update(t.Context(), func(tx *client.Tx) error {
					n, err := client.Get[int](t.Context(), tx, key)
					if err != nil {
						return err
					}
					tx.Set(key, n.Value+1)
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if n := mustGet[int](t, db, key); n.Value != callers*rounds {
		t.Errorf("%d callers have counted to %d %d times", callers, n.Value, rounds)
	}
}

// A change of anything that was read, also of an absent key, makes the function run again; a change of nothing read does not.
func TestUpdateChecks(t *testing.T) {
	db, server := open(t)
	keys := make([]kv.Key, 25) // more than a request may read
	for i := range keys {
		keys[i] = kv.Key{"k", i}
	}
	runs := 0
	err := db.Update(t.Context(), func(tx *client.Tx) error {
		entries, err := client.GetMany[int](t.Context(), tx, keys...)
		if err != nil {
			return err
		}
		if again, err := client.Get[int](t.Context(), tx, keys[24]); err != nil || again.Versionstamp != entries[24].Versionstamp {
			t.Errorf("read again: %v, %v; before %v", again, err, entries[24])
		}
		switch runs++; runs {
		case 1:
			mustSet(t, db, keys[24], 5)
		case 2:
			mustSet(t, db, kv.Key{"unrelated"}, 1)
		}
		tx.Set(kv.Key{"sum"}, entries[24].Value)
		tx.Sum(kv.Key{"runs"}, 1)
		tx.Max(kv.Key{"max"}, 3)
		tx.Min(kv.Key{"min"}, 2)
		tx.SumValue(kv.Key{"value"}, 1.5, client.SumBounds{})
		tx.SetVersionstamped(kv.Key{"log"}, runs)
		tx.Delete(keys[0])
		tx.Enqueue(runs, client.EnqueueOptions{})
		return nil
	})
	if err != nil || runs != 2 {
		t.Fatalf("ran %d times, %v; want 2", runs, err)
	}
	for key, want := range map[string]float64{"sum": 5, "runs": 1, "max": 3, "min": 2, "value": 1.5} {
		if got := mustGet[any](t, db, kv.Key{key}).Value; got != any(want) && got != any(uint64(want)) {
			t.Errorf("%s is %v, want %v", key, got, want)
		}
	}
	if n := len(server.Messages()); n != 1 {
		t.Errorf("there are %d messages, want 1", n)
	}
	if n, err := db.Count(t.Context(), client.Selector{Prefix: kv.Key{"log"}}); n != 1 || err != nil {
		t.Errorf("the log has %d entries, %v; want 1", n, err)
	}
}

// What is only read is checked too, but a single read needs no second request.
func TestUpdateReadOnly(t *testing.T) {
	db, server := open(t)
	runs := 0
	err := db.Update(t.Context(), func(tx *client.Tx) error {
		a, b := mustGet[int](t, tx, kv.Key{"a"}), 0
		if runs++; runs == 1 {
			mustSet(t, db, kv.Key{"a"}, 1)
			mustSet(t, db, kv.Key{"b"}, 1)
		}
		if b = mustGet[int](t, tx, kv.Key{"b"}).Value; runs == 2 && a.Value != b {
			t.Errorf("a is %d and b is %d", a.Value, b)
		}
		return nil
	})
	if err != nil || runs != 2 {
		t.Errorf("ran %d times, %v; want 2", runs, err)
	}
	before := server.Requests("/atomic_write")
	if err := db.Update(t.Context(), func(tx *client.Tx) error { mustGet[int](t, tx, kv.Key{"a"}); return nil }); err != nil {
		t.Error(err)
	}
	if n := server.Requests("/atomic_write") - before; n != 0 {
		t.Errorf("a single read made %d commits", n)
	}
}

// An error of the function, of what it writes and of the commit ends Update at once, and nothing is written.
func TestUpdateErrors(t *testing.T) {
	db, server := open(t)
	key := kv.Key{"a"}
	mine := errors.New("mine")
	runs := 0
	update := func(fn func(tx *client.Tx) error) error {
		runs = 0
		return db.Update(t.Context(), func(tx *client.Tx) error {
			runs++
			return fn(tx)
		})
	}
	if err := update(func(tx *client.Tx) error { tx.Set(key, 1); return mine }); err != mine || runs != 1 {
		t.Errorf("the function's own: %v, after %d runs", err, runs)
	}
	if err := update(func(tx *client.Tx) error { tx.Set(key, func() {}); return nil }); !errors.Is(err, kv.ErrInvalid) || runs != 1 {
		t.Errorf("a value that cannot be: %v, after %d runs", err, runs)
	}
	if err := update(func(tx *client.Tx) error { tx.Set(kv.Key{struct{}{}}, 1); return nil }); !errors.Is(err, kv.ErrInvalid) || runs != 1 {
		t.Errorf("a key that cannot be: %v, after %d runs", err, runs)
	}
	err := update(func(tx *client.Tx) error {
		tx.Set(key, 1)
		_, err := tx.Get(t.Context(), key)
		return err
	})
	if !errors.Is(err, kv.ErrInvalid) || !strings.Contains(err.Error(), `reads the key ["a"] after it has written it`) {
		t.Errorf("a read behind a write: %v", err)
	}
	if err := update(func(tx *client.Tx) error { _, err := tx.Get(t.Context(), kv.Key{struct{}{}}); return err }); !errors.Is(err, kv.ErrInvalid) {
		t.Errorf("a read of a key that cannot be: %v", err)
	}
	server.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/atomic_write") {
			http.Error(w, "no", http.StatusBadRequest)
			return true
		}
		return false
	})
	if err := update(func(tx *client.Tx) error { tx.Set(key, 1); return nil }); !errors.Is(err, kv.ErrInvalid) || runs != 1 {
		t.Errorf("a refused commit: %v, after %d runs", err, runs)
	}
	server.Intercept(nil)
	if mustGet[int](t, db, key).Exists() {
		t.Error("something was written")
	}
}
