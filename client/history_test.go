package client_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/client/clienttest"
	"github.com/millpondkv/millpond/engine"
	"github.com/millpondkv/millpond/internal/fakeserver"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kvconnect"
)

// withHistory runs a test over each transport, on a database of its own whose past can be read.
func withHistory(t *testing.T, test func(t *testing.T, db *client.DB)) {
	t.Run("HTTP", func(t *testing.T) { test(t, openAt(t, serveEngine(t, nil))) })
	t.Run("NATS", func(t *testing.T) { test(t, client.StartNATS(t)) })
	t.Run("Embedded", func(t *testing.T) { test(t, clienttest.New(t)) })
}

// serveEngine serves an engine over HTTP, through wrap unless that is nil.
func serveEngine(t *testing.T, wrap func(http.Handler) http.Handler) (url string) {
	t.Helper()
	e, err := engine.Open(t.Context(), engine.Config{Memory: true, CreateDatabases: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close(context.Background()) })
	connect, err := kvconnect.New(kvconnect.Config{Databases: served{e}, AccessToken: fakeserver.Token, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	var handler http.Handler = connect
	if wrap != nil {
		handler = wrap(handler)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

type served struct{ *engine.Engine }

func (s served) Database(ctx context.Context, name string, _ bool) (kvconnect.Database, error) {
	db, err := s.Engine.Database(ctx, name)
	return servedDatabase{db}, err
}

type servedDatabase struct{ *engine.Database }

func (d servedDatabase) Watch(keys []kv.EncodedKey) kvconnect.Watch { return d.Database.Watch(keys) }

func (d servedDatabase) History(ctx context.Context, want kv.HistoryRead) (kvconnect.History, error) {
	return d.Database.History(ctx, want)
}

func textsOf(entries []client.RawEntry) (list []string) {
	for _, e := range entries {
		list = append(list, fmt.Sprintf("%v=%s", e.Key, e.Value.Data))
	}
	return list
}

func listPast(t *testing.T, l client.Lister, s client.Selector) (list []string) {
	t.Helper()
	for e, err := range l.List(t.Context(), s) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, textsOf([]client.RawEntry{e})...)
	}
	return list
}

func wantSame(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// A view of the past reads as the database did then, by versionstamp and by time, whatever has been written since.
func TestAt(t *testing.T) {
	withHistory(t, func(t *testing.T, db *client.DB) {
		ctx := t.Context()
		set(t, db, kv.Key{"a", 1}, "one")
		set(t, db, kv.Key{"a", 2}, "two")
		v := set(t, db, kv.Key{"b"}, "bee")
		then := db.At(kv.Moment{Versionstamp: v})
		m, err := then.Moment(ctx)
		if err != nil || m.Versionstamp != v || m.Time == 0 {
			t.Fatalf("the moment is %v, %v", m, err)
		}
		set(t, db, kv.Key{"a", 1}, "changed")
		if _, err := db.DeletePrefix(ctx, kv.Key{"a"}); err != nil {
			t.Fatal(err)
		}
		entries, err := then.GetMany(ctx, kv.Key{"b"}, kv.Key{"a", 1}, kv.Key{"c"}, kv.Key{"b"})
		if err != nil || entries[2].Exists() || entries[0].Versionstamp != v {
			t.Errorf("%v, %v", entries, err)
		}
		wantSame(t, "keys", textsOf(entries), []string{`["b"]=bee`, `["a", 1]=one`, `["c"]=`, `["b"]=bee`})
		wantSame(t, "list", listPast(t, then, client.Selector{}), []string{`["a", 1]=one`, `["a", 2]=two`, `["b"]=bee`})
		wantSame(t, "reverse", listPast(t, then, client.Selector{Reverse: true, Limit: 2}), []string{`["b"]=bee`, `["a", 2]=two`})
		wantSame(t, "prefix", listPast(t, then, client.Selector{Prefix: kv.Key{"a"}}), []string{`["a", 1]=one`, `["a", 2]=two`})
		s := client.Selector{Prefix: kv.Key{"a"}}
		if s.Cursor, err = s.CursorAfter(kv.Key{"a", 1}); err != nil {
			t.Fatal(err)
		}
		wantSame(t, "cursor", listPast(t, then, s), []string{`["a", 2]=two`})
		wantSame(t, "before all", listPast(t, db.At(kv.Moment{Time: 1}), client.Selector{}), []string(nil))
		wantSame(t, "now", listPast(t, db.At(kv.Moment{}), client.Selector{}), []string{`["b"]=bee`})
		for e, err := range client.List[[]byte](ctx, then, client.Selector{Prefix: kv.Key{"a"}, Limit: 1}) {
			if err != nil || string(e.Value) != "one" {
				t.Errorf("typed: %v, %v", e, err)
			}
		}
		for _, err := range then.List(ctx, client.Selector{Limit: -1}) {
			checkKind(t, err, kv.ErrInvalid)
		}
		_, err = db.At(kv.Moment{Versionstamp: kv.NewVersionstamp(1<<40, 0)}).Get(ctx, kv.Key{"a"})
		checkKind(t, err, kv.ErrInvalid)
		_, err = db.At(kv.Moment{Time: kv.MillisOf(time.Now().Add(time.Hour))}).Get(ctx, kv.Key{"a"})
		checkKind(t, err, kv.ErrInvalid)
	})
}

// The history of a key has each value and each end of one.
func TestHistory(t *testing.T) {
	withHistory(t, func(t *testing.T, db *client.DB) {
		ctx := t.Context()
		key := kv.Key{"k"}
		first := set(t, db, key, "one")
		set(t, db, kv.Key{"other"}, "x")
		if err := db.Delete(ctx, key); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Set(ctx, key, text("short"), client.ExpireIn(time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		for get(t, db, key).Exists() { // strong reads see the expiry by the leader's clock
		}
		var got []string
		for v, err := range db.History(ctx, key) {
			if err != nil {
				t.Fatal(err)
			}
			if len(got) == 0 && (v.Versionstamp != first || v.Time == 0) {
				t.Errorf("the first version is %+v", v)
			}
			got = append(got, fmt.Sprint(v.State, string(v.Value.Data)))
		}
		wantSame(t, "history", got, []string{"setone", "deleted", "setshort", "expired"})
	})
}

func diffOf(t *testing.T, db *client.DB, prefix kv.Key, from, to kv.Moment) (list []string) {
	t.Helper()
	for d, err := range db.Diff(t.Context(), prefix, from, to) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, fmt.Sprintf("%v: %s -> %s", d.Key, d.Before.Value.Data, d.After.Value.Data))
	}
	return list
}

func moment(t *testing.T, db *client.DB) kv.Moment {
	t.Helper()
	m, err := db.At(kv.Moment{}).Moment(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// What was changed can be seen, undone as a dry run, and undone; entries that were changed since they were looked at are conflicts,
// and doing it again says the same and changes nothing.
func TestDiffUndo(t *testing.T) {
	withHistory(t, func(t *testing.T, db *client.DB) {
		ctx := t.Context()
		for i := range 250 {
			set(t, db, kv.Key{"p", i}, "good")
		}
		set(t, db, kv.Key{"q"}, "other")
		then := moment(t, db)
		for i := range 100 {
			set(t, db, kv.Key{"p", i}, "bad")
		}
		set(t, db, kv.Key{"p", "new"}, "bad")
		set(t, db, kv.Key{"p", 249}, "good") // the same again
		if err := db.Delete(ctx, kv.Key{"p", 248}); err != nil {
			t.Fatal(err)
		}
		set(t, db, kv.Key{"q"}, "stays")
		diff := diffOf(t, db, kv.Key{"p"}, then, kv.Moment{})
		if len(diff) != 102 || diff[0] != `["p", "new"]:  -> bad` || diff[1] != `["p", 0]: good -> bad` || diff[101] != `["p", 248]: good -> ` {
			t.Errorf("%d differences: %v", len(diff), diff)
		}
		dry, err := db.Undo(ctx, client.UndoOptions{Prefix: kv.Key{"p"}, To: then, DryRun: true})
		if err != nil || dry.Set != 101 || dry.Deleted != 1 || dry.To != then {
			t.Fatalf("dry run: %+v, %v", dry, err)
		}
		set(t, db, kv.Key{"p", 7}, "later")
		for range 2 {
			var conflicts []string
			o := client.UndoOptions{Prefix: kv.Key{"p"}, To: then, Seen: dry.Seen, Each: func(s client.UndoStep) {
				if s.Conflict {
					conflicts = append(conflicts, textsOf([]client.RawEntry{s.Before, s.After})...)
				}
			}}
			before := moment(t, db)
			got, err := db.Undo(ctx, o)
			if err != nil || got.Set != 100 || got.Deleted != 1 || got.Conflicts != 1 {
				t.Errorf("undo: %+v, %v", got, err)
			}
			wantSame(t, "conflicts", conflicts, []string{`["p", 7]=bad`, `["p", 7]=later`})
			wantSame(t, "left", diffOf(t, db, kv.Key{"p"}, then, kv.Moment{}), []string{`["p", 7]: good -> later`})
			if again := moment(t, db); len(diffOf(t, db, nil, before, again)) > 0 && conflicts == nil {
				t.Error("the second time has changed something")
			}
		}
		if got, err := db.Undo(ctx, client.UndoOptions{Key: kv.Key{"p", 7}, To: then}); err != nil || got.Set != 1 {
			t.Errorf("undo of a key: %+v, %v", got, err)
		}
		wantSame(t, "left", diffOf(t, db, kv.Key{}, then, kv.Moment{}), []string{`["q"]: other -> stays`})
		for _, o := range []client.UndoOptions{{To: then}, {Key: kv.Key{"a"}}, {Key: kv.Key{"a"}, Prefix: kv.Key{"b"}, To: then}} {
			_, err := db.Undo(ctx, o)
			checkKind(t, err, kv.ErrInvalid)
		}
		for _, err := range db.Diff(ctx, nil, kv.Moment{}, then) {
			checkKind(t, err, kv.ErrInvalid)
		}
	})
}

// Whatever others write while an undo runs, it overwrites only what it has seen: in each key's history its value comes right behind the
// one that it has told.
func TestUndoOverwritesNothingUnseen(t *testing.T) {
	withHistory(t, func(t *testing.T, db *client.DB) {
		ctx := t.Context()
		const keys = 120
		for i := range keys {
			set(t, db, kv.Key{"p", i}, "good")
		}
		then := moment(t, db)
		for i := range keys {
			set(t, db, kv.Key{"p", i}, "bad")
		}
		stop, stopped := make(chan struct{}), make(chan error, 1)
		go func() {
			random := rand.New(rand.NewPCG(1, 1))
			for i := 0; ; i++ {
				select {
				case <-stop:
					stopped <- nil
					return
				default:
				}
				if _, err := db.Set(ctx, kv.Key{"p", random.IntN(keys)}, text(fmt.Sprint("written ", i))); err != nil {
					stopped <- err
					return
				}
			}
		}()
		var steps []client.UndoStep
		result, err := db.Undo(ctx, client.UndoOptions{Prefix: kv.Key{"p"}, To: then, Each: func(s client.UndoStep) { steps = append(steps, s) }})
		close(stop)
		if err := errors.Join(err, <-stopped); err != nil || len(steps) < keys/2 {
			t.Fatalf("%+v, %v, %d steps", result, err, len(steps))
		}
		for _, s := range steps {
			var last kv.Versionstamp
			for v, err := range db.History(ctx, s.Key) {
				if err != nil {
					t.Fatal(err)
				}
				if !s.Conflict && v.Versionstamp == s.After.Versionstamp && (last != s.Before.Versionstamp || string(v.Value.Data) != "good") {
					t.Errorf("%v was put back over %v, and had seen %v", s.Key, last, s.Before.Versionstamp)
				}
				if s.Conflict && string(v.Value.Data) == "good" && last != (kv.Versionstamp{}) {
					t.Errorf("%v is a conflict, and was put back", s.Key)
				}
				last = v.Versionstamp
			}
		}
	})
}

// An entry that would have expired since is deleted by an undo, and one that has a while yet gets it back.
func TestUndoExpiry(t *testing.T) {
	withHistory(t, func(t *testing.T, db *client.DB) {
		ctx := t.Context()
		if _, err := db.Set(ctx, kv.Key{"long"}, text("x"), client.ExpireIn(time.Hour)); err != nil {
			t.Fatal(err)
		}
		long := get(t, db, kv.Key{"long"})
		if _, err := db.Set(ctx, kv.Key{"short"}, text("x"), client.ExpireIn(300*time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		then := moment(t, db)
		for get(t, db, kv.Key{"short"}).Exists() {
		}
		set(t, db, kv.Key{"short"}, "new")
		set(t, db, kv.Key{"long"}, "new")
		result, err := db.Undo(ctx, client.UndoOptions{Prefix: kv.Key{}, To: then})
		if err != nil || result.Set != 1 || result.Deleted != 1 {
			t.Errorf("%+v, %v", result, err)
		}
		if e := get(t, db, kv.Key{"long"}); string(e.Value.Data) != "x" || e.ExpireAt != long.ExpireAt || get(t, db, kv.Key{"short"}).Exists() {
			t.Errorf("got %v, want %v", e, long)
		}
	})
}

// An answer that is cut off, again and again, goes on where it was.
func TestHistoryCutOff(t *testing.T) {
	var cuts atomic.Int32
	url := serveEngine(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/default/history" && cuts.Add(1)%5 != 0 {
				w = &cutWriter{ResponseWriter: w, left: 700_000}
			}
			h.ServeHTTP(w, r)
		})
	})
	db := openAt(t, url)
	value, many := make([]byte, 60_000), kv.Key{"many"}
	for i := range 50 {
		for _, key := range []kv.Key{{"k", i}, many} {
			if _, err := db.Set(t.Context(), key, client.Bytes(append(value, byte(i)))); err != nil {
				t.Fatal(err)
			}
		}
	}
	then := db.At(kv.Moment{})
	for _, reverse := range []bool{false, true} {
		n := 0
		for e, err := range then.List(t.Context(), client.Selector{Prefix: kv.Key{"k"}, Reverse: reverse, Limit: 49}) {
			want := n
			if reverse {
				want = 49 - n
			}
			if err != nil || int(e.Value.Data[60_000]) != want {
				t.Fatalf("entry %d is %v, %v", n, e.Key, err)
			}
			n++
		}
		if n != 49 {
			t.Errorf("listed %d", n)
		}
	}
	n := 0
	for v, err := range db.History(t.Context(), many) {
		if err != nil || int(v.Value.Data[60_000]) != n {
			t.Fatalf("version %d is %v, %v", n, v.Versionstamp, err)
		}
		n++
	}
	if n != 50 || cuts.Load() < 10 {
		t.Errorf("%d versions, after %d requests", n, cuts.Load())
	}
}

// cutWriter cuts the connection after some bytes.
type cutWriter struct {
	http.ResponseWriter
	left int
}

func (w *cutWriter) Write(b []byte) (int, error) {
	if w.left -= len(b); w.left < 0 {
		return 0, http.ErrHandlerTimeout
	}
	return w.ResponseWriter.Write(b)
}

func (w *cutWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Other servers of KV Connect are told apart.
func TestNoHistory(t *testing.T) {
	db, server := open(t)
	_, err := db.At(kv.Moment{Time: 1}).Get(t.Context(), kv.Key{"a"})
	checkKind(t, err, kv.ErrInvalid)
	server.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		server.Serve(withoutHeader{w}, r)
		return true
	})
	_, err = openAt(t, server.URL).At(kv.Moment{Time: 1}).Get(t.Context(), kv.Key{"a"})
	checkKind(t, err, kv.ErrInvalid)
	if got := fmt.Sprint(err); got != "the past can be read of Millpond's databases only: KV Connect has no request for it, and this server is another one, or an older one" {
		t.Error(got)
	}
}
