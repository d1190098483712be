package history

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
)

// walk goes through the history of a database, from a base up to a position. It can be left at any record, and go on from there.
type walk struct {
	d      *Database
	end    kv.Position
	chain  events.Chain  // of the last record that was read
	reader events.Reader // nil: to be begun, behind the chain
}

// begin reads the base: f gets its entries in the order of keys, until it returns false.
func (w *walk) begin(ctx context.Context, base Checkpoint, f func(kv.Entry) bool) error {
	w.chain = events.Chain{}
	if base.Position == 0 {
		return nil
	}
	in, err := base.Open(ctx)
	if err != nil {
		return fmt.Errorf("open the checkpoint at position %d: %w", base.Position, err)
	}
	defer in.Close()
	chain, database, err := projection.ScanCheckpoint(in, f)
	switch {
	case err != nil:
		return fmt.Errorf("the checkpoint at position %d: %w", base.Position, err)
	case database != w.d.ID || chain.Applied != base.Position:
		return fmt.Errorf("%w: that at position %d is of the database %s at position %d", projection.ErrCheckpoint, base.Position, database, chain.Applied)
	}
	w.chain = chain
	return nil
}

// stalledAfter bounds how long a record may take that is known to be there.
const stalledAfter = 30 * time.Second

var errStalled = errors.New("the log does not deliver its records")

// records calls f with each record behind the chain, whether it counts, and the chain with it, until the end is reached: then it returns
// nil. An error of f ends it before the record, errPause behind it; either is returned.
func (w *walk) records(ctx context.Context, f func(s events.Sealed, counts bool, after events.Chain) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	patience := time.AfterFunc(stalledAfter, func() { cancel(errStalled) })
	defer patience.Stop()
	defer w.leave()
	for w.chain.Applied < w.end {
		patience.Reset(stalledAfter)
		err := w.record(ctx, f)
		switch {
		case err == nil:
		case errors.Is(err, events.ErrGap):
			return w.d.trimmed(ctx, w.chain.Applied+1, err)
		case context.Cause(ctx) == errStalled:
			return fmt.Errorf("%w: it is known to have one at position %d", errStalled, w.chain.Applied+1)
		default:
			return err
		}
	}
	return nil
}

func (w *walk) record(ctx context.Context, f func(events.Sealed, bool, events.Chain) error) error {
	if w.reader == nil {
		w.reader = events.Resume(w.d.Log, w.chain.Applied+1)
	}
	m, err := w.reader.Next(ctx)
	if err != nil {
		return err
	}
	s, err := events.Open(m)
	if err != nil {
		return err
	}
	after := w.chain
	counts, err := after.Accept(s)
	if err != nil {
		return err
	}
	err = f(s, counts, after)
	if err == nil || err == errPause {
		w.chain = after
	}
	return err
}

func (w *walk) leave() {
	if w.reader != nil {
		w.reader.Close()
		w.reader = nil
	}
}

// beginBest begins at the best base that is whole, the last one first. Before each try reset is called.
func (w *walk) beginBest(ctx context.Context, bases []Checkpoint, reset func(), f func(kv.Entry) bool) error {
	var failed error
	for i := len(bases) - 1; i >= 0; i-- {
		reset()
		err := w.begin(ctx, bases[i], f)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		w.d.Logger.Warn("a checkpoint was passed over when the past was read", "database", w.d.ID, "error", err)
		failed = errors.Join(failed, err)
	}
	return failed
}

// How a walk is ended before its end.
var (
	errEnough = errors.New("nothing more is wanted")
	errPause  = errors.New("the rest comes later")
)
