package backup

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/millpondkv/millpond/kv"
	"github.com/oklog/ulid/v2"
)

// Pruned is what Prune has deleted.
type Pruned struct {
	Parts      int
	Bytes      int64
	Unfinished int // parts without a manifest
}

// unfinishedFor is how old a part without a manifest must be to be taken for one that a crash has left.
const unfinishedFor = 24 * time.Hour

// clearer is a Blob in which a crash leaves something that has no name yet.
type clearer interface {
	Clear(ctx context.Context, since time.Time) error
}

// Prune deletes what is not needed to restore the database to any moment of the last keep, and what a crash has left. With
// dryRun it only says what it would delete. A crash on the way leaves an archive that lacks some of what was to go.
func (a *Archive) Prune(ctx context.Context, keep time.Duration, dryRun bool) (Pruned, error) {
	var p Pruned
	catalog, err := a.Catalog(ctx)
	if err != nil {
		return p, err
	}
	for _, m := range catalog.unneeded(kv.Millis(a.Now().Add(-keep).UnixMilli())) {
		p.Parts++
		p.Bytes += m.Stored.Bytes
		if dryRun {
			continue
		}
		if err := a.remove(ctx, m); err != nil {
			return p, err
		}
	}
	if blob, ok := a.Blob.(clearer); ok && !dryRun {
		if err := blob.Clear(ctx, a.Now().Add(-unfinishedFor)); err != nil {
			return p, err
		}
	}
	for _, name := range catalog.Orphans {
		if a.Now().Sub(partTime(name)) < unfinishedFor {
			continue
		}
		p.Unfinished++
		if dryRun {
			continue
		}
		if err := a.Blob.Delete(ctx, name); err != nil {
			return p, err
		}
	}
	return p, nil
}

// partTime returns when a part was begun, which its id tells; the zero time if that is none.
func partTime(name string) time.Time {
	base := strings.TrimSuffix(name, partSuffix)
	id, err := ulid.ParseStrict(base[strings.LastIndexByte(base, '-')+1:])
	if err != nil {
		return time.Time{}
	}
	return id.Timestamp()
}

// unneeded returns the parts that no target at that time or later needs, in an order in which they can be deleted one by one.
func (c *Catalog) unneeded(since kv.Millis) (list []*Manifest) {
	list = slices.Clone(c.strays)
	for i, l := range c.Lines {
		if i > 0 && l.End().Time < since && coveredLater(c.Lines, l, since) {
			list = append(list, l.Fulls...) // without them the segments are nothing
			list = append(list, l.Segments...)
			continue
		}
		base := l.Fulls[0]
		for _, full := range l.Fulls {
			if full.End.Time < since { // so that no commit of that very millisecond is lost
				base = full
			}
		}
		for _, m := range l.Fulls {
			if m.End.Applied < base.End.Applied {
				list = append(list, m)
			}
		}
		reached := base.End.Applied
		for _, m := range l.Segments {
			if m.End.Applied <= reached { // by other segments too: it was merged, and a crash has kept it from being deleted
				list = append(list, m)
			}
			reached = max(reached, m.End.Applied)
		}
	}
	return list
}

// coveredLater reports whether another line has the moment since, so that it is not the end of l which tells what was then.
func coveredLater(lines []*Line, l *Line, since kv.Millis) bool {
	for _, other := range lines {
		if other != l && other.Start().Time <= since && other.End().Time >= l.End().Time {
			return true
		}
	}
	return false
}
