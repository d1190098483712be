// Package embedded runs Millpond inside a Go program: databases in a directory, or in memory, without a server to run beside.
//
//	e, err := embedded.Open(ctx, "data")
//	defer e.Close()
//	db, err := e.DB(ctx, "orders") // a client.DB as any other
//
// It is the engine of `millpond serve`: every commit is synced to disk before it is answered, and a directory that one of them has
// written the other can open, though not both at once. It brings a NATS server into the program, in whose process it runs, and
// which nobody else can reach.
package embedded

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/engine"
	"github.com/millpondkv/millpond/kv"
)

// DefaultDatabase is the name of the database that clients get who name none.
const DefaultDatabase = "default"

// Engine has all databases of a directory. Its methods may be called from many goroutines.
type Engine struct {
	engine *engine.Engine
	close  func() error
}

// Option changes how an engine runs.
type Option func(*engine.Config)

// WithLogger logs what an operator should know. By default nothing is logged.
func WithLogger(l *slog.Logger) Option { return func(c *engine.Config) { c.Logger = l } }

// WithMetrics registers the metrics of `millpond serve`, as far as they are about databases.
func WithMetrics(r prometheus.Registerer) Option { return func(c *engine.Config) { c.Registry = r } }

// WithClock takes the time from now, for tests of what expires. It may go back: the engine's time then stands still.
func WithClock(now func() time.Time) Option { return func(c *engine.Config) { c.Now = now } }

// Open opens the databases of a directory, which it makes if it is absent. It blocks until their logs are replayed, and fails if
// the directory is in use, by this program or another one, or if a log is damaged.
func Open(ctx context.Context, dir string, opts ...Option) (*Engine, error) {
	if dir == "" {
		return nil, kv.Invalidf("embedded: the directory has no name; OpenMemory opens databases without one")
	}
	return open(ctx, engine.Config{Dir: dir}, opts)
}

// OpenMemory makes an engine without a directory: nothing is left after Close.
func OpenMemory(ctx context.Context, opts ...Option) (*Engine, error) {
	return open(ctx, engine.Config{Memory: true}, opts)
}

func open(ctx context.Context, c engine.Config, opts []Option) (*Engine, error) {
	c.CreateDatabases, c.Logger = true, slog.New(slog.DiscardHandler)
	for _, opt := range opts {
		opt(&c)
	}
	e, err := engine.Open(ctx, c)
	if err != nil {
		return nil, err
	}
	return &Engine{engine: e, close: sync.OnceValue(func() error { return e.Close(context.Background()) })}, nil
}

// DB returns the database of that name, which it makes if it is absent; a name is 1 to 64 of a-z, 0-9, _ and -. Calls for the same
// name return DBs of one database, each with a Close of its own. Closing a DB leaves the engine as it is.
func (e *Engine) DB(ctx context.Context, name string) (*client.DB, error) {
	if !kv.ValidDatabaseName(name) {
		return nil, kv.Invalidf("the database %.80q cannot be: a name is 1 to %d of a-z, 0-9, _ and -", name, kv.MaxDatabaseName)
	}
	d, err := e.engine.Database(ctx, name)
	if err != nil {
		return nil, err
	}
	return client.OpenBackend(backend{d}), nil
}

// Failed returns a channel that gets the reason when the logs cannot be written any more, most often because the disk is full.
// Every answered commit is kept; the engine is to be closed then, and opened again when the cause is mended.
func (e *Engine) Failed() <-chan error { return e.engine.Failed() }

// Close answers what waits, takes checkpoints for a fast next start, and closes the logs. Calls of DBs that come later fail. Closing
// twice is harmless.
func (e *Engine) Close() error { return e.close() }

// backend is a database of the engine, as package client wants it.
type backend struct{ *engine.Database }

func (b backend) Queue() client.BackendQueue { return b.Database.Queue() }

func (b backend) Watch(keys []kv.EncodedKey) client.BackendWatch { return b.Database.Watch(keys) }

func (b backend) Feed(f kv.Feed) (client.BackendFeed, error) { return b.Database.Feed(f) }

func (b backend) History(ctx context.Context, want kv.HistoryRead) (client.BackendHistory, error) {
	return b.Database.History(ctx, want)
}

// Close does nothing: the database goes on with its engine.
func (backend) Close() {}
