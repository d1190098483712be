package client_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/client/clienttest"
	"github.com/millpondkv/millpond/client/embedded"
	"github.com/millpondkv/millpond/kv"
)

// overHTTP expects what needs another transport to say so.
func overHTTP(t *testing.T, err error) {
	t.Helper()
	checkKind(t, err, kv.ErrInvalid)
}

// told is a commit in a line.
func told(c client.RawCommit) string {
	line := ""
	for _, e := range c.Entries {
		line += fmt.Sprintf("%s=%s ", e.Key, e.Value.Data)
		if e.Exists() && e.Versionstamp != c.Versionstamp {
			line += "of another commit "
		}
	}
	return line
}

// take returns the next n commits of a feed.
func take(t *testing.T, db *client.DB, n int, o client.ChangesOptions) (lines []string, stamps []kv.Versionstamp) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for c, err := range db.Changes(ctx, o) {
		if err != nil {
			t.Fatal(err)
		}
		lines, stamps = append(lines, told(c)), append(stamps, c.Versionstamp)
		if len(lines) == n {
			break
		}
	}
	return lines, stamps
}

// A feed shows what each commit did, from any of them on; with a prefix only what is below it, and no commits of other keys.
func TestChanges(t *testing.T) {
	everywhere(t, func(t *testing.T, db *client.DB, native bool) {
		if !native {
			for _, err := range db.Changes(t.Context(), client.ChangesOptions{}) {
				overHTTP(t, err)
			}
			_, err := db.Latest(t.Context())
			overHTTP(t, err)
			return
		}
		at := kv.MillisOf(time.Now().Add(time.Hour))
		first, err := db.Atomic().Set(kv.Key{"a", 1}, text("1")).Set(kv.Key{"b"}, text("2"), client.ExpireAt(at.Time())).Commit(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		set(t, db, kv.Key{"c"}, "3")
		latest, err := db.Latest(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Atomic().Delete(kv.Key{"a", 1}).Sum(kv.Key{"a", 2}, 5).Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		sum := string(client.U64(5).Data)
		all := []string{`["a", 1]=1 ["b"]=2 `, `["c"]=3 `, `["a", 1]= ["a", 2]=` + sum + " "}
		lines, stamps := take(t, db, 3, client.ChangesOptions{})
		if diff := cmp.Diff(all, lines); diff != "" {
			t.Error("the whole feed (-want +got):\n" + diff)
		}
		if stamps[0] != first {
			t.Errorf("the first commit is %s, want %s", stamps[0], first)
		}
		for i := range 2 {
			lines, _ := take(t, db, 2-i, client.ChangesOptions{After: stamps[i]})
			if diff := cmp.Diff(all[i+1:], lines); diff != "" {
				t.Errorf("after commit %d (-want +got):\n%s", i, diff)
			}
		}
		lines, _ = take(t, db, 1, client.ChangesOptions{After: latest})
		if diff := cmp.Diff(all[2:], lines); diff != "" {
			t.Error("after what was the latest (-want +got):\n" + diff)
		}
		lines, _ = take(t, db, 2, client.ChangesOptions{Prefix: kv.Key{"a"}})
		if diff := cmp.Diff([]string{`["a", 1]=1 `, all[2]}, lines); diff != "" {
			t.Error("below a prefix (-want +got):\n" + diff)
		}
		for c, err := range db.Changes(t.Context(), client.ChangesOptions{}) {
			if err != nil || c.Entries[1].ExpireAt != at || c.Time == 0 {
				t.Errorf("got %v, %v; want that the second entry expires at %v", c, err, at)
			}
			break
		}
	})
}

// A feed that is at its end waits, and what it shows can be read at once, eventually too.
func TestChangesFollow(t *testing.T) {
	everywhere(t, func(t *testing.T, db *client.DB, native bool) {
		if !native {
			return // TestChanges has it
		}
		set(t, db, kv.Key{"k"}, "0")
		n := 0
		for c, err := range client.Changes[string](t.Context(), db, client.ChangesOptions{}) {
			if n == 0 {
				if err == nil || len(c.Entries) != 1 {
					t.Fatalf("bytes as a string: %v, %v; want an error, and the entry", c, err)
				}
			} else {
				if err != nil || c.Entries[0].Value != fmt.Sprint(n) {
					t.Fatalf("got %v, %v; want %d", c, err, n)
				}
				e, err := client.Get[string](t.Context(), db.WithConsistency(client.Eventual), kv.Key{"k"})
				if err != nil || e.Versionstamp != c.Versionstamp {
					t.Fatalf("read %v, %v after the feed has shown %v", e, err, c)
				}
			}
			if n++; n == 10 {
				break
			}
			if _, err := db.Set(t.Context(), kv.Key{"k"}, fmt.Sprint(n)); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// What a feed cannot do is said, and it ends with its context and with the DB.
func TestChangesErrors(t *testing.T) {
	everywhere(t, func(t *testing.T, db *client.DB, native bool) {
		v := set(t, db, kv.Key{"k"}, "v")
		for name, o := range map[string]client.ChangesOptions{
			"bad prefix":        {Prefix: kv.Key{nil}},
			"behind the end":    {After: kv.NewVersionstamp(v.Position()+1000, 0)},
			"no commit's place": {After: kv.NewVersionstamp(1, 0)}, // that of the epoch's record
		} {
			for c, err := range db.Changes(t.Context(), o) {
				if !errors.Is(err, kv.ErrInvalid) {
					t.Errorf("%s: %v, %v; want ErrInvalid", name, c, err)
					break
				}
			}
		}
		if !native {
			return
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		seen := 0
		for _, err := range db.Changes(ctx, client.ChangesOptions{}) {
			if seen++; err == nil {
				cancel()
			} else if !errors.Is(err, context.Canceled) || errors.Is(err, kv.ErrUnavailable) {
				t.Errorf("the context has ended: %v", err)
			}
		}
		if seen != 2 {
			t.Errorf("the feed has shown %d times something, want a commit and an error", seen)
		}
		ended := make(chan error, 1)
		begun := make(chan struct{}, 1)
		go func() {
			for _, err := range db.Changes(context.Background(), client.ChangesOptions{}) {
				if err != nil {
					ended <- err
					return
				}
				begun <- struct{}{}
			}
		}()
		<-begun
		db.Close()
		if err := <-ended; !errors.Is(err, client.ErrClosed) {
			t.Errorf("the DB was closed: %v", err)
		}
		for _, err := range db.Changes(t.Context(), client.ChangesOptions{}) {
			if !errors.Is(err, client.ErrClosed) {
				t.Errorf("of a closed DB: %v", err)
			}
		}
	})
}

// keysAndValues is what a watch shows, in a line.
func keysAndValues(entries []client.RawEntry) string {
	line := ""
	for _, e := range entries {
		line += fmt.Sprintf("%s=%s ", e.Key, e.Value.Data)
	}
	return line
}

// A watch by prefix shows what is there, then what changes: writes, deletes, and nothing of other keys.
func TestWatchPrefix(t *testing.T) {
	everywhere(t, func(t *testing.T, db *client.DB, native bool) {
		p := kv.Key{"p"}
		if !native {
			for _, err := range db.WatchPrefix(t.Context(), p) {
				overHTTP(t, err)
			}
			return
		}
		set(t, db, p, "not below it")
		set(t, db, kv.Key{"p", 2}, "two")
		set(t, db, kv.Key{"p", 1}, "one")
		steps := []struct {
			want string
			then func(*client.Atomic)
		}{
			{`["p", 1]=one ["p", 2]=two `, func(a *client.Atomic) {
				a.Delete(kv.Key{"p", 1}).Set(kv.Key{"p", 3}, text("three")).Set(kv.Key{"q"}, text(""))
			}},
			{`["p", 1]= ["p", 3]=three `, func(a *client.Atomic) { a.Set(kv.Key{"p", 1}, text("uno")) }},
			{`["p", 1]=uno `, nil},
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		for entries, err := range db.WatchPrefix(ctx, p) {
			if err != nil {
				t.Fatal(err)
			}
			if got := keysAndValues(entries); got != steps[0].want {
				t.Fatalf("got %s, want %s", got, steps[0].want)
			}
			if steps[0].then == nil {
				break
			}
			for _, key := range []kv.Key{p, {"other"}} {
				set(t, db, key, "x")
			}
			a := db.Atomic()
			steps[0].then(a)
			if _, err := a.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			steps = steps[1:]
		}
		for entries, err := range client.WatchPrefix[string](t.Context(), db, kv.Key{"nothing"}) {
			if err != nil || entries != nil {
				t.Errorf("nothing is there: %v, %v", entries, err)
			}
			break
		}
		for _, err := range db.WatchPrefix(t.Context(), kv.Key{nil}) {
			checkKind(t, err, kv.ErrInvalid)
		}
	})
}

// An entry that expires becomes absent, unless it was written again in time.
func TestWatchPrefixExpiry(t *testing.T) {
	everywhere(t, func(t *testing.T, db *client.DB, native bool) {
		if !native {
			return // TestWatchPrefix has it
		}
		soon := client.ExpireIn(300 * time.Millisecond)
		if _, err := db.Atomic().Set(kv.Key{"p", 1}, text("brief"), soon).Set(kv.Key{"p", 2}, text("kept"), soon).Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		set(t, db, kv.Key{"p", 2}, "kept")
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		last := map[string]string{}
		for entries, err := range db.WatchPrefix(ctx, kv.Key{"p"}) {
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				last[e.Key.String()] = string(e.Value.Data)
			}
			if last[`["p", 1]`] == "" {
				break
			}
		}
		if last[`["p", 2]`] != "kept" {
			t.Errorf("the watch has shown %v", last)
		}
	})
}

// A feed and a watch of an engine that is closed end, and say that it is.
func TestChangesEngineCloses(t *testing.T) {
	e, err := embedded.OpenMemory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	db, err := e.DB(t.Context(), "orders")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	set(t, db, kv.Key{"k"}, "v")
	for _, err := range db.Changes(t.Context(), client.ChangesOptions{}) {
		if err != nil {
			checkKind(t, err, kv.ErrUnavailable)
			break
		}
		e.Close()
	}
}

// Whoever is slow gets the last state, and what came between only as far as it was not replaced.
func TestWatchPrefixCoalesces(t *testing.T) {
	db := clienttest.New(t)
	const writes = 500
	shown := 0
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for entries, err := range client.WatchPrefix[int](ctx, db, kv.Key{"p"}) {
		if err != nil {
			t.Fatal(err)
		}
		if shown++; shown == 1 {
			for i := range writes {
				if _, err := db.Set(ctx, kv.Key{"p", 1}, i+1); err != nil {
					t.Fatal(err)
				}
			}
			continue
		}
		if len(entries) == 1 && entries[0].Value == writes {
			break
		}
	}
	if shown > writes/2 {
		t.Errorf("%d writes were shown in %d steps", writes, shown)
	}
}
