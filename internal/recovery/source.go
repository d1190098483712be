package recovery

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/millpondkv/millpond/backup"
	"github.com/millpondkv/millpond/engine"
	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/events/natslog"
	"github.com/millpondkv/millpond/internal/checkpoints"
	"github.com/millpondkv/millpond/projection"
)

// logSource is a database of a cluster: its state is folded from the newest checkpoint and the rest of the log.
type logSource struct{ *natslog.Log }

// WriteCheckpoint implements backup.Source.
func (s logSource) WriteCheckpoint(ctx context.Context, w io.Writer) (events.Chain, error) {
	_, end, err := s.Bounds(ctx)
	if err != nil {
		return events.Chain{}, err
	}
	p := projection.New(checkpoints.Of(s.JetStream(), s.ID(), projection.Options{}, slog.New(slog.DiscardHandler)))
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
