package kvtest

import "github.com/millpondkv/millpond/kv"

var expiryRules = []rule{
	{"ExpiresToTheMillisecond", func(s *session) {
		k, stays := s.key("k"), s.key("stays")
		at := s.now + 500
		s.commit(setUntil(k, 1, at), set(stays, 2))
		all := kv.Range{Start: s.key(), End: s.key() + "\xff", Limit: 10}
		s.setNow(at - 1)
		s.want(k, 1)
		if found := s.read(all)[0]; len(found) != 2 {
			s.t.Errorf("a millisecond before: got %v, want two entries", found)
		}
		s.setNow(at)
		s.want(k, nil)
		if found := s.read(all)[0]; len(found) != 1 || found[0].Key != stays {
			s.t.Errorf("in time: got %v, want one entry", found)
		}
	}},
	{"ExpiredMeansAbsentToChecks", func(s *session) {
		k := s.key("k")
		at := s.now + 500
		v := s.commit(setUntil(k, 1, at))
		s.setNow(at - 1)
		s.commitAtomic(kv.Atomic{Checks: []kv.Check{{Key: k, Versionstamp: &v}}})
		s.wantFailed(kv.Atomic{Checks: []kv.Check{{Key: k}}}, 0)
		s.setNow(at)
		s.wantFailed(kv.Atomic{Checks: []kv.Check{{Key: k, Versionstamp: &v}}}, 0)
		s.commitAtomic(kv.Atomic{Checks: []kv.Check{{Key: k}}})
	}},
	{"ExpiredMeansAbsentToSums", func(s *session) {
		k, n, text := s.key("k"), s.key("n"), s.key("text")
		at := s.now + 500
		s.commit(setUntil(k, uint64(1), at), setUntil(n, 1, at), setUntil(text, "1", at))
		s.setNow(at)
		s.commit(sum(k, uint64(2)), sum(n, 2), combineWith(kv.MutationMax, text, uint64(2)))
		s.want(k, uint64(2))
		s.want(n, 2)
		s.want(text, uint64(2))
	}},
	{"SetReplacesTheExpiry", func(s *session) {
		never, later, sooner := s.key("never"), s.key("later"), s.key("sooner")
		at := s.now + 500
		s.commit(setUntil(never, 1, at), setUntil(later, 1, at), setUntil(sooner, 1, at))
		s.commit(set(never, 2), setUntil(later, 2, at+1), setUntil(sooner, 2, at-1))
		s.setNow(at - 1)
		s.want(sooner, nil)
		s.setNow(at)
		s.want(never, 2)
		s.want(later, 2)
		s.setNow(at + 1)
		s.want(never, 2)
		s.want(later, nil)
	}},
	{"SumMinMaxRemoveTheExpiry", func(s *session) {
		at := s.now + 500
		for _, t := range []kv.MutationType{kv.MutationSum, kv.MutationMin, kv.MutationMax} {
			s.commit(setUntil(s.key(t.String()), uint64(1), at), setUntil(s.key("V8 "+t.String()), 1, at))
			m := combineWith(t, s.key(t.String()), uint64(1))
			m.ExpireAt = at // means nothing here
			s.commit(m, sum(s.key("V8 "+t.String()), 1))
		}
		s.setNow(at)
		s.want(s.key("sum"), uint64(2))
		s.want(s.key("min"), uint64(1))
		s.want(s.key("max"), uint64(1))
		s.want(s.key("V8 sum"), 2)
	}},
	{"ExpiryInThePast", func(s *session) {
		k, counter := s.key("k"), s.key("counter")
		s.commit(set(k, 1), set(counter, uint64(1)))
		s.commit(setUntil(k, 2, 1), setUntil(counter, uint64(2), s.now), sum(counter, uint64(3)))
		s.want(k, nil)
		s.want(counter, uint64(3))
		s.commitAtomic(kv.Atomic{Checks: []kv.Check{{Key: k}}})
	}},
	{"SuffixedKeysExpire", func(s *session) {
		m := setSuffix(s.key("log"), 1)
		m.ExpireAt = s.now + 500
		v := s.commit(m)
		s.setNow(m.ExpireAt - 1)
		s.want(s.key("log", v.String()), 1)
		s.setNow(m.ExpireAt)
		s.want(s.key("log", v.String()), nil)
	}},
	{"ExpiredDoesNotComeBack", func(s *session) {
		k := s.key("k")
		at := s.now + 500
		s.commit(setUntil(k, 1, at))
		s.setNow(at)
		s.refuse("unsupported value type", set(s.key("text"), "1"), set(k, 1), sum(s.key("text"), 1))
		s.want(k, nil)
		s.commit(setUntil(k, 2, at+500))
		s.want(k, 2)
		s.setNow(at + 500)
		s.want(k, nil)
	}},
}
