// Package databases makes databases of a NATS system that begin with a state, and takes them away so that they can be had again.
//
// DESIGN.md beside this file has the steps, and what a crash between any two leaves behind.
package databases

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/millpondkv/millpond/events/natslog"
	"github.com/millpondkv/millpond/internal/checkpoints"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Config is how new databases are kept.
type Config struct {
	Replicas int              // of their logs, and of the buckets if they are made; 0: 1
	Memory   bool             // keep the logs in memory
	Logger   *slog.Logger     // nil: nothing is logged
	Now      func() time.Time // nil: time.Now

	// Quiet is how long after a database was closed it may have its name again, at least; 0: 5 s. The lease of its last leader is waited
	// for in any case: by then none answers strong reads any more from what it has.
	Quiet time.Duration

	// Of a data directory, which has states and messages that the bucket has not:
	//
	// State returns the state at the end of a log, which the caller closes; nil: it is had from the bucket and the log.
	State func(ctx context.Context, log *natslog.Log) (*projection.Projection, error)
	// Backlog returns queue.Config.Backlog of a database; nil: it is had from the bucket.
	Backlog func(log *natslog.Log) func(ctx context.Context, each func(kv.QueuedMessage) error) error
	// Forget is told the UUID of a database before its log is removed, to remove what else there is of it; nil: there is nothing.
	Forget func(id string) error
}

// Databases are those of a NATS system. Its methods may be called from several goroutines; two processes that work on one name
// at the same time do no harm, and one of them fails.
type Databases struct {
	Config
	conn   *nats.Conn
	js     jetstream.JetStream
	notes  *notes
	bucket *checkpoints.Bucket

	step func(name string) error // is told before each step; for tests
}

const defaultQuiet = 5 * time.Second

// Open opens the databases, and makes the buckets that are needed for changes unless they are there.
func Open(ctx context.Context, conn *nats.Conn, c Config) (*Databases, error) {
	js, err := jetstream.New(conn)
	if err != nil {
		return nil, fmt.Errorf("use JetStream: %w", err)
	}
	c.Quiet = cmp.Or(c.Quiet, defaultQuiet)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.State == nil {
		c.State = func(ctx context.Context, log *natslog.Log) (*projection.Projection, error) {
			return stateOf(ctx, log, c.Logger)
		}
	}
	if c.Backlog == nil {
		c.Backlog = func(log *natslog.Log) func(context.Context, func(kv.QueuedMessage) error) error {
			return checkpoints.Backlog(js, log.ID(), log.After().Applied)
		}
	}
	d := &Databases{Config: c, conn: conn, js: js, step: func(string) error { return nil }}
	if d.notes, err = openNotes(ctx, js, c.Replicas); err != nil || c.Replicas == 0 {
		return d, err
	}
	d.bucket, err = checkpoints.Open(ctx, js, checkpoints.Config{Replicas: c.Replicas, Memory: c.Memory})
	return d, err
}

// stateOf returns the state at the end of a log, had from the bucket and the log.
func stateOf(ctx context.Context, log *natslog.Log, logger *slog.Logger) (*projection.Projection, error) {
	_, end, err := log.Bounds(ctx)
	if err != nil {
		return nil, err
	}
	p := projection.New(checkpoints.Of(log.JetStream(), log.ID(), projection.Options{}, logger))
	if err := p.CatchUp(ctx, log, end); err != nil {
		return nil, errors.Join(fmt.Errorf("replay the log of %q: %w", log.Database(), err), p.Close())
	}
	return p, nil
}
