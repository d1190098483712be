package writer

import (
	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
)

// state is what an atomic is decided on: the entries at some moment.
type state interface {
	// get returns the entry at key; ok is false if the key is absent, by expiry too.
	get(key kv.EncodedKey) (e kv.Entry, ok bool)
}

// decide is Deno KV's rule of an atomic, without a clock or anything else outside: it returns the effects that a has on
// the state at log time now, if it commits with that versionstamp, or the indexes of all checks that do not hold, or
// ErrInvalid if the checks hold and a mutation cannot be done. An atomic has at most one effect on a key.
func decide(s state, a *kv.Atomic, now kv.Millis, stamp kv.Versionstamp) (effects []events.Effect, failed []int, err error) {
	for i, check := range a.Checks {
		if !holds(s, check) {
			failed = append(failed, i)
		}
	}
	if failed != nil {
		return nil, failed, nil
	}
	d := draft{state: s, now: now, effects: make([]events.Effect, 0, len(a.Mutations))}
	for i := range a.Mutations {
		if err := d.mutate(&a.Mutations[i], stamp); err != nil {
			return nil, nil, kv.Invalidf("mutation %d: %v", i, err)
		}
	}
	return d.effects, nil, nil
}

func holds(s state, check kv.Check) bool {
	e, ok := s.get(check.Key)
	if check.Versionstamp == nil {
		return !ok
	}
	return ok && e.Versionstamp == *check.Versionstamp
}

// draft is the effects of the mutations so far, over the state before the atomic.
type draft struct {
	state   state
	now     kv.Millis
	effects []events.Effect
	size    int                   // bytes of the effects' values
	places  map[kv.EncodedKey]int // of each key in effects, once there are many
}

// A list of so many effects is faster to search than a map is to build.
const fewEffects = 8

func (d *draft) find(key kv.EncodedKey) *events.Effect {
	if d.places == nil {
		for i := range d.effects {
			if d.effects[i].Key == key {
				return &d.effects[i]
			}
		}
		return nil
	}
	if i, ok := d.places[key]; ok {
		return &d.effects[i]
	}
	return nil
}

// put adds an effect, or replaces the one on the same key.
func (d *draft) put(e events.Effect) {
	d.size += len(e.Value.Data)
	if earlier := d.find(e.Key); earlier != nil {
		d.size -= len(earlier.Value.Data)
		*earlier = e
		return
	}
	d.effects = append(d.effects, e)
	switch {
	case d.places != nil:
		d.places[e.Key] = len(d.effects) - 1
	case len(d.effects) > fewEffects:
		d.places = make(map[kv.EncodedKey]int, cap(d.effects))
		for i := range d.effects {
			d.places[d.effects[i].Key] = i
		}
	}
}

// value returns what is at key after the mutations so far.
func (d *draft) value(key kv.EncodedKey) (kv.Value, bool) {
	if e := d.find(key); e != nil {
		return e.Value, !e.Delete && !e.ExpireAt.Expired(d.now)
	}
	e, ok := d.state.get(key)
	return e.Value, ok
}

func (d *draft) mutate(m *kv.Mutation, stamp kv.Versionstamp) error {
	switch m.Type {
	case kv.MutationSet:
		d.put(events.Effect{Key: m.Key, Value: m.Value, ExpireAt: m.ExpireAt})
	case kv.MutationSetSuffix:
		d.put(events.Effect{Key: m.Key + suffix(stamp), Value: m.Value, ExpireAt: m.ExpireAt})
	case kv.MutationDelete:
		d.put(events.Effect{Key: m.Key, Delete: true})
	default:
		stored, ok := d.value(m.Key)
		value, err := combine(m, stored, ok)
		if err != nil {
			return err
		}
		d.put(events.Effect{Key: m.Key, Value: value})
		if d.size > events.MaxRecordSize { // of small operands: sums of large bigints
			return kv.Invalidf("the results so far are %d bytes; a commit has room for %d", d.size, events.MaxRecordSize)
		}
	}
	return nil
}

// suffix returns the versionstamp as a string part of a key.
func suffix(stamp kv.Versionstamp) kv.EncodedKey {
	return kv.EncodedKey("\x02" + stamp.String() + "\x00")
}
