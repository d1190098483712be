//go:build linux

package faults

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kv/kvtest"
	"github.com/millpondkv/millpond/test/check"
)

// perKeyBound is how long the search for an order of one key's operations may take.
const perKeyBound = 10 * time.Second

// judgePerKey is a second opinion, which knows nothing of the log: that each key by itself is linearizable. What a search
// does not find out in its time is counted.
func judgePerKey(h *check.History, y *tally) (violations []string) {
	learned := learnStamps(h)
	names := []kv.EncodedKey{}
	for i := range keys {
		names = append(names, key("k", i))
	}
	for i := range counters {
		names = append(names, key("n", i))
	}
	for _, k := range names {
		switch porcupine.CheckOperationsTimeout(keyModel, operationsOf(k, h, learned), perKeyBound) {
		case porcupine.Illegal:
			violations = append(violations, fmt.Sprintf("the operations on %v are not linearizable", k))
		case porcupine.Unknown:
			y.count("keys whose operations were too many to order")
		}
	}
	return violations
}

// learnStamps returns the versionstamps of commits by their ids, of those too whose outcome their client was not told: reads
// show them beside the values and marks, which are the ids.
func learnStamps(h *check.History) map[string]kv.Versionstamp {
	learned := map[string]kv.Versionstamp{}
	for _, o := range h.Operations {
		if o.Kind == check.Commit && o.Err == nil && o.Result.OK() {
			learned[string(o.ID[:])] = o.Result.Versionstamp
		}
		if o.Kind == check.Strong {
			for _, e := range o.Snapshot.Entries[0] {
				if e.Value.Encoding == kv.EncodingBytes {
					learned[string(e.Value.Data)] = e.Versionstamp
				}
			}
		}
	}
	return learned
}

// step is what an operation does with one key.
type step struct {
	read   bool
	atomic kv.Atomic // the checks and mutations of this key
	stamp  kv.Versionstamp
}

// answer is what is known of a step.
type answer struct {
	entry   kv.Entry // that was read; of no key: none
	failed  bool     // the check of this key has failed
	refused bool     // the atomic did nothing, and the check of this key held
	unknown bool
}

// operationsOf returns the operations on a key. One whose outcome is unknown may happen at any later time, or at the end of
// all, which is never.
func operationsOf(k kv.EncodedKey, h *check.History, learned map[string]kv.Versionstamp) (list []porcupine.Operation) {
	for i, o := range h.Operations {
		p := porcupine.Operation{ClientId: o.Client, Call: o.Begin.UnixNano(), Return: o.End.UnixNano()}
		if o.Kind == check.Strong {
			p.Input, p.Output = step{read: true}, answer{entry: entryIn(o.Snapshot.Entries[0], k)}
			list = append(list, p)
			continue
		}
		s, a, touches := step{}, answer{}, false
		for j, checked := range o.Atomic.Checks {
			if checked.Key == k {
				s.atomic.Checks, touches = append(s.atomic.Checks, checked), true
				a.failed = slices.Contains(o.Result.FailedChecks, j)
			}
		}
		for _, m := range o.Atomic.Mutations {
			if m.Key == k {
				s.atomic.Mutations, touches = append(s.atomic.Mutations, m), true
			}
		}
		certain := o.Err != nil && !errors.Is(o.Err, kv.ErrUnknownOutcome)
		if !touches || certain {
			continue
		}
		a.refused = o.Err == nil && !o.Result.OK() && !a.failed
		if a.unknown = o.Err != nil; a.unknown {
			p.Return = math.MaxInt64
		}
		var known bool
		if s.stamp, known = learned[string(o.ID[:])]; !known { // one that nobody has seen, and that is unlike all others
			s.stamp = kv.NewVersionstamp(kv.Position(math.MaxUint64-uint64(i)), 0)
		}
		p.Input, p.Output = s, a
		list = append(list, p)
	}
	return list
}

func entryIn(entries []kv.Entry, k kv.EncodedKey) kv.Entry {
	i := slices.IndexFunc(entries, func(e kv.Entry) bool { return e.Key == k })
	if i < 0 {
		return kv.Entry{}
	}
	return entries[i]
}

// keyModel gives each step to kvtest's model of a database with that one entry, or none.
var keyModel = porcupine.Model{
	Init: func() any { return kv.Entry{} },
	Step: func(state, input, output any) (bool, any) {
		entry, s, a := state.(kv.Entry), input.(step), output.(answer)
		if s.read {
			return sameEntry(entry, a.entry), state
		}
		m := kvtest.New()
		if entry.Key != "" {
			m.Commit(&kv.Atomic{Mutations: []kv.Mutation{{Type: kv.MutationSet, Key: entry.Key, Value: entry.Value}}}, 0, entry.Versionstamp)
		}
		result, err := m.Commit(&s.atomic, 0, s.stamp)
		switch {
		case a.unknown && (err != nil || !result.OK()): // it did nothing
			return true, state
		case a.failed:
			return err == nil && !result.OK(), state
		case a.refused:
			return result.OK() || err != nil, state
		case err != nil || !result.OK():
			return a.unknown, state
		}
		after := m.Entries(0)
		if len(after) == 0 {
			return true, kv.Entry{}
		}
		return true, after[0]
	},
	Equal: func(a, b any) bool { return sameEntry(a.(kv.Entry), b.(kv.Entry)) },
}

// sameEntry does not compare the versionstamps of numbers: a sum whose outcome is unknown cannot be told from another by
// what it leaves.
func sameEntry(a, b kv.Entry) bool {
	return a.Key == b.Key && a.Value.Encoding == b.Value.Encoding && string(a.Value.Data) == string(b.Value.Data) &&
		(a.Value.Encoding == kv.EncodingLE64 || a.Versionstamp == b.Versionstamp)
}
