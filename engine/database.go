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
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
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
	projection *projection.Projection
	sequencer  *writer.Sequencer
	store      *projection.Store // nil if the data is in memory
	marked     kv.Position       // at the last mark; belongs to the goroutine of checkpoints, and to close after it
	observer   *observer

	stopWork context.CancelFunc
	led      chan struct{}  // closed when the sequencer has ended
	work     sync.WaitGroup // the sequencer, and the checkpointer
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
	p, err := d.fromCheckpoint(ctx, logger)
	if err != nil {
		return err
	}
	from := p.Chain().Applied
	if first > from+1 {
		err := fmt.Errorf("%w: the log of %q begins at %d, and the newest checkpoint is at %d; %s", events.ErrGap, d.name, first, from, restore)
		return errors.Join(err, p.Close())
	}
	if end-from > manyRecords {
		logger.Info("replaying the log", "from", from, "to", end)
	}
	if err := p.CatchUp(ctx, d.log, end); err != nil {
		return errors.Join(fmt.Errorf("replay the log of %q: %w; %s", d.name, err, restore), p.Close())
	}
	d.projection = p
	d.observer = d.engine.metrics.observe(d.name, p)
	d.observer.sinceCheckpoint.Store(int64(end-from) * replayedRecord)
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

// fromCheckpoint returns the state that the replay starts from. It fails if the log has lost what it once had: then nothing is
// opened, since new records would take the places of the lost ones.
func (d *Database) fromCheckpoint(ctx context.Context, logger *slog.Logger) (*projection.Projection, error) {
	if d.engine.config.Memory {
		return projection.New(projection.Options{}), nil
	}
	if err := d.engine.dir.adopt(d.log.ID()); err != nil { // a restore that was interrupted
		return nil, err
	}
	var err error
	if d.store, err = projection.OpenStore(d.engine.checkpointDir(d.log.ID()), d.log.ID()); err != nil {
		return nil, err
	}
	mark, err := d.store.LastMark()
	if err != nil {
		return nil, err
	}
	p, skipped, err := d.store.Load(projection.Options{})
	if err != nil {
		return nil, err
	}
	if skipped != nil {
		logger.Warn("a checkpoint was passed over", "error", skipped)
	}
	if err := cmp.Or(d.log.Check(ctx), d.log.Verify(ctx, mark), d.log.Verify(ctx, p.Chain())); err != nil {
		err = fmt.Errorf("%w; %s, or delete %s to go on with what is left", err, restore, d.engine.checkpointDir(d.log.ID()))
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// restore is what to do about a damaged log.
const restore = "restore the data directory from a copy"

// replayedRecord is what a replayed record counts towards the next checkpoint, in bytes: about what it costs to replay
// one, however small.
const replayedRecord = 1024

func (d *Database) start() {
	ctx, cancel := context.WithCancel(context.Background())
	d.stopWork = cancel
	d.sequencer = writer.New(writer.Config{
		Log: d.log, Projection: d.projection, Now: d.engine.clock.now, NewID: newID, Metrics: d.observer,
		Logger: d.engine.config.Logger.With("database", d.name), Exclusive: true,
	})
	d.led = make(chan struct{})
	d.work.Go(func() {
		defer close(d.led)
		if err := d.sequencer.Run(ctx); err != nil && ctx.Err() == nil {
			d.engine.config.Logger.Error("the database takes no writes any more", "database", d.name, "error", err)
		}
	})
	if d.store != nil {
		d.work.Go(func() { d.checkpoints(ctx) })
	}
}

func newID() ulid.ULID { return ulid.MustNew(ulid.Now(), rand.Reader) }

// checkpointEvery is how often the end of the log is marked, and its size since the last checkpoint is looked at.
const checkpointEvery = 5 * time.Second

func (d *Database) checkpoints(ctx context.Context) {
	ticker := time.NewTicker(checkpointEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		if d.observer.sinceCheckpoint.Load() < d.engine.config.CheckpointBytes {
			d.mark()
			continue
		}
		if err := d.checkpoint(ctx); err != nil && ctx.Err() == nil {
			d.engine.config.Logger.Error("no checkpoint could be taken; the next start will take longer", "database", d.name, "error", err)
		}
	}
}

// mark notes the end of the log beside the checkpoints, if it has moved.
func (d *Database) mark() {
	chain := d.projection.Chain()
	if chain.Applied == d.marked {
		return
	}
	if err := d.store.Mark(chain); err != nil {
		d.engine.config.Logger.Error("the end of the log could not be noted", "database", d.name, "error", err)
		return
	}
	d.marked = chain.Applied
}

func (d *Database) checkpoint(ctx context.Context) error {
	began := time.Now()
	size := d.observer.sinceCheckpoint.Load()
	chain, err := d.store.Save(ctx, d.projection)
	if err != nil {
		return err
	}
	d.observer.sinceCheckpoint.Add(-size)
	d.marked = chain.Applied
	d.engine.config.Logger.Info("took a checkpoint", "database", d.name, "position", chain.Applied, "took", time.Since(began).Round(time.Millisecond).String())
	return nil
}

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
	if d.store != nil && ctx.Err() == nil {
		err = d.checkpoint(ctx)
	}
	d.engine.metrics.forget(d.observer)
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
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	return d.sequencer.Commit(ctx, writer.Request{ID: newID(), Atomic: a})
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
