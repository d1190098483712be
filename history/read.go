package history

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
)

const (
	partBytes = 512 << 10 // of a part of the answer, unless a single thing is larger: a message holds it
	foldBytes = 32 << 20  // of what is folded at once; what does not fit into that is folded in another pass
	// futureSlack is how far a time may lie ahead, in milliseconds: the clock of who asks may be ahead.
	futureSlack = 10_000
)

// Read is the answer to one question about the past. It is for one goroutine, and holds nothing but memory between calls.
type Read struct {
	d     *Database
	want  kv.HistoryRead // what has not been folded yet
	end   kv.Position
	now   kv.Millis
	most  int // foldBytes; tests lower it
	next  func(ctx context.Context) (kv.HistoryPart, error)
	bases []Checkpoint

	fold     *fold     // what is being shown
	versions *versions // likewise
}

// Read begins to answer want, of the log up to position end, at the time now. It does no work yet. It fails with kv.ErrInvalid.
func (d *Database) Read(want kv.HistoryRead, end kv.Position, now kv.Millis) (*Read, error) {
	if err := want.Validate(); err != nil {
		return nil, err
	}
	for _, m := range []kv.Moment{want.From, want.To} {
		switch {
		case m.Versionstamp.Position() > end:
			return nil, kv.Invalidf("the versionstamp %s names no commit of this database: its log ends at position %d", m.Versionstamp, end)
		case m.Versionstamp.IsZero() && m.Time > now+futureSlack:
			return nil, kv.Invalidf("%s lies in the future: it is %s now", m, now)
		}
	}
	r := &Read{d: d, want: want, end: end, now: now, most: foldBytes}
	r.next = r.nextOfFold
	if want.Kind == kv.HistoryVersions {
		r.next = r.nextVersions
	}
	return r, nil
}

// Next returns the next part, which has something in it but the first, or io.EOF behind the last one. It may read the whole log for it,
// and ends soon after ctx has. It fails with kv.ErrGone, kv.ErrInvalid if a versionstamp names no commit, and with kv.ErrUnavailable when
// something cannot be read, which is logged: another replica of it may be whole. After an error there is no next part.
func (r *Read) Next(ctx context.Context) (kv.HistoryPart, error) {
	part, err := r.next(ctx)
	var user *kv.Error
	switch {
	case err == nil, err == io.EOF, ctx.Err() != nil, errors.As(err, &user):
		return part, err
	}
	r.d.Logger.Error("the past of a database cannot be read", "database", r.d.ID, "error", err)
	return part, fmt.Errorf("%w (%w)", kv.Errorf(kv.ErrUnavailable, "The log of the database, or a checkpoint, cannot be read from here; the server's own log says why."), err)
}

// findBases asks once where the log can be begun.
func (r *Read) findBases(ctx context.Context) (err error) {
	if r.bases == nil {
		r.bases, err = r.d.bases(ctx, r.end)
	}
	return err
}

func (r *Read) nextOfFold(ctx context.Context) (part kv.HistoryPart, err error) {
	first := r.fold == nil
	for first || r.fold.states.Len() == 0 {
		if !first && !r.fold.rest(&r.want) {
			return part, io.EOF
		}
		if err := r.pass(ctx); err != nil {
			return part, err
		}
		if first {
			break // it says how the moments were understood, whatever it has
		}
	}
	part = r.fold.part()
	if r.want.Limit > 0 {
		if r.want.Limit -= len(part.Entries); r.want.Limit == 0 {
			r.next = func(context.Context) (kv.HistoryPart, error) { return kv.HistoryPart{}, io.EOF }
		}
		r.fold.limit = r.want.Limit
	}
	if part.Len() == 0 && !first {
		return r.nextOfFold(ctx)
	}
	return part, nil
}

// pass folds as much as fits, and makes moments of the question's that are the same in the next pass.
func (r *Read) pass(ctx context.Context) error {
	release, err := r.d.Slots.acquire(ctx)
	if err != nil {
		return err
	}
	defer release()
	if err := r.findBases(ctx); err != nil {
		return err
	}
	bases, err := reaching(r.bases, r.want.To)
	if err == nil && r.want.Kind == kv.HistoryDifferences {
		if bases, err = reaching(r.bases, r.want.From); err == nil && !bases[len(bases)-1].holds(r.want.To) {
			err = r.errOrder()
		}
	}
	if err != nil {
		return err
	}
	w := walk{d: r.d, end: r.through()}
	err = w.beginBest(ctx, bases, func() { r.fold = newFold(&r.want, r.most) }, func(e kv.Entry) bool { return r.fold.base(e) })
	if err != nil {
		return err
	}
	f := r.fold
	for _, c := range f.cuts() {
		c.at, c.time = endOf(w.chain.Applied), w.chain.Time
	}
	err = w.records(ctx, func(s events.Sealed, counts bool, after events.Chain) error {
		if err := named(r.want.From, s, counts); err != nil {
			return err
		}
		if err := named(r.want.To, s, counts); err != nil {
			return err
		}
		more := f.record(s, counts, after.Time)
		switch {
		case f.misordered:
			return r.errOrder()
		case !more:
			return errEnough
		}
		return nil
	})
	if err != nil && err != errEnough {
		return err
	}
	f.close(r.now)
	r.want.From, r.want.To = f.from.moment, f.to.moment
	return nil
}

func (r *Read) errOrder() error {
	return kv.Invalidf("the first moment, %s, lies after the second one, %s", r.want.From, r.want.To)
}

// through returns the last position that need be read: with a versionstamp the one behind it, to see whether From is there.
func (r *Read) through() kv.Position {
	if v := r.want.To.Versionstamp; !v.IsZero() {
		return min(r.end, v.Position()+1)
	}
	return r.end
}

// named fails if the moment is a commit in this record which is not there.
func named(m kv.Moment, s events.Sealed, counts bool) error {
	v := m.Versionstamp
	if v.IsZero() || v.Position() != s.Position || v.Index() == math.MaxUint16 || counts && int(v.Index()) < len(s.Record.Commits) {
		return nil
	}
	return kv.Invalidf("the versionstamp %s names no commit of this database", v)
}
