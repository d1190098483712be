package backup

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/millpondkv/millpond/kv"
)

// Target is a moment in a database's history. The zero Target is the last one that there is.
type Target struct {
	Versionstamp kv.Versionstamp // just after this commit
	Time         kv.Millis       // just after the last record whose log time is not later than this
}

func (t Target) String() string {
	switch {
	case !t.Versionstamp.IsZero():
		return "versionstamp " + t.Versionstamp.String()
	case t.Time != 0:
		return timeText(t.Time)
	}
	return "the latest commit"
}

func timeText(at kv.Millis) string {
	return time.UnixMilli(int64(at)).UTC().Format("2006-01-02T15:04:05.000Z")
}

// needs reports whether records that come after a place may belong to the target. The state at a place for which it does
// not hold has too much, or is the target already.
func (t Target) needs(p Place) bool {
	switch {
	case !t.Versionstamp.IsZero():
		return p.Applied < t.Versionstamp.Position()
	case t.Time != 0:
		return p.Time <= t.Time
	}
	return true
}

// Plan is how a target is reached: a full part, and the segments that go on from it.
type Plan struct {
	Target   Target
	Line     *Line
	Full     *Manifest
	Segments []*Manifest

	through kv.Position // end there, whatever the target; 0: at the target
}

// Bytes returns how much has to be read.
func (p *Plan) Bytes() (sum int64) {
	for _, m := range append([]*Manifest{p.Full}, p.Segments...) {
		sum += m.Stored.Bytes
	}
	return sum
}

// Plan finds the parts that a target needs. It fails with ErrIncomplete if the archive does not have it. A time that is later
// than all that is archived is taken for the last commit, since a log without new commits has no later time.
func (a *Archive) Plan(ctx context.Context, t Target) (*Plan, error) {
	catalog, err := a.Catalog(ctx)
	if err != nil {
		return nil, err
	}
	if len(catalog.Lines) == 0 {
		return nil, fmt.Errorf("%w: there is no archive of the database %q in %s", ErrIncomplete, a.Database, a.Blob)
	}
	line, err := catalog.choose(t)
	if err != nil {
		return nil, err
	}
	plan := &Plan{Target: t, Line: line}
	for _, full := range line.Fulls {
		if t.needs(full.End) {
			plan.Full = full
		}
	}
	end := plan.Full.End
	for segment := line.after(end); segment != nil && t.needs(end); segment = line.after(end) {
		plan.Segments = append(plan.Segments, segment)
		end = segment.End
	}
	return plan, nil
}

// choose returns the line that has the target.
//
// Two lines have the same time if the database went on from an earlier copy of itself. Then the first of them tells what was at
// that time; of a versionstamp the last one is meant, since that is the history which clients see.
func (c *Catalog) choose(t Target) (*Line, error) {
	if t == (Target{}) {
		return c.Lines[0], nil
	}
	lines := slices.Clone(c.Lines)
	if t.Time != 0 {
		slices.SortFunc(lines, func(a, b *Line) int { return a.ID.Compare(b.ID) })
	}
	var before, behind *Line // the last one that ends before the target, and the first one that begins behind it
	for _, l := range lines {
		switch {
		case !t.needs(l.Start()):
			if behind == nil || l.Start().Applied < behind.Start().Applied {
				behind = l
			}
		case !t.needs(l.End()):
			return l, nil
		case before == nil || l.End().Applied > before.End().Applied:
			before = l
		}
	}
	switch {
	case before == nil:
		return nil, fmt.Errorf("%w: it begins at %s (position %d), and %s lies before that", ErrIncomplete, timeText(behind.Start().Time), behind.Start().Applied, t)
	case behind != nil:
		return nil, fmt.Errorf("%w: it has nothing between %s (position %d) and %s (position %d), where %s lies", ErrIncomplete,
			timeText(before.End().Time), before.End().Applied, timeText(behind.Start().Time), behind.Start().Applied, t)
	case t.Time == 0:
		return nil, fmt.Errorf("%w: it ends at %s (position %d), and %s lies behind that", ErrIncomplete, timeText(before.End().Time), before.End().Applied, t)
	}
	return before, nil
}
