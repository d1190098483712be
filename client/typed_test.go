package client_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/kv"
)

// Typed reads see what untyped ones see, with values as Ts; an absent key has the zero T.
func TestTypedReads(t *testing.T) {
	db, _ := open(t)
	v := mustSet(t, db, kv.Key{"users", "alice"}, alice)
	mustSet(t, db, kv.Key{"users", "bob"}, user{Name: "Bob"})
	entries, err := client.GetMany[user](t.Context(), db, kv.Key{"users", "alice"}, kv.Key{"users", "eve"})
	if err != nil {
		t.Fatal(err)
	}
	want := []client.Entry[user]{{Key: kv.Key{"users", "alice"}, Value: alice, Versionstamp: v}, {Key: kv.Key{"users", "eve"}}}
	if diff := cmp.Diff(want, entries); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var names []string
	for e, err := range client.List[user](t.Context(), db, client.Selector{Prefix: kv.Key{"users"}}) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, e.Value.Name)
	}
	if diff := cmp.Diff([]string{"Alice", "Bob"}, names); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := client.Get[user](t.Context(), db, kv.Key{struct{}{}}); err == nil {
		t.Error("a key that cannot be is read")
	}
}

// A value of another type is an error that names the key and the field. A list and a watch go on behind it.
func TestTypedMisfits(t *testing.T) {
	db, _ := open(t)
	a, b := kv.Key{"users", "a"}, kv.Key{"users", "b"}
	v := mustSet(t, db, a, map[string]any{"name": "Alice", "age": "old"})
	mustSet(t, db, b, alice)
	const want = `the value of ["users", "a"]: decode V8 value: age: a string does not fit the Go type int`
	e, err := client.Get[user](t.Context(), db, a)
	if err == nil || err.Error() != want || e.Versionstamp != v || e.Value != (user{}) {
		t.Errorf("got %v, %v", e, err)
	}
	var got []string
	for e, err := range client.List[user](t.Context(), db, client.Selector{Prefix: kv.Key{"users"}}) {
		if err != nil {
			got = append(got, err.Error())
			continue
		}
		got = append(got, e.Value.Name)
	}
	if diff := cmp.Diff([]string{want, "Alice"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	mended := false
	for entries, err := range client.Watch[user](t.Context(), db, a, b) {
		if mended {
			if err != nil || entries[0].Value != alice || entries[1].Value != alice {
				t.Errorf("got %v, %v", entries, err)
			}
			break
		}
		if err == nil || err.Error() != want || entries[1].Value != alice {
			t.Errorf("got %v, %v", entries, err)
		}
		mustSet(t, db, a, alice)
		mended = true
	}
}

// An error of the database ends a typed list and a typed watch.
func TestTypedEnds(t *testing.T) {
	db, _ := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	rounds := 0
	for _, err := range client.List[user](ctx, db, client.Selector{}) {
		if rounds++; err == nil || rounds > 1 {
			t.Errorf("round %d of a list: %v", rounds, err)
		}
	}
	for entries, err := range client.Watch[user](ctx, db, kv.Key{"a"}) {
		if rounds++; err == nil || entries != nil || rounds > 2 {
			t.Errorf("round %d of a watch: %v, %v", rounds, entries, err)
		}
	}
	if rounds != 2 {
		t.Errorf("there were %d rounds, want 2", rounds)
	}
}

func TestRemaining(t *testing.T) {
	now := time.UnixMilli(1000)
	for at, want := range map[kv.Millis]time.Duration{1: 0, 1000: 0, 1500: 500 * time.Millisecond} {
		if d, ok := (client.Entry[int]{ExpireAt: at}).Remaining(now); d != want || !ok {
			t.Errorf("%v: got %v, %v, want %v", at, d, ok, want)
		}
	}
	if _, ok := (client.Entry[int]{}).Remaining(now); ok {
		t.Error("an entry without expiry has some time left")
	}
}

// Keys, Count and DeletePrefix see what List sees.
func TestKeys(t *testing.T) {
	db, _ := open(t)
	big := strings.Repeat("k", 1900) // so that a commit can delete fewer than its number of mutations
	atomic := db.Atomic()
	for i := range 400 {
		atomic.Set(kv.Key{"many", big, i}, i)
		if i%200 == 199 {
			if _, err := atomic.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			atomic = db.Atomic()
		}
	}
	for i := range 1001 {
		atomic = db.Atomic().Set(kv.Key{"few", i}, i)
		if _, err := atomic.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	mustSet(t, db, kv.Key{"many"}, 1)
	mustSet(t, db, kv.Key{"other", 1}, 1)
	count := func(s client.Selector, want int) {
		t.Helper()
		if n, err := db.Count(t.Context(), s); err != nil || n != want {
			t.Errorf("Count(%v) = %d, %v; want %d", s, n, err, want)
		}
	}
	remove := func(prefix kv.Key, want int) {
		t.Helper()
		if n, err := db.DeletePrefix(t.Context(), prefix); err != nil || n != want {
			t.Errorf("DeletePrefix(%v) = %d, %v; want %d", prefix, n, err, want)
		}
	}
	count(client.Selector{Prefix: kv.Key{"many"}}, 400)
	count(client.Selector{Prefix: kv.Key{"many"}, Limit: 7}, 7)
	count(client.Selector{}, 1403)
	remove(kv.Key{"many"}, 400)
	remove(kv.Key{"many"}, 0)
	remove(kv.Key{"few"}, 1001)
	var left []kv.Key
	for key, err := range db.Keys(t.Context(), client.Selector{Reverse: true}) {
		if err != nil {
			t.Fatal(err)
		}
		left = append(left, key)
	}
	if diff := cmp.Diff([]kv.Key{{"other", 1.0}, {"many"}}, left); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	remove(nil, 2)
	if _, err := db.DeletePrefix(t.Context(), kv.Key{struct{}{}}); err == nil {
		t.Error("a prefix that cannot be is deleted")
	}
}
