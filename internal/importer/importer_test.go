package importer_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/internal/fakeserver"
	"github.com/millpondkv/millpond/internal/importer"
	"github.com/millpondkv/millpond/internal/ndjson"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kvconnect/datapath"
)

// rig is a server with a client, and what an import has said.
type rig struct {
	*testing.T
	server *fakeserver.Server
	db     *client.DB
	lost   map[string]string
}

func newRig(t *testing.T) *rig {
	r := &rig{T: t, server: fakeserver.New(t), lost: map[string]string{}}
	r.db = r.open()
	return r
}

func (r *rig) open() *client.DB {
	r.Helper()
	db, err := client.Open(r.Context(), r.server.URL, client.WithAccessToken(fakeserver.Token), client.WithRetryTime(0))
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { db.Close() })
	return db
}

func (r *rig) run(source importer.Source, o importer.Options) (importer.Counts, error) {
	o.Now, o.Progress = time.Now, func(importer.Counts) {}
	o.Lost = func(name string, err error) { r.lost[name] = err.Error() }
	return importer.Run(r.Context(), r.db, source, o)
}

func (r *rig) must(source importer.Source, o importer.Options) importer.Counts {
	r.Helper()
	counts, err := r.run(source, o)
	if err != nil {
		r.Fatal(err)
	}
	return counts
}

func (r *rig) set(key kv.Key, n uint64) {
	r.Helper()
	if _, err := r.db.Set(r.Context(), key, client.U64(n)); err != nil {
		r.Fatal(err)
	}
}

// entries returns all entries as lines, by key.
func (r *rig) entries() map[string]string {
	r.Helper()
	found := map[string]string{}
	for e, err := range r.db.List(r.Context(), client.Selector{}) {
		if err != nil {
			r.Fatal(err)
		}
		found[e.Key.String()] = string(ndjson.AppendValue(nil, e.Value))
	}
	return found
}

func counter(key kv.Key, n uint64) importer.Item {
	return importer.Item{Name: key.String(), Entry: &client.RawEntry{Key: key, Value: client.U64(n)}}
}

func items(list ...importer.Item) importer.Source {
	return func(yield func(importer.Item, error) bool) {
		for _, item := range list {
			if !yield(item, nil) {
				return
			}
		}
	}
}

// numbered has n entries, more than go into one commit if n is large.
func numbered(n int) (list []importer.Item, want map[string]string) {
	want = map[string]string{}
	for i := range n {
		item := counter(kv.Key{"n", i}, uint64(i))
		list = append(list, item)
		want[item.Name] = string(ndjson.AppendValue(nil, item.Entry.Value))
	}
	return list, want
}

