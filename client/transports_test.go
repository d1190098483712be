package client_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/client/clienttest"
	"github.com/millpondkv/millpond/kv"
)

// everywhere runs a test over each transport, on a database of its own. native says that it is not KV Connect.
func everywhere(t *testing.T, test func(t *testing.T, db *client.DB, native bool)) {
	t.Run("KVConnect", func(t *testing.T) { db, _ := open(t); test(t, db, false) })
	t.Run("NATS", func(t *testing.T) { test(t, client.StartNATS(t), true) })
	t.Run("Embedded", func(t *testing.T) { test(t, clienttest.New(t), true) })
}

// GetMany takes any number of keys, present and absent ones, and keeps their order.
func TestGetManyKeys(t *testing.T) {
	everywhere(t, func(t *testing.T, db *client.DB, native bool) {
		set(t, db, kv.Key{"k", 7}, "seven")
		set(t, db, kv.Key{"k", 1203}, "last")
		var keys []kv.Key
		for i := range 1204 {
			keys = append(keys, kv.Key{"k", i})
		}
		entries, err := db.GetMany(t.Context(), keys...)
		if err != nil || len(entries) != len(keys) {
			t.Fatalf("%d entries, %v; want %d", len(entries), err, len(keys))
		}
		for i, e := range entries {
			if diff := cmp.Diff(keys[i], e.Key); diff != "" {
				t.Fatal("keys (-want +got):\n" + diff)
			}
			if want := map[int]string{7: "seven", 1203: "last"}[i]; string(e.Value.Data) != want {
				t.Errorf("entry %d is %q, want %q", i, e.Value.Data, want)
			}
		}
	})
}

// Keys that are as large as can be are split so that a message holds them.
func TestGetManyLargeKeys(t *testing.T) {
	everywhere(t, func(t *testing.T, db *client.DB, native bool) {
		var keys []kv.Key
		for i := range 600 {
			keys = append(keys, kv.Key{i, bytes.Repeat([]byte{1}, 1900)})
		}
		set(t, db, keys[599], "x")
		entries, err := db.GetMany(t.Context(), keys...)
		if err != nil || len(entries) != len(keys) || !entries[599].Exists() || entries[0].Exists() {
			t.Errorf("%d entries, %v", len(entries), err)
		}
	})
}

// While two keys are always written together, GetMany never shows them different, however many others are asked for between.
func TestGetManyIsOneSnapshot(t *testing.T) {
	everywhere(t, func(t *testing.T, db *client.DB, native bool) {
		if !native {
			return // 10 keys are one read there, as the other tests have it
		}
		first, last := kv.Key{"a"}, kv.Key{"z"}
		keys := []kv.Key{first}
		for i := range 900 {
			keys = append(keys, kv.Key{"m", i})
		}
		keys = append(keys, last)
		stop, stopped := make(chan struct{}), make(chan error)
		go func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					stopped <- nil
					return
				default:
				}
				if _, err := db.Atomic().Set(first, i).Set(last, i).Commit(t.Context()); err != nil {
					stopped <- err
					return
				}
			}
		}()
		for range 100 {
			entries, err := db.GetMany(t.Context(), keys...)
			if err != nil || entries[0].Versionstamp != entries[len(entries)-1].Versionstamp {
				t.Errorf("%v: %v and %v", err, entries[0], entries[len(entries)-1])
			}
		}
		close(stop)
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	})
}

// Keys and Count are those of List, and deleting by prefix leaves the key that is the prefix.
func TestKeysCountDelete(t *testing.T) {
	everywhere(t, func(t *testing.T, db *client.DB, native bool) {
		for i := range 3 {
			batch := db.Atomic()
			for j := range 500 {
				batch.Set(kv.Key{"p", i, j}, "value")
			}
			if _, err := batch.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		set(t, db, kv.Key{"p"}, "not below it")
		for _, s := range []client.Selector{
			{Prefix: kv.Key{"p"}}, {Prefix: kv.Key{"p"}, Reverse: true, Limit: 7}, {Start: kv.Key{"p", 1}, BatchSize: 3}, {Prefix: kv.Key{"q"}},
		} {
			want := keysOf(t, db, s)
			var got []string
			for key, err := range db.Keys(t.Context(), s) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, key.String())
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("keys of %v (-want +got):\n%s", s, diff)
			}
			if n, err := db.Count(t.Context(), s); err != nil || n != len(want) {
				t.Errorf("%d of %v, %v; want %d", n, s, err, len(want))
			}
		}
		for _, err := range db.Keys(t.Context(), client.Selector{Limit: -1}) {
			checkKind(t, err, kv.ErrInvalid)
		}
		if n, err := db.DeletePrefix(t.Context(), kv.Key{"p"}); err != nil || n != 1500 {
			t.Errorf("deleted %d, %v", n, err)
		}
		if n, err := db.Count(t.Context(), client.Selector{}); err != nil || n != 1 || !get(t, db, kv.Key{"p"}).Exists() {
			t.Errorf("%d are left, %v; want only the prefix itself", n, err)
		}
	})
}

// An entry says how long it has left.
func TestRemainingEverywhere(t *testing.T) {
	everywhere(t, func(t *testing.T, db *client.DB, native bool) {
		begun := time.Now()
		if _, err := db.Set(t.Context(), kv.Key{"a"}, "x", client.ExpireIn(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if d, ok := get(t, db, kv.Key{"a"}).Remaining(begun); !ok || d < time.Hour-time.Second || d > time.Hour+time.Minute {
			t.Errorf("%v left, %v", d, ok)
		}
	})
}

// Reads and watches that are pinned to a commit of another session see it.
func TestAtLeast(t *testing.T) {
	everywhere(t, func(t *testing.T, db *client.DB, native bool) {
		v := set(t, db, kv.Key{"a"}, "x")
		pinned := db.WithConsistency(client.Eventual).AtLeast(v).AtLeast(kv.Versionstamp{})
		if e := get(t, pinned, kv.Key{"a"}); e.Versionstamp != v {
			t.Errorf("got %v, want %v", e.Versionstamp, v)
		}
		for entries, err := range pinned.Watch(t.Context(), kv.Key{"a"}) {
			if err != nil || entries[0].Versionstamp != v {
				t.Errorf("the watch shows %v, %v", entries, err)
			}
			break
		}
	})
}
