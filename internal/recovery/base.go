package recovery

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/millpondkv/millpond/backup"
	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/events/natslog"
	"github.com/millpondkv/millpond/internal/checkpoints"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
)

// Base returns where the states of the database begin that can be had from its log: with the newest checkpoint of the cluster that is
// not behind the target, or with nothing where the log is whole. The caller closes the state.
func (c *Cluster) Base(ctx context.Context, t backup.Target) (backup.Base, error) {
	log, err := c.open(ctx)
	if err != nil {
		return backup.Base{}, err
	}
	p, oldest, err := base(ctx, log, t)
	if err != nil {
		return backup.Base{}, err
	}
	b := backup.Base{State: state{p}, Oldest: oldest}
	if oldest == log.After() {
		b.Messages = checkpoints.Backlog(log.JetStream(), log.ID(), oldest.Applied)
	}
	return b, nil
}

func base(ctx context.Context, log *natslog.Log, t backup.Target) (p *projection.Projection, oldest events.Chain, err error) {
	first, _, err := log.Bounds(ctx)
	if err != nil {
		return nil, oldest, err
	}
	s, err := openStored(ctx, log)
	if err != nil {
		return nil, oldest, err
	}
	if oldest, err = s.oldest(ctx, first); err != nil {
		return nil, oldest, err
	}
	p, skipped := s.newest(ctx, first, t)
	if p == nil {
		p, err = empty(log, first, t)
	}
	if p == nil {
		err = errors.Join(err, skipped)
	}
	return p, oldest, err
}

// empty returns the state before the first record of a log that is whole.
func empty(log *natslog.Log, first kv.Position, t backup.Target) (*projection.Projection, error) {
	if first == 1 {
		return projection.New(projection.Options{}), nil
	}
	return nil, fmt.Errorf("%w: the log of %q begins at %d, and no checkpoint is kept that leads to %s; what was before can be had from an archive only",
		events.ErrGap, log.Database(), first, t)
}

// stored is the checkpoints of a database that its cluster keeps.
type stored struct {
	bucket *checkpoints.Bucket // nil: there are none
	id     string
	list   []checkpoints.Info // oldest first
}

func openStored(ctx context.Context, log *natslog.Log) (s *stored, err error) {
	s = &stored{id: log.ID()}
	if s.bucket, err = checkpoints.Open(ctx, log.JetStream(), checkpoints.Config{}); errors.Is(err, checkpoints.ErrNone) {
		return s, nil
	}
	if err == nil {
		s.list, err = s.bucket.List(ctx, s.id)
	}
	return s, err
}

// newest returns the state of the newest checkpoint that is not behind the target and from which the log goes on, which begins at
// first; nil if there is none, and then also what was wrong with others.
func (s *stored) newest(ctx context.Context, first kv.Position, t backup.Target) (p *projection.Projection, skipped error) {
	for _, info := range slices.Backward(s.list) {
		if info.Position+1 < first || !t.Needs(info.Position, info.Time) {
			continue
		}
		p, err := s.bucket.Load(ctx, s.id, info.Position, projection.Options{})
		if err == nil {
			return p, nil
		}
		skipped = errors.Join(skipped, fmt.Errorf("the checkpoint at %d: %w", info.Position, err))
	}
	return nil, skipped
}

// oldest returns the place of the oldest checkpoint from which the log goes on; zero if the log begins with its first record, or if
// there is none.
func (s *stored) oldest(ctx context.Context, first kv.Position) (events.Chain, error) {
	for _, info := range s.list {
		if first == 1 || info.Position+1 < first {
			continue
		}
		contents, err := s.bucket.Get(ctx, s.id, info.Position)
		if err != nil {
			return events.Chain{}, err
		}
		defer contents.Close()
		chain, _, err := projection.ReadChain(contents)
		return chain, err
	}
	return events.Chain{}, nil
}
