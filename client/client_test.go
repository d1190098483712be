package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/internal/fakeserver"
	"github.com/millpondkv/millpond/kv"
)

// protocols are the ways to reach a server without TLS.
var protocols = []struct {
	name string
	http *http.Client
}{
	{"HTTP1", nil},
	{"HTTP2", &http.Client{Transport: h2c()}},
}

func h2c() *http.Transport {
	t := &http.Transport{Protocols: new(http.Protocols)}
	t.Protocols.SetUnencryptedHTTP2(true)
	return t
}

// open returns a database on a server of its own.
func open(t *testing.T, opts ...client.Option) (*client.DB, *fakeserver.Server) {
	t.Helper()
	server := fakeserver.New(t)
	return openAt(t, server.URL, opts...), server
}

func openAt(t *testing.T, url string, opts ...client.Option) *client.DB {
	t.Helper()
	db, err := client.Open(t.Context(), url, append([]client.Option{client.WithAccessToken(fakeserver.Token)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func text(s string) kv.Value { return client.Bytes([]byte(s)) }

func set(t *testing.T, db *client.DB, key kv.Key, value string) kv.Versionstamp {
	t.Helper()
	v, err := db.Set(t.Context(), key, text(value))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func get(t *testing.T, db *client.DB, key kv.Key) client.RawEntry {
	t.Helper()
	entry, err := db.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return entry
}

// What is set is read, with its versionstamp; what is deleted is absent.
func TestSetGetDelete(t *testing.T) {
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			db, _ := open(t, client.WithHTTPClient(p.http))
			key := kv.Key{"users", 1, true, []byte{0, 255}}
			if entry := get(t, db, key); entry.Exists() {
				t.Errorf("before the set: %v", entry)
			}
			v := set(t, db, key, "alice")
			want := client.RawEntry{Key: key, Value: text("alice"), Versionstamp: v}
			if diff := cmp.Diff(want, get(t, db, key)); diff != "" {
				t.Error("after the set (-want +got):\n" + diff)
			}
			if err := db.Delete(t.Context(), key); err != nil {
				t.Fatal(err)
			}
			if entry := get(t, db, key); entry.Exists() {
				t.Errorf("after the delete: %v", entry)
			}
		})
	}
}

// GetMany keeps the order of the keys, and takes as many reads as the server needs.
func TestGetMany(t *testing.T) {
	db, _ := open(t)
	set(t, db, kv.Key{"a"}, "1")
	set(t, db, kv.Key{"c"}, "3")
	entries, err := db.GetMany(t.Context(), kv.Key{"c"}, kv.Key{"b"}, kv.Key{"a"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, fmt.Sprint(e.Key, string(e.Value.Data)))
	}
	if diff := cmp.Diff([]string{`["c"]3`, `["b"]`, `["a"]1`}, got); diff != "" {
		t.Error("entries (-want +got):\n" + diff)
	}
	if entries, err := db.GetMany(t.Context()); err != nil || entries != nil {
		t.Errorf("no keys: %v, %v", entries, err)
	}
	if _, err := db.Get(t.Context(), kv.Key{"a", nil}); !errors.Is(err, kv.ErrInvalid) {
		t.Errorf("a bad key: %v, want ErrInvalid", err)
	}
}

// An entry with an expiry is gone at that time, to the millisecond.
func TestExpiry(t *testing.T) {
	earliest := time.Now().Add(time.Hour)
	tests := []struct {
		name   string
		expiry client.SetOption
	}{
		{"ExpireIn", client.ExpireIn(time.Hour)},
		{"ExpireAt", client.ExpireAt(earliest)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			db, server := open(t)
			key := kv.Key{"k"}
			if _, err := db.Set(t.Context(), key, text("x"), test.expiry); err != nil {
				t.Fatal(err)
			}
			latest := time.Now().Add(time.Hour)
			server.SetNow(kv.MillisOf(earliest) - 1)
			if !get(t, db, key).Exists() {
				t.Error("it expired too early")
			}
			server.SetNow(kv.MillisOf(latest))
			if get(t, db, key).Exists() {
				t.Error("it did not expire")
			}
		})
	}
}

// A URL that cannot be used is refused before anything is sent.
func TestOpenURL(t *testing.T) {
	for _, url := range []string{"", "127.0.0.1:4512", "ftp://host/", "http://", "http://[::1", "/orders"} {
		if _, err := client.Open(t.Context(), url); !errors.Is(err, kv.ErrInvalid) {
			t.Errorf("Open(%q): %v, want ErrInvalid", url, err)
		}
	}
}

// A path selects the database; the server's sentence says that there is none.
func TestNoDatabase(t *testing.T) {
	server := fakeserver.New(t)
	_, err := client.Open(t.Context(), server.URL+"/orders", client.WithAccessToken(fakeserver.Token))
	if !errors.Is(err, kv.ErrNoDatabase) || err.Error() != `there is no database "orders"` {
		t.Errorf("Open: %v, want ErrNoDatabase in the server's words", err)
	}
}

// Close ends what is in flight and refuses what comes later.
func TestClose(t *testing.T) {
	db, server := open(t)
	watching := make(chan error)
	first := make(chan struct{})
	go func() {
		for entries, err := range db.Watch(context.Background(), kv.Key{"a"}) {
			if entries != nil {
				close(first)
				continue
			}
			watching <- err
		}
	}()
	<-first
	arrived := make(chan struct{})
	server.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		close(arrived)
		<-r.Context().Done()
		return true
	})
	reading := make(chan error)
	go func() {
		_, err := db.Get(context.Background(), kv.Key{"a"})
		reading <- err
	}()
	<-arrived
	go db.Close()
	for range 2 {
		var err error
		select {
		case err = <-watching:
		case err = <-reading:
		}
		if !errors.Is(err, client.ErrClosed) || errors.Is(err, kv.ErrUnavailable) {
			t.Errorf("in flight: %v, want ErrClosed only", err)
		}
	}
	db.Close()
	if _, err := db.Get(t.Context(), kv.Key{"a"}); !errors.Is(err, client.ErrClosed) {
		t.Errorf("Get: %v, want ErrClosed", err)
	}
	if _, err := db.Set(t.Context(), kv.Key{"a"}, text("x")); !errors.Is(err, client.ErrClosed) {
		t.Errorf("Set: %v, want ErrClosed", err)
	}
	for _, err := range db.Watch(t.Context(), kv.Key{"a"}) {
		if !errors.Is(err, client.ErrClosed) {
			t.Errorf("Watch: %v, want ErrClosed", err)
		}
	}
}

