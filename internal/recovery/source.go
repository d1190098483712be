package recovery

import (
	"context"
	"errors"
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

// Base implements Source. The directory's own checkpoint helps where those in NATS do not: a restored database begins with it.
func (s folded) Base(ctx context.Context, t backup.Target) (b backup.Base, err error) {
	p, oldest, err := base(ctx, s.Log, t)
	if errors.Is(err, events.ErrGap) {
		p, oldest, err = s.ownBase(ctx, t, err)
	}
	if err != nil {
		return b, err
	}
	b = backup.Base{State: state{p}, Oldest: oldest}
	if oldest == s.After() {
		b.Messages = s.backlog
	}
	return b, nil
}

// ownBase returns the state of the directory's newest checkpoint; it fails with the error none if that does not lead to the target.
func (s folded) ownBase(ctx context.Context, t backup.Target, none error) (p *projection.Projection, oldest events.Chain, err error) {
	first, _, err := s.Bounds(ctx)
	if err != nil {
		return nil, oldest, err
	}
	if p, err = s.checkpoint(); err != nil {
		return nil, oldest, err
	}
	at := p.Chain()
	if at.Applied+1 < first || !t.Needs(at.Applied, at.Time) {
		return nil, oldest, errors.Join(none, p.Close())
	}
	if oldest = s.After(); oldest.Applied+1 != first { // trimmed
		oldest = at
	}
	return p, oldest, nil
}
