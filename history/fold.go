package history

import (
	"bytes"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
	"github.com/tidwall/btree"
)

// fold is the state of some keys at one moment, or at two.
type fold struct {
	two        bool // both from and to
	from, to   cut
	misordered bool // something is before from, and not before to

	keys       map[kv.EncodedKey]bool // nil: all of the range
	start, end kv.EncodedKey          // of this pass; an empty end: to the last one
	reverse    bool
	limit      int  // of entries that are still wanted; 0: all
	partial    bool // keys were left out for another pass

	states btree.Map[kv.EncodedKey, states] // without keys that are absent at both
	held   int                              // bytes
	most   int
}

// cut is where in the log a moment is.
type cut struct {
	moment kv.Moment
	at     kv.Versionstamp // behind it: the last thing that was read which the moment includes
	time   kv.Millis       // log time there
}

// states is what a key had at both moments.
type states struct{ from, to kv.Entry }

func newFold(want *kv.HistoryRead, most int) *fold {
	f := &fold{
		two: want.Kind == kv.HistoryDifferences, from: cut{moment: want.From}, to: cut{moment: want.To},
		start: want.Start, end: want.End, reverse: want.Reverse, limit: want.Limit, most: most,
	}
	for _, key := range want.Keys {
		if f.keys == nil {
			f.keys = map[kv.EncodedKey]bool{}
		}
		f.keys[key] = true
	}
	return f
}

func (f *fold) cuts() []*cut { return []*cut{&f.from, &f.to} }

func (f *fold) wants(key kv.EncodedKey) bool {
	return f.start <= key && (f.end == "" || key < f.end) && (f.keys == nil || f.keys[key])
}

// base takes an entry from before both moments. It returns false if those behind it are none of the fold's.
func (f *fold) base(e kv.Entry) bool {
	if f.wants(e.Key) {
		e.Value.Data = bytes.Clone(e.Value.Data) // the caller's to change
		f.put(e.Key, e, true)
	}
	return f.end == "" || e.Key < f.end
}

// record takes the next record. It returns false if that, and so all behind it, comes after the moments.
func (f *fold) record(s events.Sealed, counts bool, at kv.Millis) bool {
	first := kv.NewVersionstamp(s.Position, 0)
	if !f.to.reach(endOf(s.Position), at) && (!counts || !f.to.moment.Includes(first, at)) {
		f.misordered = f.two && f.from.moment.Includes(first, at)
		return false
	}
	f.from.reach(endOf(s.Position), at)
	if !counts {
		return true
	}
	for i := range s.Record.Commits {
		v := kv.NewVersionstamp(s.Position, uint16(i))
		inFrom, inTo := f.two && f.from.reach(v, at), f.to.reach(v, at)
		f.misordered = f.misordered || inFrom && !inTo
		if !inTo {
			break
		}
		for j := range s.Record.Commits[i].Effects {
			f.effect(&s.Record.Commits[i].Effects[j], v, inFrom)
		}
	}
	return true
}

// reach moves the cut on to v, unless that comes after the moment.
func (c *cut) reach(v kv.Versionstamp, at kv.Millis) bool {
	if !c.moment.Includes(v, at) {
		return false
	}
	if c.at.Before(v) {
		c.at, c.time = v, at
	}
	return true
}

func (f *fold) effect(e *events.Effect, v kv.Versionstamp, inFrom bool) {
	if !f.wants(e.Key) {
		return
	}
	entry := kv.Entry{}
	if !e.Delete {
		entry = kv.Entry{Key: e.Key, Value: e.Value, Versionstamp: v, ExpireAt: e.ExpireAt}
		entry.Value.Data = bytes.Clone(e.Value.Data) // or all of the record would be kept
	}
	f.put(e.Key, entry, inFrom)
}

// put makes e what the key has at the second moment, and at the first one if both is set.
func (f *fold) put(key kv.EncodedKey, e kv.Entry, both bool) {
	old, had := f.states.Get(key)
	now := states{from: old.from, to: e}
	if both && f.two {
		now.from = e
	}
	if had {
		f.held -= old.size(key)
	}
	if !now.from.Exists() && !now.to.Exists() {
		f.states.Delete(key)
		return
	}
	f.states.Set(key, now)
	f.held += now.size(key)
	f.shrink()
}

const entryOverhead = 128 // bytes that a key takes in memory beside its own and its values', about

func (s *states) size(key kv.EncodedKey) int {
	return len(key) + len(s.from.Value.Data) + len(s.to.Value.Data) + entryOverhead
}

// shrink leaves keys at the far end of the range to another pass while there are too many.
func (f *fold) shrink() {
	for f.held > f.most && f.states.Len() > 1 {
		f.partial = true
		var key kv.EncodedKey
		var left states
		if f.reverse {
			key, left, _ = f.states.PopMin()
			f.start = key + "\x00"
		} else {
			key, left, _ = f.states.PopMax()
			f.end = key
		}
		f.held -= left.size(key)
	}
}

// rest makes want what is left for another pass, and reports whether there is anything.
func (f *fold) rest(want *kv.HistoryRead) bool {
	if f.reverse {
		want.End = f.start
	} else {
		want.Start = f.end
	}
	return f.partial
}

// close makes the moments final. Where there was none it is now.
func (f *fold) close(now kv.Millis) {
	for _, c := range f.cuts() {
		at := c.moment.Time
		if c.moment == (kv.Moment{}) {
			at = now
		}
		if c.moment.Versionstamp.IsZero() {
			c.moment.Versionstamp = c.at
		}
		c.moment.Time = max(at, c.time)
	}
}

// part takes out the next part.
func (f *fold) part() kv.HistoryPart {
	p := kv.HistoryPart{To: f.to.moment}
	if f.two {
		p.From = f.from.moment
	}
	for size := 0; size < partBytes && f.states.Len() > 0 && (f.limit == 0 || len(p.Entries) < f.limit); {
		key, s := f.pop()
		from, to := f.from.live(s.from), f.to.live(s.to)
		switch {
		case f.two && differ(from, to):
			p.Differences = append(p.Differences, kv.Difference{Key: key, Before: from, After: to})
		case !f.two && to.Exists():
			p.Entries = append(p.Entries, to)
		default:
			continue
		}
		size += s.size(key)
	}
	return p
}

func (f *fold) pop() (kv.EncodedKey, states) {
	pop := f.states.PopMin
	if f.reverse {
		pop = f.states.PopMax
	}
	key, s, _ := pop()
	f.held -= s.size(key)
	return key, s
}

// live returns e, or nothing if it had expired.
func (c *cut) live(e kv.Entry) kv.Entry {
	if e.ExpireAt.Expired(c.moment.Time) {
		return kv.Entry{}
	}
	return e
}

// differ reports whether two states of a key are told apart by more than the commit that they come from.
func differ(a, b kv.Entry) bool {
	return a.Exists() != b.Exists() || a.ExpireAt != b.ExpireAt || a.Value.Encoding != b.Value.Encoding || !bytes.Equal(a.Value.Data, b.Value.Data)
}
