package recovery

import (
	"context"
	"fmt"
	"io"

	"github.com/millpondkv/millpond/backup"
	"github.com/millpondkv/millpond/engine"
	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/events/natslog"
	"github.com/millpondkv/millpond/projection"
)

// logSource is a database of which there is only the log: its state is folded from that.
type logSource struct{ *natslog.Log }

// WriteCheckpoint implements backup.Source.
func (s logSource) WriteCheckpoint(ctx context.Context, w io.Writer) (events.Chain, error) {
	first, end, err := s.Bounds(ctx)
	if err != nil {
		return events.Chain{}, err
	}
	if first > 1 {
		return events.Chain{}, fmt.Errorf("%w: the log of %q begins at %d; its state cannot be had from it alone", events.ErrGap, s.Database(), first)
	}
	p := projection.New(projection.Options{})
	defer p.Close()
	if err := p.CatchUp(ctx, s.Log, end); err != nil {
		return events.Chain{}, fmt.Errorf("replay the log of %q: %w", s.Database(), err)
	}
	return p.WriteCheckpoint(ctx, w, s.ID())
}

// foldedSource is a database whose state fold returns.
type foldedSource struct {
	*natslog.Log
	fold func(ctx context.Context) (*projection.Projection, error)
}

// Stopped returns a database of a data directory as a source.
func Stopped(ctx context.Context, dir *engine.Stopped, database string) (backup.Source, error) {
	log, err := dir.Log(ctx, database)
	if err != nil {
		return nil, err
	}
	return foldedSource{log, func(ctx context.Context) (*projection.Projection, error) { return dir.State(ctx, log) }}, nil
}

// Open returns a database of an engine that runs as a source.
func Open(db *engine.Database) backup.Source { return foldedSource{db.Log(), db.State} }

// WriteCheckpoint implements backup.Source.
func (s foldedSource) WriteCheckpoint(ctx context.Context, w io.Writer) (events.Chain, error) {
	p, err := s.fold(ctx)
	if err != nil {
		return events.Chain{}, err
	}
	defer p.Close()
	return p.WriteCheckpoint(ctx, w, s.ID())
}