func keysOf(t *testing.T, db *client.DB, s client.Selector) []string {
	t.Helper()
	var keys []string
	for entry, err := range db.List(t.Context(), s) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, entry.Key.String())
	}
	return keys
}

// A list has exactly what is selected, in order, whatever the size of its batches.
func TestList(t *testing.T) {
	db, _ := open(t)
	for _, key := range []kv.Key{{"a"}, {"a", 1}, {"a", 2}, {"a", 3}, {"a", 3, 1}, {"b"}, {"b", 1}, {"c"}} {
		set(t, db, key, "x")
	}
	a := kv.Key{"a"}
	tests := []struct {
		name     string
		selector client.Selector
		want     []string
	}{
		{"everything", client.Selector{}, []string{`["a"]`, `["a", 1]`, `["a", 2]`, `["a", 3]`, `["a", 3, 1]`, `["b"]`, `["b", 1]`, `["c"]`}},
		{"prefix", client.Selector{Prefix: a}, []string{`["a", 1]`, `["a", 2]`, `["a", 3]`, `["a", 3, 1]`}},
		{"prefix and start", client.Selector{Prefix: a, Start: kv.Key{"a", 2}}, []string{`["a", 2]`, `["a", 3]`, `["a", 3, 1]`}},
		{"prefix and end", client.Selector{Prefix: a, End: kv.Key{"a", 2}}, []string{`["a", 1]`}},
		{"start and end", client.Selector{Start: kv.Key{"a", 3}, End: kv.Key{"b", 1}}, []string{`["a", 3]`, `["a", 3, 1]`, `["b"]`}},
		{"start", client.Selector{Start: kv.Key{"b"}}, []string{`["b"]`, `["b", 1]`, `["c"]`}},
		{"end", client.Selector{End: kv.Key{"a", 2}}, []string{`["a"]`, `["a", 1]`}},
		{"nothing between", client.Selector{Start: a, End: a}, nil},
		{"limit", client.Selector{Limit: 2}, []string{`["a"]`, `["a", 1]`}},
		{"reverse", client.Selector{Prefix: a, Reverse: true}, []string{`["a", 3, 1]`, `["a", 3]`, `["a", 2]`, `["a", 1]`}},
		{"reverse and limit", client.Selector{Reverse: true, Limit: 3}, []string{`["c"]`, `["b", 1]`, `["b"]`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for batch := range 5 {
				test.selector.BatchSize = batch
				if diff := cmp.Diff(test.want, keysOf(t, db, test.selector)); diff != "" {
					t.Errorf("batch size %d (-want +got):\n%s", batch, diff)
				}
			}
		})
	}
}

