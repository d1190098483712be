// Package kvtest is the specification of Millpond: Deno KV as a small sequential [Model], and the suites that hold every
// implementation of the same calls to it, [Rules] and [Random].
//
// The model is dumb on purpose and shares no code with the engine. It says what is right, not how to be fast.
package kvtest

import (
	"encoding/binary"
	"maps"
	"slices"

	"github.com/millpondkv/millpond/kv"
)

// Model is one database. It has no clock and chooses no versionstamps: the caller says when a call happens and where in
// the order. It expects valid requests (kv.Atomic.Validate) and is not safe for concurrent use.
type Model struct {
	entries  map[kv.EncodedKey]kv.Entry // some may have expired
	messages []Message
}

// Message is a message that a commit enqueued.
type Message struct {
	Versionstamp kv.Versionstamp // of the commit
	kv.Enqueue
}

// New returns an empty database.
func New() *Model { return &Model{entries: map[kv.EncodedKey]kv.Entry{}} }

// Commit decides a at the time now and, if it commits, applies it with that versionstamp, which must be larger than all
// before it. It returns the versionstamp, or the indexes of all checks that do not hold; or ErrInvalid with one of
// denokv's sentences if the checks hold and a mutation cannot be done. Only a commit changes the model.
func (m *Model) Commit(a *kv.Atomic, now kv.Millis, stamp kv.Versionstamp) (kv.CommitResult, error) {
	state := m.live(now)
	var failed []int
	for i, check := range a.Checks {
		if !holds(state, check) {
			failed = append(failed, i)
		}
	}
	if failed != nil {
		return kv.CommitResult{FailedChecks: failed}, nil
	}
	for i, mutation := range a.Mutations {
		if err := mutate(state, mutation, now, stamp); err != nil {
			return kv.CommitResult{}, kv.Invalidf("mutation %d: %v", i, err)
		}
	}
	m.entries = state
	for _, e := range a.Enqueues {
		m.messages = append(m.messages, Message{stamp, e})
	}
	return kv.CommitResult{Versionstamp: stamp}, nil
}

// live returns a copy of the entries without those that have expired: an entry is gone when its ExpireAt is not after
// now.
func (m *Model) live(now kv.Millis) map[kv.EncodedKey]kv.Entry {
	state := maps.Clone(m.entries)
	maps.DeleteFunc(state, func(_ kv.EncodedKey, e kv.Entry) bool { return expired(e, now) })
	return state
}

func expired(e kv.Entry, now kv.Millis) bool { return e.ExpireAt != 0 && e.ExpireAt <= now }

// holds compares versionstamps. No entry has the versionstamp of zeros, so a check for it never holds.
func holds(state map[kv.EncodedKey]kv.Entry, check kv.Check) bool {
	e, ok := state[check.Key]
	if check.Versionstamp == nil {
		return !ok
	}
	return ok && e.Versionstamp == *check.Versionstamp
}

// mutate applies one mutation to state. Later mutations of the same atomic see it. All but the two sets leave an entry
// that never expires.
func mutate(state map[kv.EncodedKey]kv.Entry, m kv.Mutation, now kv.Millis, stamp kv.Versionstamp) error {
	old, ok := state[m.Key]
	if ok && expired(old, now) { // set by this very atomic, with an expiry in the past
		old, ok = kv.Entry{}, false
	}
	e := kv.Entry{Key: m.Key, Versionstamp: stamp}
	switch m.Type {
	case kv.MutationSet:
		e.Value, e.ExpireAt = m.Value, m.ExpireAt
	case kv.MutationSetSuffix:
		e.Key += kv.EncodedKey("\x02" + stamp.String() + "\x00")
		e.Value, e.ExpireAt = m.Value, m.ExpireAt
	case kv.MutationDelete:
		delete(state, m.Key)
		return nil
	default:
		var err error
		if e.Value, err = combine(m, old.Value, ok); err != nil {
			return err
		}
	}
	state[e.Key] = e
	return nil
}

// combine returns the result of a sum, min or max on the stored value, or on none if the key is absent.
func combine(m kv.Mutation, stored kv.Value, present bool) (kv.Value, error) {
	if m.Type == kv.MutationSum && m.Value.Encoding == kv.EncodingV8 {
		return sumV8(m, stored, present)
	}
	if m.Value.Encoding != kv.EncodingLE64 {
		return kv.Value{}, kv.Invalidf("Failed to perform '%s' mutation on a non-U64 operand", m.Type)
	}
	if !present {
		return m.Value, nil
	}
	if stored.Encoding != kv.EncodingLE64 {
		return kv.Value{}, kv.Invalidf("Failed to perform '%s' mutation on a non-U64 value in the database", m.Type)
	}
	a, b := binary.LittleEndian.Uint64(stored.Data), binary.LittleEndian.Uint64(m.Value.Data)
	switch m.Type {
	case kv.MutationSum:
		return u64(a + b), nil // modulo 2^64
	case kv.MutationMin:
		return u64(min(a, b)), nil
	}
	return u64(max(a, b)), nil
}

func u64(n uint64) kv.Value {
	return kv.Value{Encoding: kv.EncodingLE64, Data: binary.LittleEndian.AppendUint64(nil, n)}
}

// Read returns the entries of each range at the time now, all from one state.
func (m *Model) Read(ranges []kv.Range, now kv.Millis) [][]kv.Entry {
	entries := m.Entries(now)
	results := make([][]kv.Entry, len(ranges))
	for i, r := range ranges {
		var found []kv.Entry
		for _, e := range entries {
			if r.Start <= e.Key && e.Key < r.End {
				found = append(found, e)
			}
		}
		if r.Reverse {
			slices.Reverse(found)
		}
		results[i] = found[:min(r.Limit, len(found))]
	}
	return results
}

// Entries returns all entries at the time now, in the order of their keys.
func (m *Model) Entries(now kv.Millis) []kv.Entry {
	state := m.live(now)
	var entries []kv.Entry
	for _, key := range slices.Sorted(maps.Keys(state)) {
		entries = append(entries, state[key])
	}
	return entries
}

// Messages returns everything that was ever enqueued, in the order of the commits.
func (m *Model) Messages() []Message { return slices.Clone(m.messages) }