// What is there already decides by IfExists, entry by entry.
func TestIfExists(t *testing.T) {
	source := items(counter(kv.Key{"a"}, 1), counter(kv.Key{"b"}, 2), counter(kv.Key{"c"}, 3), counter(kv.Key{"c"}, 4))
	for _, test := range []struct {
		how  importer.IfExists
		want importer.Counts
		b, c uint64
	}{
		{importer.Skip, importer.Counts{Written: 1, Same: 1, Kept: 2}, 20, 3},
		{importer.Overwrite, importer.Counts{Written: 4}, 2, 4},
		{importer.Fail, importer.Counts{Same: 1}, 20, 0},
	} {
		for _, dry := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/dry=%v", test.how, dry), func(t *testing.T) {
				r := newRig(t)
				r.set(kv.Key{"a"}, 1)
				r.set(kv.Key{"b"}, 20)
				before := r.entries()
				counts, err := r.run(source, importer.Options{IfExists: test.how, DryRun: dry})
				if errors.Is(err, importer.ErrExists) != (test.how == importer.Fail) {
					t.Fatalf("ended with %v", err)
				}
				if dry {
					if diff := cmp.Diff(before, r.entries()); diff != "" {
						t.Errorf("a dry run has written: %s", diff)
					}
					return
				}
				if diff := cmp.Diff(test.want, counts); diff != "" {
					t.Error(diff)
				}
				want := map[string]string{`["a"]`: u64(1), `["b"]`: u64(test.b)}
				if test.c != 0 {
					want[`["c"]`] = u64(test.c)
				}
				if diff := cmp.Diff(want, r.entries()); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

func u64(n uint64) string { return string(ndjson.AppendValue(nil, client.U64(n))) }

// A dry run tells what a run would do.
func TestDryRun(t *testing.T) {
	r := newRig(t)
	r.set(kv.Key{"n", 1}, 1)
	r.set(kv.Key{"n", 2}, 7)
	list, _ := numbered(250)
	for _, test := range []struct {
		how  importer.IfExists
		want importer.Counts
	}{
		{importer.Skip, importer.Counts{Written: 248, Same: 1, Kept: 1}},
		{importer.Overwrite, importer.Counts{Written: 250, Replaced: 1}},
	} {
		if diff := cmp.Diff(test.want, r.must(items(list...), importer.Options{IfExists: test.how, DryRun: true})); diff != "" {
			t.Errorf("%s: %s", test.how, diff)
		}
	}
}

// An import that was stopped at any commit, before or after the server has done it, can be run again, and ends in the same state.
func TestResume(t *testing.T) {
	list, want := numbered(1050)
	list = append(list, importer.Item{Name: "message", Message: &importer.Message{ID: "1", Payload: mustV8(t, "m"), Backoff: []time.Duration{1}}})
	for _, how := range []importer.IfExists{importer.Fail, importer.Skip, importer.Overwrite} {
		for _, done := range []bool{false, true} {
			for _, stop := range []int{1, 2, 11, 12} { // the first commit, one within, the last one of entries, the message's
				t.Run(fmt.Sprintf("%s/done=%v/%d", how, done, stop), func(t *testing.T) {
					r := newRig(t)
					r.cut(stop, done)
					if _, err := r.run(items(list...), importer.Options{IfExists: how}); err == nil && !done && stop < 3 {
						t.Fatal("it has not noticed that its server was gone")
					}
					r.server.Intercept(nil)
					counts := r.must(items(list...), importer.Options{IfExists: how})
					if counts.Items() != len(list) || counts.Lost+counts.Kept > 0 {
						t.Errorf("of %d items: %+v", len(list), counts)
					}
					got := r.entries()
					maps.DeleteFunc(got, func(key, _ string) bool { return strings.Contains(key, importer.MarkerPrefix) })
					if diff := cmp.Diff(want, got); diff != "" {
						t.Error(diff)
					}
					if n := len(r.server.Messages()); n != 1 {
						t.Errorf("the message was enqueued %d times", n)
					}
				})
			}
		}
	}
}

// cut breaks the connection at the n-th atomic write and at all that follow, the first time after it was done if done is set.
func (r *rig) cut(n int, done bool) {
	var writes atomic.Int64
	r.server.Intercept(func(w http.ResponseWriter, req *http.Request) bool {
		if !strings.HasSuffix(req.URL.Path, "/atomic_write") {
			return false
		}
		at := int(writes.Add(1))
		if at < n {
			return false
		}
		if at == n && done {
			r.server.Serve(discard{}, req)
		}
		panic(http.ErrAbortHandler)
	})
}

type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}

// An answer that is lost once is found out, and the import goes on.
func TestUnknownOutcome(t *testing.T) {
	for _, how := range []importer.IfExists{importer.Fail, importer.Skip, importer.Overwrite} {
		r := newRig(t)
		writes := 0
		r.server.Intercept(func(w http.ResponseWriter, req *http.Request) bool {
			if strings.HasSuffix(req.URL.Path, "/atomic_write") {
				if writes++; writes == 2 {
					r.server.Serve(discard{}, req)
					panic(http.ErrAbortHandler)
				}
			}
			return false
		})
		list, want := numbered(1250)
		r.must(items(list...), importer.Options{IfExists: how})
		if diff := cmp.Diff(want, r.entries()); diff != "" {
			t.Errorf("%s: %s", how, diff)
		}
	}
}

// denokv allows ten checks, and does not say which of them failed.
func TestServerWithLowerLimits(t *testing.T) {
	r := newRig(t)
	r.server.Intercept(func(w http.ResponseWriter, req *http.Request) bool {
		if !strings.HasSuffix(req.URL.Path, "/atomic_write") {
			return false
		}
		body, _ := io.ReadAll(req.Body)
		req.Body = io.NopCloser(bytes.NewReader(body))
		var atomic datapath.AtomicWrite
		if err := proto.Unmarshal(body, &atomic); err != nil || len(atomic.Checks) <= fewChecks {
			return false
		}
		http.Error(w, "Too many checks included in atomic write.", http.StatusBadRequest)
		return true
	})
	r.set(kv.Key{"n", 5}, 5)
	r.set(kv.Key{"n", 6}, 60)
	list, want := numbered(333)
	want[`["n", 6]`] = u64(60)
	counts := r.must(items(list...), importer.Options{IfExists: importer.Skip})
	if diff := cmp.Diff(importer.Counts{Written: 331, Same: 1, Kept: 1}, counts); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want, r.entries()); diff != "" {
		t.Error(diff)
	}
}

const fewChecks = 10