// A list that was left goes on behind any of its entries. The cursors are Deno's.
func TestListCursor(t *testing.T) {
	db, _ := open(t)
	for i := range 5 {
		set(t, db, kv.Key{"a", i}, "x")
	}
	for _, s := range []client.Selector{
		{Prefix: kv.Key{"a"}},
		{Prefix: kv.Key{"a"}, Reverse: true},
		{Start: kv.Key{"a", 1}, End: kv.Key{"a", 4}},
		{},
	} {
		all := keysOf(t, db, s)
		var i int
		for entry, err := range db.List(t.Context(), s) {
			if err != nil {
				t.Fatal(err)
			}
			cursor, err := s.CursorAfter(entry.Key)
			if err != nil {
				t.Fatal(err)
			}
			rest := s
			rest.Cursor = cursor
			if got := keysOf(t, db, rest); !slices.Equal(got, all[i+1:]) {
				t.Errorf("behind %v: %v, want %v", entry.Key, got, all[i+1:])
			}
			i++
		}
	}
	cursor, err := client.Selector{Prefix: kv.Key{"a"}}.CursorAfter(kv.Key{"a", "b"})
	if cursor != "AmIA" || err != nil {
		t.Errorf("cursor = %q, %v, want that of Deno, AmIA", cursor, err)
	}
}

// A selector that makes no sense is refused before anything is sent.
func TestListErrors(t *testing.T) {
	db, server := open(t)
	a := kv.Key{"a"}
	for name, s := range map[string]client.Selector{
		"bad prefix":             {Prefix: kv.Key{nil}},
		"bad start":              {Start: kv.Key{nil}},
		"bad end":                {End: kv.Key{nil}},
		"start without prefix":   {Prefix: a, Start: kv.Key{"b", 1}},
		"start is the prefix":    {Prefix: a, Start: a},
		"end without prefix":     {Prefix: a, End: kv.Key{"a\x00", 1}},
		"start behind end":       {Start: kv.Key{"b"}, End: a},
		"limit":                  {Limit: -1},
		"batch size":             {BatchSize: 1001},
		"cursor":                 {Cursor: "?"},
		"cursor of another list": {Prefix: a, End: kv.Key{"a", "b"}, Cursor: "AmMA"},
		"cursor before start":    {Prefix: a, Start: kv.Key{"a", "m"}, Cursor: "AmIA"},
	} {
		t.Run(name, func(t *testing.T) {
			errs := 0
			for entry, err := range db.List(t.Context(), s) {
				if errs++; !errors.Is(err, kv.ErrInvalid) {
					t.Errorf("entry %v, error %v, want ErrInvalid", entry, err)
				}
			}
			if errs != 1 {
				t.Errorf("%d errors, want 1", errs)
			}
		})
	}
	if n := server.Requests("/snapshot_read"); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
	if _, err := (client.Selector{Prefix: a}).CursorAfter(kv.Key{"b"}); !errors.Is(err, kv.ErrInvalid) {
		t.Errorf("CursorAfter of another key: %v, want ErrInvalid", err)
	}
}
