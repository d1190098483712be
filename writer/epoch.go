package writer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/internal/trouble"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
	"github.com/oklog/ulid/v2"
)

// beginEpoch makes this writer the leader: it reads the log to its end, appends an epoch record there, and reads through
// that. When it returns nil, every record of earlier epochs is either applied or void for ever. It tries until it
// succeeds, ctx ends, the log turns out to be damaged, or another writer leads: ErrDeposed.
func (s *Sequencer) beginEpoch(ctx context.Context) error {
	before := s.c.Projection.Chain().Epoch
	p := patience{trouble: trouble.Trouble{Logger: s.c.Logger, What: "cannot begin an epoch"}}
	for {
		begun, err := s.tryEpoch(ctx, s.writer, before)
		switch {
		case errors.Is(err, ErrDeposed):
			return err
		case begun:
			s.c.Logger.Info("leading", "epoch", s.c.Projection.Chain().Epoch)
			s.c.Metrics.EpochBegun()
			return nil
		case p.goesOn(ctx, s.c.Projection.Chain().Applied, err):
		case ctx.Err() != nil:
			return ctx.Err()
		default:
			return err
		}
	}
}

// tryEpoch appends one epoch record and reports whether it counts. It fails with events.ErrFenced if the log has grown
// meanwhile.
//
// The record of an earlier try, after the epoch before, may have come into the log although its answer did not come in
// time. If nothing follows it, it is as good as a new one; on a slow disk there might never be a better one.
func (s *Sequencer) tryEpoch(ctx context.Context, writer ulid.ULID, before kv.Position) (begun bool, err error) {
	if err := s.catchUp(ctx); err != nil {
		return false, err
	}
	if c := s.c.Projection.Chain(); c.Writer == writer && c.Epoch > before && c.Epoch == c.Applied {
		return true, nil
	}
	if s.deposed() {
		return false, ErrDeposed
	}
	ctx, cancel := context.WithTimeout(ctx, appendTimeout)
	defer cancel()
	chain := s.c.Projection.Chain()
	record := &events.Record{Kind: events.KindEpoch, Epoch: chain.Epoch, Previous: chain.Hash, Time: max(s.c.Now(), s.earliest(chain)), Writer: writer}
	if !writer.IsZero() && !s.c.Exclusive {
		record.Lease = max(s.c.Lease, time.Millisecond) // it cannot say that there is none
	}
	sealed, data := events.Seal(chain.Applied+1, record)
	sent := time.Now()
	if _, err := s.c.Log.Append(ctx, events.Append{Kind: record.Kind, Data: data, Last: chain.Applied}); err != nil {
		return false, err
	}
	if err := s.c.Projection.Apply(sealed); err != nil {
		return false, err
	}
	s.renew(sent, record.Time)
	return true, nil
}

// earliest returns where the log time of an epoch after that chain begins. A leader that did not resign may have given read
// indexes of later times than its last record has, up to the end of its lease, and by a clock that is ahead of this one.
func (s *Sequencer) earliest(chain events.Chain) kv.Millis {
	if chain.Writer == s.writer || s.c.Exclusive {
		return chain.Time
	}
	return chain.Time + kv.Millis(leaseOf(chain, s.c.Lease).Milliseconds())
}

// leaseOf returns the lease of who leads by the chain. One that has not said its own has unsaidLease, or own if that is longer.
func leaseOf(chain events.Chain, own time.Duration) time.Duration {
	switch {
	case chain.Writer.IsZero():
		return 0
	case chain.Lease == 0:
		return max(own, unsaidLease)
	}
	return chain.Lease
}

// deposed reports whether somebody else leads: the log has gone on since this writer found it without a leader, and not by
// this writer.
func (s *Sequencer) deposed() bool {
	chain := s.c.Projection.Chain()
	return s.c.Yields && chain.Writer != s.writer && chain.Counted != s.c.From
}

// catchUp applies what the log has. The bounds are a hint only; the epoch record's fence is what makes sure.
func (s *Sequencer) catchUp(ctx context.Context) error {
	asking, cancel := context.WithTimeout(ctx, boundsTimeout)
	_, last, err := s.c.Log.Bounds(asking)
	cancel()
	if err != nil {
		return err
	}
	ctx, cancel = context.WithTimeout(ctx, catchUpTimeout) // what was applied by then stays
	defer cancel()
	return s.c.Projection.CatchUp(ctx, s.c.Log, last)
}

// settle finds out what became of a group whose append failed: a new epoch is begun, and what is in the log then was
// committed, the rest never will be. Requests of a group that is not in the log wait again, before the others.
func (s *Sequencer) settle(ctx context.Context, g *group, requests []*request) error {
	s.leading.Store(false)
	err := s.beginEpoch(ctx)
	s.land()
	if err != nil && !errors.Is(err, ErrDeposed) {
		s.refuse(requests, errUnknownOutcome)
		return fmt.Errorf("find out the outcome of the record at %d: %w", g.position, err)
	}
	switch committed, known := s.outcome(g); {
	case !known:
		s.refuse(requests, errUnknownOutcome)
	case committed:
		s.answer(requests)
	case err != nil: // another writer's epoch has made the record void for ever
		s.refuse(requests, errClosed)
	default:
		for _, r := range requests {
			r.again(g.position)
		}
		s.putBack(requests)
	}
	return err
}

// outcome reports whether the group's record was committed: its first commit is at its position then. (It may be elsewhere,
// if another writer led meanwhile and got the request from its client again.) It is not known if so much has happened since
// that the ids of that time are no longer kept. A group without commits changed nothing and is decided again.
func (s *Sequencer) outcome(g *group) (committed, known bool) {
	if len(g.commits) == 0 {
		return false, true
	}
	s.c.Projection.View(func(v projection.View) {
		stamp, found, complete := v.Recent(g.commits[0].ID)
		committed = found && stamp.Position() == g.position
		known = committed || complete <= g.position
	})
	return committed, known
}

// resign ends this writer's epoch, so that the next leader need not wait. That it fails does no harm.
func (s *Sequencer) resign(ctx context.Context) error {
	if _, err := s.tryEpoch(ctx, ulid.ULID{}, s.c.Projection.Chain().Epoch); err != nil {
		s.c.Logger.Warn("could not resign", "error", err)
	}
	return nil
}

func isDamage(err error) bool {
	return errors.Is(err, events.ErrCorrupt) || errors.Is(err, events.ErrGap) || errors.Is(err, events.ErrDiverged) || errors.Is(err, events.ErrNewerFormat)
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