// What cannot be carried over is named, with the reason, and everything else is carried over.
func TestLost(t *testing.T) {
	r := newRig(t)
	lines := []string{
		`{"key":[{"type":"string","value":"ok"}],"value":{"type":"KvU64","value":"1"},"versionstamp":"00000000000000010000"}`,
		`not JSON`,
		`{"key":[{"type":"string","value":"` + strings.Repeat("k", 2100) + `"}],"value":{"type":"null","value":null}}`,
		`{"key":[{"type":"string","value":"large"}],"value":{"type":"string","value":"` + strings.Repeat("v", 70_000) + `"}}`,
		`{"key":[],"value":{"type":"null","value":null}}`,
		`{"key":[{"type":"string","value":"V8"}],"value":{"type":"V8","value":"AQ"}}`,
		``,
		`{"key":[{"type":"string","value":"gone"}],"value":{"type":"null","value":null},"expireAt":"2001-01-01T00:00:00Z"}`,
		`{"key":[{"type":"string","value":"other"},{"type":"string","value":"ok"}],"value":{"type":"KvU64","value":"2"}}`,
	}
	counts := r.must(importer.FromNDJSON(strings.NewReader(strings.Join(lines, "\r\n"))), importer.Options{IfExists: importer.Fail})
	if diff := cmp.Diff(importer.Counts{Written: 2, Expired: 1, Lost: 5}, counts); diff != "" {
		t.Error(diff)
	}
	for name, want := range map[string]string{
		"line 2": "not JSON", "line 3, ": "exceeds the key size limit", "line 4, ": "65536", "line 5, []": "empty", `line 6, ["V8"]`: "V8",
	} {
		found := false
		for got, err := range r.lost {
			found = found || strings.HasPrefix(got, name) && strings.Contains(err, want)
		}
		if !found {
			t.Errorf("nothing says of %s: %s", name, want)
		}
	}
	if len(r.lost) != 5 {
		t.Errorf("said to be lost: %v", slices.Sorted(maps.Keys(r.lost)))
	}
}

// Another kind of file is noticed by its first lines; a few bad ones before the entries are not enough for that.
func TestNoEntries(t *testing.T) {
	entry := `{"key":[{"type":"string","value":"ok"}],"value":{"type":"KvU64","value":"1"}}` + "\n"
	for text, want := range map[string]string{
		strings.Repeat("text\n", 10) + entry: "line 1: the line is not JSON: column 1: expected a value",
		"\n{}\n":                             `line 2: the line has no "key"`,
		"\x7fELF\x00\n\x00":                  "line 1: the line is not JSON",
	} {
		r := newRig(t)
		counts, err := r.run(importer.FromNDJSON(strings.NewReader(text)), importer.Options{IfExists: importer.Fail})
		if !errors.Is(err, importer.ErrNoEntries) || !strings.Contains(err.Error(), want) || counts != (importer.Counts{}) || len(r.lost) > 0 {
			t.Errorf("%.10q: %v with %+v and lost %v, want %s", text, err, counts, r.lost, want)
		}
	}
	r := newRig(t)
	counts := r.must(importer.FromNDJSON(strings.NewReader(strings.Repeat("text\n", 9)+entry)), importer.Options{IfExists: importer.Fail})
	if want := (importer.Counts{Written: 1, Lost: 9}); counts != want {
		t.Errorf("after nine bad lines: %+v, want %+v", counts, want)
	}
}

// Where reading fails within a line, that line is not taken for one that says something else.
func TestReadFails(t *testing.T) {
	r := newRig(t)
	failed := errors.New("the disk is gone")
	text := io.MultiReader(strings.NewReader(`{"key":[{"type":"string","value":"a"}],"value":{"type":"null","value":null}}`+"\n"+`{"key":[{"ty`), iotest.ErrReader(failed))
	if _, err := r.run(importer.FromNDJSON(text), importer.Options{IfExists: importer.Fail}); !errors.Is(err, failed) || len(r.lost) > 0 {
		t.Errorf("%v, lost %v", err, r.lost)
	}
}

// A prefix selects as list does: not the key itself, and not one that only begins with the same bytes.
func TestPrefix(t *testing.T) {
	r := newRig(t)
	r.must(items(counter(kv.Key{"a"}, 1), counter(kv.Key{"a", "b"}, 2), counter(kv.Key{"a\x00b", "c"}, 3), counter(kv.Key{"b"}, 4)),
		importer.Options{Prefix: kv.Key{"a"}, IfExists: importer.Fail})
	if diff := cmp.Diff(map[string]string{`["a", "b"]`: u64(2)}, r.entries()); diff != "" {
		t.Error(diff)
	}
}

// A whole database is carried over from another server.
func TestFromDatabase(t *testing.T) {
	from, to := newRig(t), newRig(t)
	list, want := numbered(700)
	from.must(items(list...), importer.Options{IfExists: importer.Overwrite})
	to.must(importer.FromDatabase(t.Context(), from.db, nil), importer.Options{IfExists: importer.Fail})
	if diff := cmp.Diff(want, to.entries()); diff != "" {
		t.Error(diff)
	}
}

func mustV8(t *testing.T, v any) kv.Value {
	t.Helper()
	value, err := client.V8(v)
	if err != nil {
		t.Fatal(err)
	}
	return value
}
