package engine

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/events/natslog"
	"github.com/millpondkv/millpond/internal/checkpoints"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
	"github.com/millpondkv/millpond/queue"
	"github.com/millpondkv/millpond/writer"
	"github.com/oklog/ulid/v2"
)

// Database is one open database. Its methods may be called from several goroutines.
type Database struct {
	engine *Engine
	name   string

	opening sync.Mutex  // held while the database is opened or closed
	closed  bool        // it is not opened any more; guarded by opening
	opened  atomic.Bool // what follows is set, and stays

	log        *natslog.Log
	begins     events.Chain // the place after which the log begins
	projection *projection.Projection
	sequencer  *writer.Sequencer
	keeper     *projection.Checkpointer // belongs to its own goroutine, and to close after that
	queue      *queue.Queue

	stopWork context.CancelFunc
	led      chan struct{}  // closed when the sequencer has ended
	work     sync.WaitGroup // the sequencer, the checkpointer and the queue's feeder
}

func newDatabase(e *Engine, name string) *Database { return &Database{engine: e, name: name} }

// open opens the database unless it is open, and makes it first if it is absent and create is set. The context bounds how
// long the caller waits, not the database's life.
func (d *Database) open(ctx context.Context, create bool) error {
	if d.opened.Load() {
		return nil
	}
	if err := d.openOnce(ctx, create); err != nil {
		return err
	}
	select { // writes wait by themselves; this is for Engine.Ready
	case <-d.sequencer.Begun():
	case <-d.led:
	case <-ctx.Done():
	}
	return nil
}

func (d *Database) openOnce(ctx context.Context, create bool) error {
	d.opening.Lock()
	defer d.opening.Unlock()
	if d.closed {
		return errStopping
	}
	if d.opened.Load() {
		return nil
	}
	log, err := d.openLog(ctx, create)
	if err != nil {
		return err
	}
	d.log = log
	if err := d.load(ctx); err != nil {
		return err
	}
	d.start()
	d.opened.Store(true)
	return nil
}

func (d *Database) openLog(ctx context.Context, create bool) (*natslog.Log, error) {
	if create {
		return natslog.Create(ctx, d.engine.js, d.name, natslog.Config{Memory: d.engine.config.Memory})
	}
	return natslog.Open(ctx, d.engine.js, d.name)
}

// load brings the projection to the end of the log, from the newest checkpoint on.
func (d *Database) load(ctx context.Context) (err error) {
	logger := d.engine.config.Logger.With("database", d.name)
	began := time.Now()
	first, end, err := d.log.Bounds(ctx)
	if err != nil {
		return err
	}
	if d.keeper, err = d.restore(ctx, logger); err != nil {
		return err
	}
	p, from := d.keeper.Projection(), d.keeper.Restored()
	if first > 1 {
		if d.begins, err = d.engine.dir.begins(d.log); err != nil {
			return errors.Join(err, p.Close())
		}
	}
	if end-from > manyRecords {
		logger.Info("replaying the log", "from", from, "to", end)
	}
	if err := p.CatchUp(ctx, d.log, end); err != nil {
		return errors.Join(fmt.Errorf("replay the log of %q: %w; %s", d.name, err, fromCopy), p.Close())
	}
	d.projection = p
	d.engine.metrics.projections.Show(d.name, p, nil)
	if ahead := p.Chain().Time - d.engine.clock.now(); ahead > clockTolerance {
		logger.Warn("this machine's clock is behind the last record's time; keys expire by that time until the clock has caught up", "behind", time.Duration(ahead)*time.Millisecond)
	}
	logger.Info("opened", "position", end, "checkpoint", from, "took", time.Since(began).Round(time.Millisecond).String())
	return nil
}

const (
	manyRecords    = 100_000 // to replay: worth a line in the log, since it takes time
	clockTolerance = 10_000  // milliseconds that the clock may be behind log time before it is worth a warning
)

// restore returns the state that the replay starts from. It fails if the log has lost what it once had: then nothing is
// opened, since new records would take the places of the lost ones.
func (d *Database) restore(ctx context.Context, logger *slog.Logger) (*projection.Checkpointer, error) {
	dir := d.engine.checkpointDir(d.log.ID())
	var store *projection.Store
	if !d.engine.config.Memory {
		err := d.engine.dir.adopt(d.log.ID()) // a restore that was interrupted
		if err != nil {
			return nil, err
		}
		if store, err = projection.OpenStore(dir, d.log.ID()); err != nil {
			return nil, err
		}
	}
	options := checkpoints.Of(d.engine.js, d.log.ID(), projection.Options{Foreign: d.engine.metrics.foreign.Of(d.name)}, logger)
	keeper, err := projection.Restore(store, d.engine.config.CheckpointBytes, options, logger)
	if err != nil || store == nil {
		return keeper, err
	}
	if err := cmp.Or(d.log.Check(ctx), keeper.Verify(ctx, d.log)); err != nil {
		err = fmt.Errorf("%w; %s, or delete %s to go on with what is left", err, fromCopy, dir)
		return nil, errors.Join(err, keeper.Projection().Close())
	}
	return keeper, nil
}

