package recovery

import (
	"context"
	"io"

	"github.com/millpondkv/millpond/backup"
	"github.com/millpondkv/millpond/engine"
	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/events/natslog"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
)

// Source is a database that can be backed up, and branched.
type Source interface {
	backup.Source

	// Base returns where the states of the database begin that can be had from its log. The caller closes the state.
	Base(ctx context.Context, t backup.Target) (backup.Base, error)
}

// folded is a database of a data directory.
type folded struct {
	*natslog.Log
	checkpoint func() (*projection.Projection, error)                    // the newest
	state      func(ctx context.Context) (*projection.Projection, error) // at the end of the log

	backlog func(ctx context.Context, each func(kv.QueuedMessage) error) error // of the queue where the log begins
}

// Stopped returns a database of a data directory as a source.
func Stopped(ctx context.Context, dir *engine.Stopped, database string) (Source, error) {
	log, err := dir.Log(ctx, database)
	if err != nil {
		return nil, err
	}
	return folded{log,
		func() (*projection.Projection, error) { return dir.Checkpoint(log) },
		func(ctx context.Context) (*projection.Projection, error) { return dir.State(ctx, log) },
		dir.Backlog(log),
	}, nil
}

// Open returns a database of an engine that runs as a source.
func Open(db *engine.Database) Source { return folded{db.Log(), db.Checkpoint, db.State, db.Backlog()} }

// WriteCheckpoint implements backup.Source.
func (s folded) WriteCheckpoint(ctx context.Context, w io.Writer) (events.Chain, error) {
	p, err := s.state(ctx)
	if err != nil {
		return events.Chain{}, err
	}
	defer p.Close()
	return p.WriteCheckpoint(ctx, w, s.ID())
}

// Base implements Source.
func (s folded) Base(ctx context.Context, t backup.Target) (b backup.Base, err error) {
	first, _, err := s.Bounds(ctx)
	if err != nil {
		return b, err
	}
	p, err := s.checkpoint()
	if err != nil {
		return b, err
	}
	at := p.Chain()
	if at.Applied+1 < first || !t.Needs(at.Applied, at.Time) {
		if err := p.Close(); err != nil {
			return b, err
		}
		if p, err = empty(s.Log, first, t); err != nil {
			return b, err
		}
	}
	b = backup.Base{State: state{p}}
	if b.Oldest = s.After(); b.Oldest.Applied+1 == first {
		b.Messages = s.backlog
	} else { // trimmed
		b.Oldest = p.Chain()
	}
	return b, nil
}
