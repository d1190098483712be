// Package check holds what clients of a cluster have seen to the log and to the model.
package check

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kv/kvtest"
	"github.com/millpondkv/millpond/projection"
	"github.com/oklog/ulid/v2"
)

// Check holds a history to the invariants, with the log as the witness of what happened in which order, and returns what is
// wrong with it. The log is given to the model and to a projection record by record, so it takes time in proportion to
// the history.
func Check(h *History) []string {
	c := &checker{
		History: h, model: kvtest.New(), replay: projection.New(projection.Options{}),
		commits: map[ulid.ULID]*Operation{}, stamps: map[ulid.ULID]kv.Versionstamp{},
		violations: slices.Clone(h.Violations),
	}
	defer c.replay.Close()
	c.index()
	c.at()
	for _, m := range h.Log {
		if !c.record(m) {
			return c.violations
		}
		c.at()
	}
	c.contents()
	c.place()
	c.answers()
	c.leftovers()
	return c.violations
}

// checker replays a log. At every moment model, replay and chain stand at the same position.
type checker struct {
	*History
	model  *kvtest.Model
	replay *projection.Projection
	chain  events.Chain

	commits map[ulid.ULID]*Operation
	stamps  map[ulid.ULID]kv.Versionstamp // where each commit was found
	floors  []floor                       // by time
	reads   []*Operation                  // and read indexes, by position; those before chain.Applied are checked and gone
	digests []Digest                      // the same
	open    []*unplaced                   // that may still be right, by when they began
	judged  []*unplaced                   // that can be right no more
	latest  kv.Millis                     // the latest time that a strong read could be of so far

	violations []string
}

// floor is the highest position with commits that some client had been told of at a time.
type floor struct {
	time     time.Time
	position kv.Position
}

func (c *checker) violate(format string, args ...any) {
	c.violations = append(c.violations, fmt.Sprintf(format, args...))
}

// index sorts what was recorded by where the replay needs it.
func (c *checker) index() {
	last := c.lastCommits()
	for i := range c.Operations {
		o := &c.Operations[i]
		switch o.Kind {
		case Commit:
			c.commits[o.ID] = o
		default:
			if !o.Unplaced {
				c.reads = append(c.reads, o)
			}
		}
		if p := o.shown(); p != 0 && o.Kind != Eventual {
			c.floors = append(c.floors, floor{o.End, last[min(int(p), len(last)-1)]})
		}
	}
	slices.SortFunc(c.floors, func(a, b floor) int { return a.time.Compare(b.time) })
	for i := 1; i < len(c.floors); i++ {
		c.floors[i].position = max(c.floors[i].position, c.floors[i-1].position)
	}
	slices.SortStableFunc(c.reads, func(a, b *Operation) int { return cmp.Compare(a.position(), b.position()) })
	c.digests = slices.Clone(c.Digests)
	slices.SortStableFunc(c.digests, func(a, b Digest) int { return cmp.Compare(a.Chain.Applied, b.Chain.Applied) })
	for i := range c.Operations {
		if o := &c.Operations[i]; o.Unplaced || o.Kind == Commit && o.Err == nil && !o.Result.OK() {
			c.open = append(c.open, &unplaced{Operation: o, from: c.floorAt(o.Begin), through: c.storedBy(o.End)})
		}
	}
	slices.SortFunc(c.open, func(a, b *unplaced) int { return a.Begin.Compare(b.Begin) })
}

// lastCommits returns, for each position, the last one up to there that has commits: the others change nothing.
func (c *checker) lastCommits() []kv.Position {
	var chain events.Chain
	last := make([]kv.Position, len(c.Log)+1)
	for i, m := range c.Log {
		last[i+1] = last[i]
		s, err := events.Open(m.Message)
		if err != nil {
			continue
		}
		if counts, err := chain.Accept(s); err == nil && counts && len(s.Record.Commits) > 0 {
			last[i+1] = s.Position
		}
	}
	return last
}

// position returns where in the log an operation has been, if it was told.
func (o *Operation) position() kv.Position {
	switch o.Kind {
	case Commit:
		return o.Result.Versionstamp.Position()
	case Index:
		return o.Index
	}
	return o.Snapshot.Chain.Applied
}

// shown returns the highest position that a client knows to be reached from an operation's answer.
func (o *Operation) shown() (p kv.Position) {
	if !o.Unplaced {
		return o.position()
	}
	for _, e := range o.Snapshot.Entries[0] {
		p = max(p, e.Versionstamp.Position())
	}
	return p
}

// floorAt returns the highest position that a client had been told of before t.
func (c *checker) floorAt(t time.Time) kv.Position {
	n := sort.Search(len(c.floors), func(i int) bool { return !c.floors[i].time.Before(t) })
	if n == 0 {
		return 0
	}
	return c.floors[n-1].position
}

// storedBy returns the last position that the log had at t.
func (c *checker) storedBy(t time.Time) kv.Position {
	return kv.Position(sort.Search(len(c.Log), func(i int) bool { return c.Log[i].At.After(t) }))
}

// record replays one message, and reports whether the log can be read on.
func (c *checker) record(m Stored) bool {
	s, err := events.Open(m.Message)
	if err != nil {
		c.violate("the log is damaged: %v", err)
		return false
	}
	counts, err := c.chain.Accept(s)
	if err == nil {
		err = c.replay.Apply(s)
	}
	if err != nil {
		c.violate("the log cannot be replayed: %v", err)
		return false
	}
	if !counts {
		c.Counts["void records"]++
		return true
	}
	if len(s.Record.Commits) > 0 && s.Record.Time < c.latest {
		c.violate("record %d was decided at %v, after strong reads before it were to be of %v", s.Position, s.Record.Time, c.latest)
	}
	for i := range s.Record.Commits {
		c.commit(m, s.Record, i)
		c.judge(s.Record.Time, false)
	}
	return true
}

