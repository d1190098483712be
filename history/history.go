// Package history answers what a database was at any moment that its log, and the checkpoints from which the log goes on, still
// tell.
//
// An answer is folded anew each time, from the newest checkpoint at or before the moment, or from nothing if the log is whole:
// only what concerns the keys that are asked for is kept, and no more of that at once than a bound. DESIGN.md has the rules.
package history

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"math"
	"runtime"
	"slices"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
)

// Log is the log of a database, as far as the past needs it.
type Log interface {
	Bounds(ctx context.Context) (first, last kv.Position, err error)
	Read(ctx context.Context, from kv.Position) (events.Reader, error)
}

// Checkpoint is the state of a database at a position, kept somewhere.
type Checkpoint struct {
	Position kv.Position
	Time     kv.Millis // log time there
	Open     func(ctx context.Context) (io.ReadCloser, error)
}

// Checkpoints are those that are kept of a database.
type Checkpoints interface {
	// List returns the checkpoints, in any order. One that is listed may be gone when it is opened.
	List(ctx context.Context) ([]Checkpoint, error)
}

// Database is where the past of a database is.
type Database struct {
	ID          string // its UUID
	Log         Log
	Checkpoints Checkpoints // nil: there are none
	Slots       Slots       // shared by the databases of a process
	Logger      *slog.Logger
}

// Slots bounds how many goroutines fold the past at once. A nil Slots bounds nothing.
type Slots chan struct{}

// NewSlots returns the slots of a process: half as many as it has processors, since folding may keep one busy for seconds, and other
// reads must find one that is not.
func NewSlots() Slots { return make(Slots, max(1, runtime.GOMAXPROCS(0)/2)) }

// acquire waits for a slot. It fails when ctx ends.
func (s Slots) acquire(ctx context.Context) (release func(), err error) {
	if s == nil {
		return func() {}, nil
	}
	select {
	case s <- struct{}{}:
		return func() { <-s }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// endOf returns the moment just after all commits of the record at p; of position 0, one before all commits.
func endOf(p kv.Position) kv.Versionstamp { return kv.NewVersionstamp(p, math.MaxUint16) }

// bases returns the states from which the log leads on, the oldest first. The last position of interest is end.
func (d *Database) bases(ctx context.Context, end kv.Position) ([]Checkpoint, error) {
	var list []Checkpoint
	if d.Checkpoints != nil {
		var err error
		if list, err = d.Checkpoints.List(ctx); err != nil {
			return nil, err
		}
	}
	first, _, err := d.Log.Bounds(ctx) // after the list: a log is trimmed up to a checkpoint that is in it
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(slices.Clone(list), func(c Checkpoint) bool { return c.Position+1 < first || c.Position > end })
	if first <= 1 {
		list = slices.Insert(list, 0, Checkpoint{})
	}
	slices.SortFunc(list, func(a, b Checkpoint) int { return cmp.Compare(a.Position, b.Position) })
	if len(list) == 0 {
		return nil, kv.Errorf(kv.ErrGone, "no history is kept of this database: its log begins at position %d, and there is no checkpoint from which it goes on", first)
	}
	return list, nil
}

// holds reports whether the state of a base is not later than the moment.
func (c Checkpoint) holds(m kv.Moment) bool {
	return c.Position == 0 || m.Includes(endOf(c.Position), c.Time)
}

// reaching returns the bases that lead to the moment, the best last. It fails with kv.ErrGone.
func reaching(bases []Checkpoint, m kv.Moment) ([]Checkpoint, error) {
	n := len(bases)
	for n > 0 && !bases[n-1].holds(m) {
		n--
	}
	if n > 0 {
		return bases[:n], nil
	}
	oldest := bases[0]
	return nil, kv.Errorf(kv.ErrGone, "the history that is kept of this database begins at %s; %s lies before that",
		kv.Moment{Versionstamp: endOf(oldest.Position), Time: oldest.Time}, m)
}

// trimmed is what the gap before the record at next comes from, if the log was trimmed meanwhile.
func (d *Database) trimmed(ctx context.Context, next kv.Position, gap error) error {
	if first, _, err := d.Log.Bounds(ctx); err == nil && first > next {
		return kv.Errorf(kv.ErrUnavailable, "the log was trimmed while its past was read; try again")
	}
	return gap
}
