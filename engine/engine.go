// Package engine runs every database of one data directory in this process: an embedded NATS server for the logs, and for
// each database a sequencer and a projection that it shares with the readers.
//
// The command `millpond serve` is an engine behind HTTP.
package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millpondkv/millpond/events/natslog"
	"github.com/millpondkv/millpond/history"
	"github.com/millpondkv/millpond/internal/databases"
	"github.com/millpondkv/millpond/internal/natsserver"
	"github.com/millpondkv/millpond/kv"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
)

// Config is how an engine runs.
type Config struct {
	Dir    string // the data directory; made if it is absent
	Memory bool   // keep the data in memory instead: Dir is not used, and nothing is left after Close

	// CreateDatabases makes a database when it is first asked for. Without it only those exist that were made before.
	CreateDatabases bool

	Logger   *slog.Logger
	Registry prometheus.Registerer // for the metrics; may be nil

	// Now is the wall clock; nil means time.Now. It may go back: the engine's time then stands still.
	Now func() time.Time

	// A checkpoint is taken when the log has grown by so many bytes since the last one. 0 means 64 MiB. Less makes a
	// restart after a crash faster and writes more.
	CheckpointBytes int64

	// History is the log time for which the log is kept: what is older is trimmed once a checkpoint in NATS has it. 0 means seven days.
	// A log in memory is kept whole.
	History time.Duration

	// Hold names the holds that are kept: those of archives that are to go on. All others are removed at the start, as nobody else
	// can archive the logs of this directory.
	Hold string

	// AckWait is how long a listener of a queue may say nothing of a message before another one gets it. 0 means 10 s.
	AckWait time.Duration
}

const defaultCheckpointBytes = 64 << 20

// Engine is a set of open databases. Its methods may be called from several goroutines.
type Engine struct {
	config  Config
	dir     *directory
	nats    *natsserver.Server
	conn    *nats.Conn
	js      jetstream.JetStream
	metrics *metrics
	clock   clock
	pasts   history.Slots

	watching sync.WaitGroup
	closing  chan struct{} // closed by Close
	failed   chan error    // has room for one

	mu        sync.RWMutex
	databases map[string]*Database // open, or being opened
	closed    bool
}

// Open starts an engine and opens all databases of the directory: it blocks until their logs are replayed. It fails if
// another process uses the directory, and if one of the databases cannot be opened.
func Open(ctx context.Context, c Config) (*Engine, error) {
	if c.CheckpointBytes == 0 {
		c.CheckpointBytes = defaultCheckpointBytes
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	dir, err := openDirectory(c)
	if err != nil {
		return nil, err
	}
	e := &Engine{config: c, dir: dir, metrics: newMetrics(c.Registry, c.Logger), databases: map[string]*Database{}, closing: make(chan struct{}), failed: make(chan error, 1), pasts: history.NewSlots()}
	e.clock.wall = c.Now
	if err := e.start(ctx); err != nil {
		return nil, errors.Join(err, e.Close(ctx))
	}
	return e, nil
}

func (e *Engine) start(ctx context.Context) (err error) {
	if err := e.dir.clearUnfinishedLogs(); err != nil {
		return err
	}
	if e.nats, err = natsserver.Start(e.dir.nats(), e.config.Logger); err != nil {
		return err
	}
	if e.conn, err = e.nats.Connect(); err != nil {
		return err
	}
	if e.js, err = jetstream.New(e.conn); err != nil {
		return fmt.Errorf("use JetStream: %w", err)
	}
	if err := e.nats.Check(); err != nil { // a stream that was not recovered must not be taken for absent, and made anew
		return fmt.Errorf("recover the logs in %s: %w; %s", e.dir.nats(), err, fromCopy)
	}
	names, err := natslog.List(ctx, e.js)
	if err != nil {
		return err
	}
	closed := map[string]bool{}
	for _, name := range names {
		log, isClosed, err := natslog.OpenClosed(ctx, e.js, name)
		if err == nil && isClosed {
			closed[log.ID()] = true
			e.config.Logger.Warn("a database was being deleted or renamed; do that again to its end, or bring it back with undelete", "database", name)
			continue
		}
		if err := e.place(name).open(ctx, false); err != nil {
			return fmt.Errorf("open the database %q: %w", name, err)
		}
	}
	if err := e.missingLogs(closed); err != nil {
		return err
	}
	e.watching.Go(e.watch)
	e.watching.Go(e.prune)
	return nil
}

// missingLogs reports checkpoints whose log is not there, and was not closed: a log that was lost as a whole.
func (e *Engine) missingLogs(closed map[string]bool) error {
	dirs, err := os.ReadDir(e.checkpointDir(""))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	known := map[string]bool{}
	for _, d := range e.all() {
		known[d.ID()] = true
	}
	for _, dir := range dirs {
		path := e.checkpointDir(dir.Name())
		if files, err := os.ReadDir(path); err != nil || len(files) == 0 { // a database that was made a moment before a crash
			continue
		}
		if !known[dir.Name()] && !closed[dir.Name()] {
			return fmt.Errorf("%s has checkpoints of a database whose log is missing in %s; %s, or delete those checkpoints to go on without it",
				path, e.dir.nats(), fromCopy)
		}
	}
	return err
}

// The log is looked at so often, and given up after it has been out of order so many times in a row.
const (
	watchEvery = 2 * time.Second
	giveUp     = 3
)

// watch waits until the log cannot be written any more. JetStream does not recover from a full disk by itself: it has to be
// started again.
func (e *Engine) watch() {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for bad := 0; bad < giveUp; {
		select {
		case <-ticker.C:
		case <-e.closing:
			return
		}
		err := e.nats.Check()
		if err == nil {
			bad = 0
			continue
		}
		if bad++; bad == giveUp {
			e.failed <- fmt.Errorf("the log cannot be written: %w; see to the disk of %s and start again, every answered commit is kept", err, e.dir.path)
		}
	}
}

// prune removes what has been kept for long enough of databases that were deleted.
func (e *Engine) prune() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-e.closing:
			cancel()
		case <-ctx.Done():
		}
	}()
	databases.KeepPruned(ctx, e.conn, e.js, e.config.Logger)
}

