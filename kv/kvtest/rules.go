package kvtest

import (
	"slices"
	"strings"
	"testing"

	"github.com/millpondkv/millpond/kv"
)

// rulesStart is when the rules begin: 2025-01-01.
const rulesStart = kv.Millis(1_735_689_600_000)

// Rules runs hand-written expectations of Deno KV against a database, one subtest a rule. They were observed with Deno
// 2.9.6, but for four points where Millpond is better: atomics are all or nothing, all failed checks are reported, keys
// expire on time, and the index of a bad mutation is named. The keys start with "kvtest"; the database's clock must not
// be past 2025 yet.
func Rules(t *testing.T, db Database) {
	s := session{db: db, now: rulesStart}
	for _, group := range [][]rule{commitRules, sumRules, expiryRules, readRules} {
		for _, r := range group {
			t.Run(r.name, func(t *testing.T) {
				s.t, s.name = t, r.name
				s.setNow(s.now + 1000)
				r.run(&s)
			})
		}
	}
}

type rule struct {
	name string
	run  func(*session)
}

var commitRules = []rule{
	{"CommitsWithoutEffectHaveVersionstamps", func(s *session) { // tryCommit checks that they grow
		k := s.key("k")
		s.commit()
		s.commit()
		s.commitAtomic(kv.Atomic{Checks: []kv.Check{{Key: k}}})
		s.commit(del(k))
		s.commit(del(k))
	}},
	{"OneVersionstampForAllKeys", func(s *session) {
		a, b := s.key("a"), s.key("b")
		v := s.commit(set(a, 1), sum(b, uint64(1)))
		if got := [2]kv.Versionstamp{s.get(a).Versionstamp, s.get(b).Versionstamp}; got != [2]kv.Versionstamp{v, v} {
			s.t.Errorf("got %v, want twice %v", got, v)
		}
	}},
	{"ValuesComeBackAsTheyAre", func(s *session) {
		for i, v := range []kv.Value{
			{Encoding: kv.EncodingV8, Data: []byte{0xff, 0x0f, '_'}},
			{Encoding: kv.EncodingV8, Data: []byte("\xff\x0fo\"\x01aI\x02{\x01")},
			{Encoding: kv.EncodingBytes, Data: []byte{}},
			{Encoding: kv.EncodingBytes, Data: make([]byte, kv.MaxValueSize)},
			{Encoding: kv.EncodingLE64, Data: []byte{1, 2, 3, 4, 5, 6, 7, 8}},
		} {
			s.commit(set(s.key(i), v))
			if got := s.get(s.key(i)).Value; got.Encoding != v.Encoding || string(got.Data) != string(v.Data) {
				s.t.Errorf("got %v, want %v", got, v)
			}
		}
	}},
	{"LaterMutationsSeeEarlierOnes", func(s *session) {
		k := s.key("k")
		s.commit(set(k, "text"), del(k), sum(k, uint64(1)), sum(k, uint64(2)))
		s.want(k, uint64(3))
		s.commit(set(k, 1), set(k, 2))
		s.want(k, 2)
		s.commit(set(k, 3), del(k))
		s.want(k, nil)
	}},
	{"ChecksComeBeforeMutations", func(s *session) {
		k := s.key("k")
		v := s.commitAtomic(kv.Atomic{Checks: []kv.Check{{Key: k}}, Mutations: []kv.Mutation{set(k, 1)}})
		s.wantFailed(kv.Atomic{Checks: []kv.Check{{Key: k}}, Mutations: []kv.Mutation{del(k), set(k, 2)}}, 0)
		s.commitAtomic(kv.Atomic{Checks: []kv.Check{{Key: k, Versionstamp: &v}}, Mutations: []kv.Mutation{set(k, 3)}})
		s.wantFailed(kv.Atomic{Checks: []kv.Check{{Key: k, Versionstamp: &v}}, Mutations: []kv.Mutation{set(k, 4)}}, 0)
		s.want(k, 3)
	}},
	{"AllFailedChecksAreReported", func(s *session) {
		k, absent := s.key("k"), s.key("absent")
		v := s.commit(set(k, 1))
		var zero kv.Versionstamp
		s.wantFailed(kv.Atomic{
			Checks:    []kv.Check{{Key: k}, {Key: k, Versionstamp: &v}, {Key: absent, Versionstamp: &v}, {Key: absent}, {Key: absent, Versionstamp: &zero}},
			Mutations: []kv.Mutation{set(absent, 1), sum(k, "no number")}, // not even looked at
		}, 0, 2, 4)
		s.want(absent, nil)
	}},
	{"DeletedMeansAbsent", func(s *session) {
		k := s.key("k")
		v := s.commit(set(k, 1))
		s.commit(del(k))
		s.wantFailed(kv.Atomic{Checks: []kv.Check{{Key: k, Versionstamp: &v}}}, 0)
		s.commitAtomic(kv.Atomic{Checks: []kv.Check{{Key: k}}})
		s.commit(set(k, 1))
		s.wantFailed(kv.Atomic{Checks: []kv.Check{{Key: k, Versionstamp: &v}}}, 0)
	}},
	{"AllOrNothing", func(s *session) {
		text, other := s.key("text"), s.key("other")
		v := s.commit(set(text, "text"))
		s.refuse("Failed to perform 'sum' mutation on a non-U64 value in the database",
			set(other, 1), setSuffix(other, 1), del(text), set(text, "changed"), sum(text, uint64(1)))
		s.want(other, nil)
		if got := s.get(text); got.Versionstamp != v || string(got.Value.Data) != string(val("text").Data) {
			s.t.Errorf("got %v, want the value from before", got)
		}
		if found := s.read(kv.Range{Start: other, End: other + "\xff", Limit: 10})[0]; len(found) > 0 {
			s.t.Errorf("got %v, want none", found)
		}
	}},
	{"SuffixIsTheVersionstamp", func(s *session) {
		log := s.key("log")
		v := s.commit(setSuffix(log, "lost"), setSuffix(log, "kept"), set(log, "own"))
		w := s.commit(setSuffix(log, "later"))
		s.want(s.key("log", v.String()), "kept")
		s.want(s.key("log", w.String()), "later")
		s.want(log, "own")
		if got := s.get(s.key("log", v.String())).Versionstamp; got != v {
			s.t.Errorf("got %v, want %v", got, v)
		}
	}},
	{"SuffixMayExceedTheKeyLimit", func(s *session) {
		prefix := s.key(strings.Repeat("p", kv.MaxWriteKeySize-2-len(s.key())))
		v := s.commit(setSuffix(prefix, 1))
		found := s.read(kv.Range{Start: prefix, End: prefix + "\xff", Limit: 10})[0]
		if want := prefix + kv.EncodedKey("\x02"+v.String()+"\x00"); len(found) != 1 || found[0].Key != want {
			s.t.Errorf("got %v, want one entry at %v", found, want)
		}
	}},
	{"MessagesCommitWithTheirAtomic", func(s *session) {
		k := s.key("k")
		s.commitAtomic(kv.Atomic{Enqueues: []kv.Enqueue{{Payload: val("hello").Data}}})
		s.wantFailed(kv.Atomic{
			Checks:   []kv.Check{{Key: k, Versionstamp: &s.last}},
			Enqueues: []kv.Enqueue{{Payload: val("never").Data}},
		}, 0)
		s.commitAtomic(kv.Atomic{
			Mutations: []kv.Mutation{set(k, 1)},
			Enqueues:  []kv.Enqueue{{Payload: val("hello").Data, Deadline: s.now + 1000, KeysIfUndelivered: []kv.EncodedKey{k}}},
		})
		s.want(k, 1)
	}},
	{"TheLargestAtomicsCommit", func(s *session) { // whatever an implementation adds to each mutation
		key := s.key("k")
		var sets, messages kv.Atomic
		each := kv.MaxAtomicSize/kv.MaxMutations - len(key)
		for range kv.MaxMutations {
			m := setSuffix(key, make([]byte, each))
			m.ExpireAt = s.now + 100
			sets.Mutations = append(sets.Mutations, m)
		}
		sets.Mutations[0].Value.Data = make([]byte, each+kv.MaxAtomicSize-sets.Size())
		s.commitAtomic(sets)

		const smallest = "\x14" // [0n]
		e := kv.Enqueue{Deadline: s.now, BackoffSchedule: slices.Repeat([]uint32{kv.MaxBackoff}, kv.MaxBackoffSteps),
			KeysIfUndelivered: slices.Repeat([]kv.EncodedKey{smallest}, kv.MaxUndeliveredKeys)}
		e.Payload = val(strings.Repeat("x", kv.MaxAtomicSize/kv.MaxMutations-kv.MaxUndeliveredKeys-4*kv.MaxBackoffSteps-6)).Data
		messages.Enqueues = slices.Repeat([]kv.Enqueue{e}, kv.MaxMutations)
		s.commitAtomic(messages)
	}},
}
