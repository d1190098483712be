package check_test

import (
	"strings"
	"testing"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
	"github.com/millpondkv/millpond/test/check"
	"github.com/oklog/ulid/v2"
)

var (
	key  = kv.Key{"k"}.MustEncode()
	base = time.UnixMilli(1_790_000_000_000)
)

// at returns a time that is so many milliseconds into the history.
func at(ms int) time.Time { return base.Add(time.Duration(ms) * time.Millisecond) }

func value(s string) kv.Value { return kv.Value{Encoding: kv.EncodingBytes, Data: []byte(s)} }

// history has four commits to one key at positions 2 to 5, which set "a" to "c" and delete: they are stored 20 ms apart, and
// their clients wait from 10 ms before to 10 ms after that.
func history() *check.History {
	h := &check.History{Counts: map[string]int{}}
	var chain events.Chain
	add := func(r *events.Record, ms int) kv.Position {
		r.Previous, r.Time = chain.Hash, kv.MillisOf(at(ms))
		s, data := events.Seal(chain.Applied+1, r)
		chain.Accept(s)
		h.Log = append(h.Log, check.Stored{Message: events.Message{Position: s.Position, Data: data}, At: at(ms)})
		return s.Position
	}
	epoch := add(&events.Record{Kind: events.KindEpoch, Writer: ulid.ULID{1}}, 0)
	for i, text := range []string{"a", "b", "c", ""} {
		id, ms := ulid.ULID{byte(i + 1)}, 20*(i+1)
		effect, mutation := events.Effect{Key: key, Value: value(text)}, kv.Mutation{Type: kv.MutationSet, Key: key, Value: value(text)}
		if text == "" {
			effect, mutation = events.Effect{Key: key, Delete: true}, kv.Mutation{Type: kv.MutationDelete, Key: key}
		}
		p := add(&events.Record{Kind: events.KindCommits, Epoch: epoch, Commits: []events.Commit{{ID: id, Effects: []events.Effect{effect}}}}, ms)
		h.Operations = append(h.Operations, check.Operation{
			Kind: check.Commit, ID: id, Begin: at(ms - 10), End: at(ms + 10), Result: kv.CommitResult{Versionstamp: kv.NewVersionstamp(p, 0)},
			Atomic: &kv.Atomic{Mutations: []kv.Mutation{mutation}},
		})
	}
	return h
}

// read adds a strong read that lasts from one time to another and has found one of the values, or nothing.
func read(h *check.History, from, to int, found string) {
	var entries []kv.Entry
	if found != "" {
		entries = []kv.Entry{{Key: key, Value: value(found), Versionstamp: kv.NewVersionstamp(kv.Position(found[0]-'a')+2, 0)}}
	}
	h.Operations = append(h.Operations, check.Operation{
		Kind: check.Strong, Unplaced: true, Begin: at(from), End: at(to), Range: kv.Range{Start: "", End: "\xff", Limit: 9},
		Snapshot: projection.Snapshot{Entries: [][]kv.Entry{entries}},
	})
}

// A strong read whose position is not known must be right at some moment while it lasts, and no older than what had been seen.
func TestUnplacedReads(t *testing.T) {
	for name, test := range map[string]struct {
		reads func(*check.History)
		says  string // "": all is well
	}{
		"of before or after a commit that is under way": {func(h *check.History) { read(h, 35, 45, "a"); read(h, 36, 46, "b") }, ""},
		"of before a commit that was answered":          {func(h *check.History) { read(h, 55, 56, "a") }, "was never right"},
		"of after a commit that is not stored yet":      {func(h *check.History) { read(h, 35, 36, "b") }, "was never right"},
		"going on": {func(h *check.History) { read(h, 35, 41, "a"); read(h, 42, 43, "b") }, ""},
		"going back behind what another one had shown":  {func(h *check.History) { read(h, 41, 42, "b"); read(h, 43, 44, "a") }, "was never right"},
		"of a value that nobody wrote":                  {func(h *check.History) { read(h, 70, 90, "d") }, "was never right"},
		"going back behind a delete that one has shown": {func(h *check.History) { read(h, 81, 82, ""); read(h, 83, 84, "c") }, "is right up to"},
	} {
		t.Run(name, func(t *testing.T) {
			h := history()
			test.reads(h)
			found := strings.Join(check.Check(h), "\n")
			if (found == "") != (test.says == "") || !strings.Contains(found, test.says) {
				t.Errorf("the check says %q; want %q", found, test.says)
			}
		})
	}
}
