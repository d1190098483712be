package backup

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
)

// Verified is what Verify has looked at.
type Verified struct {
	Lines, Fulls, Segments int
	Messages               int64
	Bytes                  int64
	Sealed                 int // encrypted parts of which only the stored bytes were checked, since there is no identity
}

// Verify reads the whole archive and reports all that is wrong with it, each as an ErrDamaged or an error of events: bytes that
// are not as they were written, parts that are missing, records that do not continue each other, and full parts that are not
// what the records before them lead to.
func (a *Archive) Verify(ctx context.Context) (*Verified, error) {
	v := &Verified{}
	catalog, err := a.Catalog(ctx)
	if catalog == nil {
		return v, err
	}
	found := []error{err}
	v.Lines = len(catalog.Lines)
	for _, line := range catalog.Lines {
		found = append(found, line.checkLinks()...)
		found = append(found, a.verifyLine(ctx, line, v)...)
		if err := ctx.Err(); err != nil {
			return v, err
		}
	}
	return v, errors.Join(found...)
}

// checkLinks looks for what is missing, by the manifests alone: every segment must start where another part ends, or within
// one, and the segments must lead from the first full part to all the others.
func (l *Line) checkLinks() (found []error) {
	reached := l.Start().Applied
	for i, s := range l.Segments {
		if i == 0 { // what came before it was pruned, if it starts before the first full part
			reached = max(reached, s.Start.Applied)
			if s.Start.Applied > l.Start().Applied {
				found = append(found, l.missing(l.Start().Applied, s.Start.Applied))
			}
		}
		if s.Start.Applied > reached {
			found = append(found, l.missing(reached, s.Start.Applied))
		}
		reached = max(reached, s.End.Applied)
	}
	if last := l.Fulls[len(l.Fulls)-1].End.Applied; last > reached {
		found = append(found, l.missing(reached, last))
	}
	return found
}

func (l *Line) missing(after, through kv.Position) error {
	return fmt.Errorf("%w: no segment has the positions from %d to %d", ErrDamaged, after+1, through)
}

func (l *Line) name(m *Manifest) string { return m.Database + "/" + m.partName() }

// verifyLine reads all parts of a line.
func (a *Archive) verifyLine(ctx context.Context, l *Line, v *Verified) (found []error) {
	for _, m := range slices.Concat(l.Fulls, l.Segments) {
		v.Bytes += m.Stored.Bytes
		if m.Kind == KindFull {
			v.Fulls++
		} else {
			v.Segments++
			v.Messages += int64(m.Messages)
		}
	}
	if sealed := a.sealed(l); sealed > 0 {
		v.Sealed += sealed
		for _, m := range slices.Concat(l.Fulls, l.Segments) {
			if err := a.checkStored(ctx, m); err != nil {
				found = append(found, err)
			}
		}
		return found
	}
	return a.verifyContents(ctx, l)
}

// sealed returns how many parts cannot be read for want of an identity.
func (a *Archive) sealed(l *Line) (n int) {
	for _, m := range slices.Concat(l.Fulls, l.Segments) {
		if m.Encrypted && len(a.Identities) == 0 {
			n++
		}
	}
	return n
}

// verifyContents checks every segment on its own, and replays the line from its first full part on: at each later one the state
// must be the same, byte for byte.
func (a *Archive) verifyContents(ctx context.Context, l *Line) (found []error) {
	places := l.places()
	for _, s := range l.Segments {
		err := a.scanSegment(ctx, s, func(_ events.Sealed, after events.Chain) error {
			for _, other := range places[after.Applied] {
				if other != PlaceOf(after) {
					return fmt.Errorf("%w: at position %d %s is of another history than other parts", ErrDamaged, after.Applied, l.name(s))
				}
			}
			return ctx.Err()
		})
		if err != nil {
			found = append(found, err)
		}
	}
	for _, full := range l.Fulls {
		state, err := a.readFull(ctx, full)
		if err != nil {
			found = append(found, err)
			continue
		}
		found = append(found, state.Close())
	}
	found = slices.DeleteFunc(found, func(err error) bool { return err == nil })
	if len(found) > 0 {
		return found
	}
	for i, full := range l.Fulls[1:] {
		if err := a.verifyReplay(ctx, l, l.Fulls[i], full); err != nil {
			found = append(found, err)
		}
	}
	return found
}

// places returns all that the manifests say of places, by position.
func (l *Line) places() map[kv.Position][]Place {
	places := map[kv.Position][]Place{}
	for _, m := range slices.Concat(l.Fulls, l.Segments) {
		places[m.End.Applied] = append(places[m.End.Applied], m.End)
		if m.Start != nil {
			places[m.Start.Applied] = append(places[m.Start.Applied], *m.Start)
		}
	}
	return places
}

// verifyReplay replays the segments between two full parts.
func (a *Archive) verifyReplay(ctx context.Context, l *Line, from, to *Manifest) error {
	plan := &Plan{Line: l, Full: from}
	for end := from.End; end.Applied < to.End.Applied; {
		segment := l.after(end)
		if segment == nil {
			return nil // checkLinks has said so
		}
		plan.Segments, end = append(plan.Segments, segment), segment.End
	}
	plan.through = to.End.Applied
	state, err := a.Replay(ctx, plan)
	if err != nil {
		return err
	}
	defer state.Close()
	sum := newMeter()
	if _, err := state.WriteCheckpoint(ctx, sum, to.DatabaseID); err != nil {
		return err
	}
	if sum.sum() != to.Plain {
		return fmt.Errorf("%w: %s is not what the records before it lead to", ErrDamaged, l.name(to))
	}
	return nil
}