// commit gives the model a commit's atomic, which must be committed there too, and have the effects that the log has.
func (c *checker) commit(m Stored, r *events.Record, i int) {
	stamp := kv.NewVersionstamp(m.Position, uint16(i))
	id := r.Commits[i].ID
	if c.Identify != nil {
		id = c.Identify(&r.Commits[i])
	}
	if earlier, ok := c.stamps[id]; ok {
		c.violate("%v was committed twice: at %v and at %v", id, earlier, stamp)
	}
	c.stamps[id] = stamp
	o := c.commits[id]
	if o == nil {
		c.violate("the commit %v at %v was never asked for", id, stamp)
		return
	}
	if m.At.Before(o.Begin) || o.Err == nil && m.At.After(o.End) {
		c.violate("%v was stored outside of the time in which its client waited", id)
	}
	if result, err := c.model.Commit(o.Atomic, r.Time, stamp); err != nil || !result.OK() {
		c.violate("the commit at %v is none to the model: checks %v failed, %v", stamp, result.FailedChecks, err)
	}
}

// at checks what was seen at the position that the replay has reached.
func (c *checker) at() {
	c.judge(c.chain.Time, true)
	for ; len(c.reads) > 0 && c.reads[0].position() == c.chain.Applied; c.reads = c.reads[1:] {
		c.read(c.reads[0])
	}
	var own *Digest
	for ; len(c.digests) > 0 && c.digests[0].Chain.Applied == c.chain.Applied; c.digests = c.digests[1:] {
		if own == nil {
			d, _, err := DigestOf("replay", c.replay)
			if err != nil {
				c.violate("checkpoint of the replay: %v", err)
				return
			}
			own = &d
		}
		if d := c.digests[0]; d.Hash != own.Hash || d.Chain != own.Chain {
			c.violate("%s differs from a replay at position %d", d.Of, d.Chain.Applied)
		}
	}
}

func (c *checker) read(o *Operation) {
	if o.Kind != Index {
		c.sameAsModel(o)
	}
	if o.Kind != Eventual {
		c.recent(o)
		c.latest = max(c.latest, o.Now)
	}
}

func (c *checker) sameAsModel(o *Operation) {
	now := max(o.Now, c.chain.Time)
	want := c.model.Read([]kv.Range{o.Range}, now)[0]
	if got := o.Snapshot.Entries[0]; !slices.EqualFunc(got, want, same) {
		c.violate("client %d: a %s at %d returned %v; want %v", o.Client, o.Kind, o.position(), got, want)
	}
}

// recent checks that a strong read, or a read index, is not of a state or time before it began.
func (c *checker) recent(o *Operation) {
	if lowest := c.floorAt(o.Begin); o.position() < lowest {
		c.violate("client %d: a %s that began at %v is of position %d, though %d had been told before", o.Client, o.Kind, o.Begin, o.position(), lowest)
	}
	if begun := kv.MillisOf(o.Begin); o.Now < begun-c.Skew || o.Now > kv.MillisOf(o.End)+c.Skew {
		c.violate("client %d: a %s that began at %v is of %v", o.Client, o.Kind, begun, o.Now)
	}
}

func same(a, b kv.Entry) bool {
	return a.Key == b.Key && a.Versionstamp == b.Versionstamp && a.ExpireAt == b.ExpireAt &&
		a.Value.Encoding == b.Value.Encoding && slices.Equal(a.Value.Data, b.Value.Data)
}

// failing returns the checks that do not hold at the time now.
func (c *checker) failing(a *kv.Atomic, now kv.Millis) (failed []int) {
	for i, check := range a.Checks {
		found := c.model.Read([]kv.Range{{Start: check.Key, End: check.Key + "\x00", Limit: 1}}, now)[0]
		holds := len(found) == 0
		if check.Versionstamp != nil {
			holds = len(found) == 1 && found[0].Versionstamp == *check.Versionstamp
		}
		if !holds {
			failed = append(failed, i)
		}
	}
	return failed
}

// answers holds what clients were told of their commits to where these are.
func (c *checker) answers() {
	for i := range c.Operations {
		o := &c.Operations[i]
		if o.Kind != Commit {
			continue
		}
		stamp, there := c.stamps[o.ID]
		switch {
		case o.Err == nil && o.Result.OK():
			if !there || stamp != o.Result.Versionstamp {
				c.violate("%v was acked at %v and is at %v", o.ID, o.Result.Versionstamp, stamp)
			}
		case errors.Is(o.Err, kv.ErrUnknownOutcome): // whole or not at all
		case there:
			c.violate("%v was answered %v, %v and is at %v", o.ID, o.Result.FailedChecks, o.Err, stamp)
		}
	}
}

// contents compares what the log makes of its commits with what the model does.
func (c *checker) contents() {
	everything := []kv.Range{{Start: "", End: "\xff", Limit: 1 << 30}}
	snapshot, err := c.replay.Read(everything, c.chain.Time)
	if err != nil {
		c.violate("read the replay: %v", err)
		return
	}
	if want := c.model.Read(everything, c.chain.Time)[0]; !slices.EqualFunc(snapshot.Entries[0], want, same) {
		c.violate("a replay has %v; want %v", snapshot.Entries[0], want)
	}
}

// leftovers are what no position of the log accounts for.
func (c *checker) leftovers() {
	for _, o := range c.reads {
		c.violate("client %d: a %s at position %d, which the log does not have", o.Client, o.Kind, o.position())
	}
	for _, d := range c.digests {
		c.violate("%s was at position %d, which the log does not have", d.Of, d.Chain.Applied)
	}
}
