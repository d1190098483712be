package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
)

// Restored describes a state that was had again from an archive.
type Restored struct {
	Position kv.Position // that it stands at in the log it comes from
	Time     kv.Millis   // log time there
	Entries  int         // that are live now
	Expired  int         // that have expired since, and are left out
	First    kv.Position // at which the new database's log begins

	Messages int       // of the queue, that its listeners get
	Dead     int       // that are put among those that were given up, since it is not known whether they were handled
	Since    kv.Millis // messages that were enqueued before this are not known, and left out; 0: there are none
}

// New is a database that is to be made.
type New struct {
	Name  string
	After events.Chain // the place of its state, after which its log begins

	// Source names the state that the database begins with, whatever its place and its UUID: two with the same Source
	// are the same. A Place that finds a database with that Source which it has not finished may go on with it.
	Source string

	// WriteCheckpoint writes the state, for the database with that UUID, at After.
	WriteCheckpoint func(ctx context.Context, w io.Writer, database string) (events.Chain, error)

	// Messages calls each with the messages that its queue begins with, until that fails. It can be called again.
	Messages func(ctx context.Context, each func(kv.QueuedMessage) error) error
}

// ErrDatabaseExists says that a database that is to be made is there already.
var ErrDatabaseExists = errors.New("the database exists already")

// Maker makes databases.
type Maker interface {
	// Absent fails with ErrDatabaseExists if there is such a database already.
	Absent(ctx context.Context, name string) error

	// Make makes a database that begins with a checkpoint and an empty log, and reads back what it has stored. It fails with
	// ErrDatabaseExists. After any error there is no such database, or Make can be called again.
	Make(ctx context.Context, n New) error
}

// Restore makes a database that is as the archived one was at the target. Everything it reads is checked before anything
// is made. If to is nil nothing is made: Restored says what would be.
func (a *Archive) Restore(ctx context.Context, t Target, name string, to Maker) (*Restored, error) {
	plan, err := a.Plan(ctx, t)
	if err != nil {
		return nil, err
	}
	if to != nil {
		if err := to.Absent(ctx, name); err != nil {
			return nil, err
		}
	}
	state, err := a.Replay(ctx, plan)
	if err != nil {
		return nil, err
	}
	defer state.Close()
	return makeFrom(ctx, state, plan.Line.End().Applied, &archived{a, plan}, t, name, to, a.Now())
}

// makeFrom makes a database that begins with a state, of a history that has gone on to a position. If to is nil nothing is made.
func makeFrom(ctx context.Context, state State, end kv.Position, h history, t Target, name string, to Maker, now time.Time) (*Restored, error) {
	chain := state.Chain()
	r := &Restored{Position: chain.Applied, Time: chain.Time, First: FirstPosition(end, now)}
	r.Entries, r.Expired = state.Count(kv.Millis(now.UnixMilli()))
	b := backlog{history: h, target: t, at: chain}
	if err := b.count(ctx, r); err != nil {
		return nil, err
	}
	if to == nil {
		return r, nil
	}
	sum := newMeter()
	if _, err := state.WriteCheckpoint(ctx, sum, "source"); err != nil {
		return nil, err
	}
	state.BeginAfter(r.First - 1)
	n := New{Name: name, After: state.Chain(), Source: sum.sum().SHA256, WriteCheckpoint: state.WriteCheckpoint, Messages: b.each}
	if err := to.Make(ctx, n); err != nil {
		return nil, fmt.Errorf("make the database %q: %w", name, err)
	}
	return r, nil
}

// positionsPerSecond is more than a log can grow in a second.
const positionsPerSecond = 1 << 20

// farAhead is how far the first position of a restored log lies behind the archived one's end at least, whatever the clock says.
const farAhead = 1 << 32

// FirstPosition returns the first position of a log that continues one which was archived up to a position: behind any
// position that one had, or any log that was restored from the archive before has, so that no versionstamp of a future that
// was abandoned is ever given again. Those logs cannot be asked, but they have had no more than a million records a second
// since 1970.
func FirstPosition(archived kv.Position, now time.Time) kv.Position {
	return max(kv.Position(now.Unix())*positionsPerSecond, archived+farAhead)
}

