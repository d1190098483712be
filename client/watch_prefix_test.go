package client

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millpondkv/millpond/kv"
)

// What the feed tells of is not newer than the list just because it comes later.
func TestPrefixWatchMerges(t *testing.T) {
	at := func(p kv.Position) kv.Versionstamp { return kv.NewVersionstamp(p, 0) }
	key := kv.Key{"p", 1}.MustEncode()
	w := &prefixWatch{changed: map[kv.EncodedKey]kv.Entry{key: {Key: key, Value: U64(5), Versionstamp: at(5)}}}
	for _, step := range []struct {
		commit kv.Commit
		want   kv.Entry
	}{
		{kv.Commit{Versionstamp: at(3), Effects: []kv.Effect{{Key: key, Value: U64(3)}}}, kv.Entry{Key: key, Value: U64(5), Versionstamp: at(5)}},
		{kv.Commit{Versionstamp: at(4), Effects: []kv.Effect{{Key: key, Delete: true}}}, kv.Entry{Key: key, Value: U64(5), Versionstamp: at(5)}},
		{kv.Commit{Versionstamp: at(6), Effects: []kv.Effect{{Key: key, Value: U64(6), ExpireAt: 7}}}, kv.Entry{Key: key, Value: U64(6), Versionstamp: at(6), ExpireAt: 7}},
		{kv.Commit{Versionstamp: at(7), Effects: []kv.Effect{{Key: key, Delete: true}}}, kv.Entry{Key: key}},
	} {
		w.merge(&kv.Changes{Commits: []kv.Commit{step.commit}})
		if diff := cmp.Diff(step.want, w.changed[key]); diff != "" {
			t.Errorf("after commit %s (-want +got):\n%s", step.commit.Versionstamp, diff)
		}
	}
}

// The first expiry comes first; of an entry that was written again only the new one counts.
func TestExpiries(t *testing.T) {
	var x expiries
	x.set("a", 5)
	x.set("b", 3)
	x.set("c", 4)
	x.set("b", 9)
	x.set("c", 0)
	if got := x.first(); got != 5 {
		t.Errorf("the first is at %d, want 5", got)
	}
	if got := x.passed(9); !cmp.Equal(got, []kv.EncodedKey{"a", "b"}) || x.first() != 0 || len(x.byKey) != 0 {
		t.Errorf("passed: %v, and left are %v", got, x.byKey)
	}
}
