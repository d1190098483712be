package projection

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
)

// readAhead bounds the records that are decoded and wait to be applied: 64 of the largest are 58 MB.
const readAhead = 64

// CatchUp applies the log's records from where the projection is through position through, and returns then. It blocks
// while the log does not have that position, but fails with ErrStalled if nothing comes for long. Any damage or gap ends it
// with an error of events.
//
// Where the log does not reach back to where the projection is, it goes on from a checkpoint (Options.Checkpoint), which may
// be beyond through; without a good one the error is events.ErrTrimmed. The same is true of Follow.
func (p *Projection) CatchUp(ctx context.Context, log events.Log, through kv.Position) error {
	if p.Applied() >= through {
		return nil
	}
	return p.follow(ctx, log, through)
}

// Follow applies the log's records from where the projection is, as they come, until ctx ends or a record cannot be
// applied, and returns why it ended.
func (p *Projection) Follow(ctx context.Context, log events.Log) error {
	return p.follow(ctx, log, 0)
}

func (p *Projection) follow(ctx context.Context, log events.Log, through kv.Position) error {
	if p.Applied() == 0 {
		if err := p.begin(ctx, log); err != nil {
			return err
		}
	}
	for {
		if through != 0 && p.Applied() >= through {
			return nil
		}
		err := p.read(ctx, log, through)
		if !errors.Is(err, events.ErrGap) {
			return err
		}
		if trimmed, trimErr := p.reach(ctx, log); trimErr != nil || !trimmed {
			return cmp.Or(trimErr, err)
		}
	}
}

// begin takes the state of a checkpoint over if that is shorter than to read the whole log, or the log is not whole any more.
func (p *Projection) begin(ctx context.Context, log events.Log) error {
	trimmed, err := p.reach(ctx, log)
	if err != nil || trimmed || p.options.Checkpoint == nil {
		return err
	}
	_ = p.takeOver(ctx, log, 1) // otherwise the whole log will do
	return nil
}

// reach goes on from a checkpoint if the log does not reach back to where the projection is, and reports whether that was so.
func (p *Projection) reach(ctx context.Context, log events.Log) (trimmed bool, err error) {
	first, _, err := log.Bounds(ctx)
	if err != nil || first <= p.Applied()+1 {
		return false, err
	}
	if err := p.takeOver(ctx, log, first-1); err != nil {
		return true, fmt.Errorf("%w: it begins at %d, what was read of it ends at %d, and nothing helps over that: %w", events.ErrTrimmed, first, p.Applied(), err)
	}
	return true, nil
}

// read reads and decodes in one goroutine and applies in this one, as much at a time as is there.
func (p *Projection) read(ctx context.Context, log events.Log, through kv.Position) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	reader, err := p.reader(ctx, log, through)
	if err != nil {
		return err
	}
	records := make(chan events.Sealed, readAhead)
	failed := make(chan error, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer reader.Close()
		failed <- decodeInto(ctx, reader, records, through)
		close(records)
	}()
	defer func() { cancel(); <-done }()
	for first := range records {
		if err := p.Apply(gather(first, records)...); err != nil {
			return fmt.Errorf("fold the log: %w", err)
		}
	}
	return <-failed
}

// reader is one of a log: who reads it through does not come back when it is lost, as who follows it does.
func (p *Projection) reader(ctx context.Context, log events.Log, through kv.Position) (events.Reader, error) {
	next := p.Chain().Applied + 1
	if through != 0 {
		return events.Resume(log, next), nil
	}
	return log.Read(ctx, next)
}

// decodeInto reads and decodes records until the one at through, or an error.
func decodeInto(ctx context.Context, reader events.Reader, records chan<- events.Sealed, through kv.Position) error {
	waiting, stalled := context.WithCancelCause(ctx)
	defer stalled(nil)
	var patience *time.Timer // nil if a message may take as long as it likes
	if through != 0 {
		patience = time.AfterFunc(stalledAfter, func() { stalled(ErrStalled) })
		defer patience.Stop()
	}
	for {
		if patience != nil {
			patience.Reset(stalledAfter)
		}
		m, err := reader.Next(waiting)
		if patience != nil {
			patience.Stop() // applying may take longer
		}
		if err != nil && context.Cause(waiting) == ErrStalled {
			return fmt.Errorf("%w: none came for %v, and it should go on to position %d", ErrStalled, stalledAfter, through)
		}
		if err != nil {
			return err
		}
		s, err := events.Open(m)
		if err != nil {
			return err
		}
		select {
		case records <- s:
		case <-ctx.Done():
			return ctx.Err()
		}
		if m.Position == through {
			return nil
		}
	}
}

// ErrStalled says that a log does not deliver a message that it should have.
var ErrStalled = errors.New("the log does not deliver its messages")

// stalledAfter bounds how long a message may take that is known to be there.
const stalledAfter = 30 * time.Second

// gather returns first and what else has been decoded already.
func gather(first events.Sealed, records <-chan events.Sealed) []events.Sealed {
	batch := []events.Sealed{first}
	for len(batch) < readAhead {
		select {
		case s, ok := <-records:
			if !ok {
				return batch
			}
			batch = append(batch, s)
		default:
			return batch
		}
	}
	return batch
}