// Failed returns a channel that gets the reason when the log cannot be written any more: the engine is to be closed then.
func (e *Engine) Failed() <-chan error { return e.failed }

// Database returns an open database, and makes it first if it is absent and the engine is to do that. It fails with
// kv.ErrNoDatabase or kv.ErrUnavailable. The name must be a valid one.
func (e *Engine) Database(ctx context.Context, name string) (*Database, error) {
	d, err := e.Existing(ctx, name)
	if !errors.Is(err, kv.ErrNoDatabase) || !e.config.CreateDatabases {
		return d, err
	}
	if err := databases.CheckUnused(ctx, e.js, name); err != nil {
		return nil, e.unavailable(err, name)
	}
	return e.Create(ctx, name)
}

// Create is like Database, but makes it even if the engine is not to do that by itself.
func (e *Engine) Create(ctx context.Context, name string) (*Database, error) {
	d := e.place(name)
	if d == nil {
		return nil, errStopping
	}
	return d, e.unavailable(d.open(ctx, true), name)
}

// Existing is like Database, but never makes one.
func (e *Engine) Existing(ctx context.Context, name string) (*Database, error) {
	e.mu.RLock()
	d, closed := e.databases[name], e.closed
	e.mu.RUnlock()
	switch {
	case closed:
		return nil, errStopping
	case d == nil: // all that there were at the start have their place since then
		return nil, kv.Errorf(kv.ErrNoDatabase, "there is no database %q", name)
	}
	// Whoever comes first opens it, and the others wait; after a failure the next one tries again.
	return d, e.unavailable(d.open(ctx, false), name)
}

// unavailable makes an error of opening a database one that a user may see.
func (e *Engine) unavailable(err error, name string) error {
	if err == nil || errors.Is(err, kv.ErrNoDatabase) || errors.Is(err, kv.ErrUnavailable) {
		return err
	}
	e.config.Logger.Error("cannot open a database", "database", name, "error", err)
	return kv.Errorf(kv.ErrUnavailable, "the database %q cannot be opened now; try again", name)
}

var errStopping = kv.Errorf(kv.ErrUnavailable, "the database is being closed; try again")

// place returns the database, which it makes room for if nobody else has, or nil if the engine is closed.
func (e *Engine) place(name string) *Database {
	e.mu.Lock()
	defer e.mu.Unlock()
	if d, ok := e.databases[name]; ok || e.closed {
		return d
	}
	d := newDatabase(e, name)
	e.databases[name] = d
	return d
}

// Databases returns the databases that are open.
func (e *Engine) Databases() []*Database { return e.all() }

// all returns the databases that are open.
func (e *Engine) all() (list []*Database) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	for _, d := range e.databases {
		if d.opened.Load() {
			list = append(list, d)
		}
	}
	return list
}

// Ready returns nil if the log can be written and every database has its leader, and otherwise what is amiss.
func (e *Engine) Ready() error {
	if err := e.nats.Check(); err != nil {
		return err
	}
	for _, d := range e.all() {
		if !d.sequencer.Leading() {
			return fmt.Errorf("the database %q has no leader", d.name)
		}
	}
	return nil
}

// Close answers what waits, takes a checkpoint of every database, and closes the log. It blocks for that; when ctx ends
// the checkpoints are given up, which costs nothing but a longer start.
func (e *Engine) Close(ctx context.Context) error {
	e.mu.Lock()
	if !e.closed {
		close(e.closing)
	}
	e.closed = true
	databases := slices.Collect(maps.Values(e.databases)) // there will be no others
	e.mu.Unlock()
	var failed []error
	for _, d := range databases {
		failed = append(failed, d.close(ctx))
	}
	e.watching.Wait()
	if e.conn != nil {
		e.conn.Close()
	}
	if e.nats != nil {
		e.nats.Stop()
	}
	return errors.Join(append(failed, e.dir.close())...)
}

// clock is the wall clock, except that it never goes back.
type clock struct {
	wall   func() time.Time
	latest atomic.Int64
}

func (c *clock) now() kv.Millis {
	now := c.wall().UnixMilli()
	for {
		latest := c.latest.Load()
		if now <= latest {
			return kv.Millis(latest)
		}
		if c.latest.CompareAndSwap(latest, now) {
			return kv.Millis(now)
		}
	}
}

func (e *Engine) checkpointDir(id string) string { return e.dir.checkpoints(id) }

// Dir returns the data directory, or the temporary one of an engine in memory.
func (e *Engine) Dir() string { return e.dir.path }
