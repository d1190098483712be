package check

import (
	"cmp"
	"slices"

	"github.com/millpondkv/millpond/kv"
)

// unplaced is an operation whose client was not told where in the log it was: an answer that checks have failed, or a
// strong read over a protocol without positions. It must have been right at some moment between its begin and its end.
type unplaced struct {
	*Operation
	from, through kv.Position
	right         []kv.Position // the last one of each run of positions follows the first, which may be the same
}

// judge notes which of the open operations are right in the state of this moment, at a time of theirs or at log time. A
// moment within a record is one for checks only: nobody reads half of a record.
func (c *checker) judge(logTime kv.Millis, whole bool) {
	at := c.chain.Applied
	for _, o := range c.open {
		if at < o.from { // and so are those that began later
			break
		}
		if at > o.through || o.Unplaced && !whole || o.rightAt(at) {
			continue
		}
		if c.holds(o.Operation, logTime) {
			o.note(at)
		}
	}
	c.open = slices.DeleteFunc(c.open, func(o *unplaced) bool {
		over := whole && at >= o.through
		if over {
			c.judged = append(c.judged, o)
		}
		return over
	})
}

func (o *unplaced) rightAt(p kv.Position) bool {
	return len(o.right) > 0 && o.right[len(o.right)-1] == p
}

func (o *unplaced) note(p kv.Position) {
	if o.rightAt(p - 1) {
		o.right[len(o.right)-1] = p
		return
	}
	o.right = append(o.right, p, p)
}

// first returns the first position from low on at which the operation is right.
func (o *unplaced) first(low kv.Position) (p kv.Position, ok bool) {
	for i := 0; i < len(o.right); i += 2 {
		if o.right[i+1] >= low {
			return max(low, o.right[i]), true
		}
	}
	return 0, false
}

// holds reports whether an operation is right in the model's state, at some time between its begin and its end.
func (c *checker) holds(o *Operation, logTime kv.Millis) bool {
	first, last := max(logTime, kv.MillisOf(o.Begin)-c.Skew), kv.MillisOf(o.End)+c.Skew
	times := []kv.Millis{first}
	for _, e := range c.model.Entries(first) {
		if first < e.ExpireAt && e.ExpireAt <= last {
			times = append(times, e.ExpireAt)
		}
	}
	return slices.ContainsFunc(times, func(now kv.Millis) bool {
		if o.Kind == Commit {
			return slices.Equal(c.failing(o.Atomic, now), o.Result.FailedChecks)
		}
		return slices.EqualFunc(o.Snapshot.Entries[0], c.model.Read([]kv.Range{o.Range}, now)[0], same)
	})
}

// place finds a position for each operation that was told none: one at which it is right, and not before that of any
// operation that had ended when it began. Each gets the lowest one, which leaves the others all the room there is.
func (c *checker) place() {
	all := append(c.judged, c.open...)
	slices.SortStableFunc(all, func(a, b *unplaced) int { return a.Begin.Compare(b.Begin) })
	ended := slices.Clone(all)
	slices.SortStableFunc(ended, func(a, b *unplaced) int { return cmp.Compare(a.End.UnixNano(), b.End.UnixNano()) })
	places, low := map[*unplaced]kv.Position{}, kv.Position(0)
	for _, o := range all {
		for len(ended) > 0 && ended[0].End.Before(o.Begin) {
			low, ended = max(low, places[ended[0]]), ended[1:]
		}
		p, ok := o.first(max(low, o.from))
		places[o] = p
		switch {
		case ok:
		case len(o.right) > 0:
			c.violate("client %d: %v is right up to position %d only, and something later had been shown at %d before it began", o.Client, o.Operation, o.right[len(o.right)-1], low)
		default:
			c.violate("client %d: %v was never right from position %d through %d", o.Client, o.Operation, o.from, o.through)
		}
	}
}