// Replay returns the state that a plan leads to. The caller must close it. It fails with ErrDamaged, and with an error of events
// if the archive holds what is no history.
func (a *Archive) Replay(ctx context.Context, plan *Plan) (State, error) {
	state, err := a.readFull(ctx, plan.Full)
	if err != nil {
		return nil, err
	}
	r := replay{target: plan.Target, through: plan.through, state: state}
	for _, segment := range plan.Segments {
		if err := a.replaySegment(ctx, &r, segment); err != nil {
			return nil, errors.Join(err, state.Close())
		}
	}
	if err := r.finish(); err != nil {
		return nil, errors.Join(err, state.Close())
	}
	return state, nil
}

// readFull returns the state of a full part.
func (a *Archive) readFull(ctx context.Context, m *Manifest) (state State, err error) {
	var database string
	err = a.readPart(ctx, m, func(r io.Reader) (err error) {
		state, database, err = a.ReadState(r)
		return err
	})
	if err == nil && (database != m.DatabaseID || PlaceOf(state.Chain()) != m.End) {
		err = fmt.Errorf("%w: %s is of another database or position than its manifest says", ErrDamaged, m.base())
	}
	if err != nil {
		if state != nil {
			err = errors.Join(err, state.Close())
		}
		return nil, err
	}
	return state, nil
}

// replay applies the records of segments, in order, up to a target.
type replay struct {
	target  Target
	through kv.Position // see Plan
	state   State
	batch   []events.Sealed
	chain   events.Chain // after the batch
	began   bool
	done    bool // the target has been reached; what follows is checked, and not applied
}

// batchSize bounds how many records are applied at once.
const batchSize = 64

// replaySegment checks a whole segment, and applies those of its records that come after the state and belong to the target.
func (a *Archive) replaySegment(ctx context.Context, r *replay, m *Manifest) error {
	if !r.began {
		r.began, r.chain = true, r.state.Chain()
	}
	return a.scanSegment(ctx, m, func(s events.Sealed, after events.Chain) error {
		if s.Position <= r.chain.Applied || r.done {
			return ctx.Err()
		}
		if err := r.next(s); err != nil || r.done {
			return err
		}
		if r.chain != after { // the segment's records continue each other, and not the state
			return &events.RecordError{Position: s.Position, Err: events.ErrDiverged}
		}
		return nil
	})
}

// next takes the next record.
func (r *replay) next(s events.Sealed) error {
	next := r.chain
	counts, err := next.Accept(s)
	if err != nil {
		return err
	}
	if r.target.Time != 0 && counts && next.Time > r.target.Time {
		r.done = true
		return nil
	}
	if v := r.target.Versionstamp; !v.IsZero() && s.Position == v.Position() {
		if !counts || int(v.Index()) >= len(s.Record.Commits) {
			return fmt.Errorf("%w: there is no commit with the versionstamp %s", ErrIncomplete, v)
		}
		record := *s.Record
		record.Commits = record.Commits[:v.Index()+1]
		s.Record, r.done = &record, true
	}
	r.chain = next
	r.done = r.done || s.Position == r.through
	if r.batch = append(r.batch, s); len(r.batch) < batchSize {
		return nil
	}
	return r.flush()
}

func (r *replay) flush() error {
	err := r.state.Apply(r.batch...)
	r.batch = r.batch[:0]
	return err
}

// finish applies what is left.
func (r *replay) finish() error {
	if err := r.flush(); err != nil {
		return err
	}
	if !r.target.Versionstamp.IsZero() && !r.done {
		return fmt.Errorf("%w: it ends at position %d, before %s", ErrIncomplete, r.state.Chain().Applied, r.target)
	}
	return nil
}

// scanSegment calls each with every record of a segment, and the chain after it. It fails if the records do not lead from
// the place where the manifest says that the segment starts to the one where it ends.
func (a *Archive) scanSegment(ctx context.Context, m *Manifest, each func(s events.Sealed, after events.Chain) error) error {
	chain := m.Start.Chain()
	return a.readPart(ctx, m, func(r io.Reader) error {
		err := readSegment(r, m.Start.Applied+1, func(message events.Message) error {
			s, err := events.Open(message)
			if err != nil {
				return err
			}
			if _, err := chain.Accept(s); err != nil {
				return err
			}
			return each(s, chain)
		})
		if err == nil && PlaceOf(chain) != m.End {
			err = fmt.Errorf("%w: %s ends at another place than its manifest says", ErrDamaged, m.base())
		}
		return err
	})
}