// fromCopy is what to do about a damaged log.
const fromCopy = "restore the data directory from a copy"

func (d *Database) start() {
	ctx, cancel := context.WithCancel(context.Background())
	d.stopWork = cancel
	d.sequencer = writer.New(writer.Config{
		Log: d.log, Projection: d.projection, Now: d.engine.clock.now, NewID: newID, Metrics: d.engine.metrics.sequencers.Of(d.name),
		Logger: d.engine.config.Logger.With("database", d.name), Exclusive: true,
	})
	d.led = make(chan struct{})
	d.work.Go(func() {
		defer close(d.led)
		if err := d.sequencer.Run(ctx); err != nil && ctx.Err() == nil {
			d.engine.config.Logger.Error("the database takes no writes any more", "database", d.name, "error", err)
		}
	})
	d.startQueue(ctx)
	d.work.Go(func() { d.keeper.Run(ctx) })
	d.startBucket(ctx)
}

func newID() ulid.ULID { return ulid.MustNew(ulid.Now(), rand.Reader) }

// close answers what waits, resigns, and takes a checkpoint. It waits for a call that is opening the database.
func (d *Database) close(ctx context.Context) error {
	d.opening.Lock()
	defer d.opening.Unlock()
	if d.closed || !d.opened.Load() {
		d.closed = true
		return nil
	}
	d.closed = true
	d.sequencer.Close()
	select {
	case <-d.led:
	case <-ctx.Done(): // the log does not answer; what was acked is in it
	}
	d.stopWork()
	d.work.Wait()
	var err error
	if ctx.Err() == nil {
		err = d.keeper.Save(ctx)
	}
	d.engine.metrics.projections.Forget(d.name)
	return errors.Join(err, d.projection.Close())
}

// Name returns the database's name.
func (d *Database) Name() string { return d.name }

// ID returns the database's UUID, lowercase and with hyphens.
func (d *Database) ID() string { return d.log.ID() }

// commitTimeout bounds how long an atomic waits for its answer.
const commitTimeout = 20 * time.Second

// Commit decides an atomic, which must be valid, and blocks until its record is on disk. Its errors are kv.ErrInvalid,
// kv.ErrUnavailable and kv.ErrUnknownOutcome.
func (d *Database) Commit(ctx context.Context, a *kv.Atomic) (kv.CommitResult, error) {
	return d.commit(ctx, writer.Request{ID: newID(), Atomic: a})
}

// CommitOnce is Commit of an atomic that may have been committed under this id before: then it answers as it did, if the first time
// is among the recent commits.
func (d *Database) CommitOnce(ctx context.Context, id ulid.ULID, a *kv.Atomic) (kv.CommitResult, error) {
	return d.commit(ctx, writer.Request{ID: id, Atomic: a, Repeat: true, Seen: d.projection.Applied(), Single: true})
}

func (d *Database) commit(ctx context.Context, r writer.Request) (kv.CommitResult, error) {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	return d.sequencer.Commit(ctx, r)
}

// Read returns the entries of all ranges, which must be valid, from one snapshot that has every commit which was answered
// before the call. It blocks only if it comes upon an entry that expired after the record that is in flight was decided:
// until that one has landed.
func (d *Database) Read(ctx context.Context, ranges []kv.Range) ([][]kv.Entry, error) {
	for {
		point := d.sequencer.ReadPoint()
		s, err := d.projection.Read(ranges, point.Now)
		if err != nil {
			return nil, errStopping
		}
		if point.Flight <= s.Chain.Applied || s.Hidden <= point.FlightTime {
			return s.Entries, nil
		}
		select {
		case <-point.Landed:
		case <-ctx.Done():
			return nil, kv.Errorf(kv.ErrUnavailable, "the read waited too long for a write; try again")
		}
	}
}

// Watch returns a watch of keys. It must be closed.
func (d *Database) Watch(keys []kv.EncodedKey) *projection.Watch {
	return d.projection.Watch(keys, d.engine.clock.now)
}
