package kvtest

import (
	"slices"

	"github.com/google/go-cmp/cmp"

	"github.com/millpondkv/millpond/kv"
)

var readRules = []rule{
	{"ReadsAreInOrderAndHalfOpen", func(s *session) {
		// In the order of their types, as Deno KV states it.
		parts := []any{[]byte{1}, "a", "a\x00", "b", big64(-1), big64(0), -1.5, 1, false, true}
		var keys []kv.EncodedKey
		for _, p := range parts {
			keys = append(keys, s.key(p))
		}
		for _, k := range slices.Backward(keys) {
			s.commit(set(k, 1))
		}
		first, last, end := keys[0], keys[len(keys)-1], s.key()+"\xff"
		for _, c := range []struct {
			r    kv.Range
			want []kv.EncodedKey
		}{
			{kv.Range{Start: s.key(), End: end, Limit: 100}, keys},
			{kv.Range{Start: first, End: last, Limit: 100}, keys[:len(keys)-1]},
			{kv.Range{Start: keys[3], End: keys[6], Limit: 100}, keys[3:6]},
			{kv.Range{Start: keys[3], End: keys[6], Limit: 2}, keys[3:5]},
			{kv.Range{Start: keys[3] + "\x00", End: end, Limit: 1}, keys[4:5]},
			{kv.Range{Start: s.key("a"), End: end, Limit: 1}, keys[1:2]}, // how @deno/kv gets
			{kv.Range{Start: first, End: first, Limit: 1}, nil},
			{kv.Range{Start: end, End: end + "\xff", Limit: 1}, nil},
		} {
			s.wantKeys(c.r, c.want)
		}
		for _, c := range []struct {
			r    kv.Range
			want []kv.EncodedKey
		}{
			{kv.Range{Start: keys[3], End: keys[6], Limit: 100, Reverse: true}, keys[3:6]},
			{kv.Range{Start: keys[3], End: keys[6], Limit: 2, Reverse: true}, keys[4:6]},
			{kv.Range{Start: s.key(), End: end, Limit: 1, Reverse: true}, keys[len(keys)-1:]},
		} {
			backward := slices.Clone(c.want)
			slices.Reverse(backward)
			s.wantKeys(c.r, backward)
		}
	}},
	{"ReadsAnswerEachRange", func(s *session) {
		a, b, absent := s.key("a"), s.key("b"), s.key("absent")
		v := s.commit(set(a, 1), set(b, 2))
		one := func(k kv.EncodedKey) kv.Range { return kv.Range{Start: k, End: k + "\x00", Limit: 1} }
		got := s.read(one(b), one(absent), one(a), one(b))
		want := [][]kv.Entry{{{Key: b, Value: val(2), Versionstamp: v}}, nil, {{Key: a, Value: val(1), Versionstamp: v}}, {{Key: b, Value: val(2), Versionstamp: v}}}
		if diff := cmp.Diff(want, got, sameEntries); diff != "" {
			s.t.Errorf("the entries differ (-want +got):\n%s", diff)
		}
		s.read()
	}},
	{"TheEmptyKeyIsNeverThere", func(s *session) { // Deno reads it for get([])
		if got := s.read(kv.Range{Start: "", End: "\x00", Limit: 1})[0]; len(got) > 0 {
			s.t.Errorf("got %v, want none", got)
		}
	}},
	{"AThousandEntries", func(s *session) {
		var ms []kv.Mutation
		for i := range kv.MaxMutations {
			ms = append(ms, set(s.key(i), i))
		}
		s.commit(ms...)
		s.commit(set(s.key(kv.MaxMutations), 1))
		var keys []kv.EncodedKey
		for i := range kv.MaxReadEntries {
			keys = append(keys, s.key(i))
		}
		s.wantKeys(kv.Range{Start: s.key(), End: s.key() + "\xff", Limit: kv.MaxReadEntries}, keys)
	}},
}

func (s *session) wantKeys(r kv.Range, want []kv.EncodedKey) {
	s.t.Helper()
	var got []kv.EncodedKey
	for _, e := range s.read(r)[0] {
		got = append(got, e.Key)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		s.t.Errorf("from %v to %v, limit %d, reverse %v: the keys differ (-want +got):\n%s", r.Start, r.End, r.Limit, r.Reverse, diff)
	}
}
