package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/events/natslog"
	"github.com/millpondkv/millpond/internal/batch"
	"github.com/millpondkv/millpond/internal/near"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kvconnect"
	"github.com/millpondkv/millpond/projection"
	"github.com/millpondkv/millpond/queue"
	"github.com/millpondkv/millpond/service/wire"
	"github.com/millpondkv/millpond/writer"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/oklog/ulid/v2"
)

// Database is a replica of one database: a projection that follows the log, and a way to the leader. It implements
// kvconnect.Database.
type Database struct {
	log        *natslog.Log
	projection *projection.Projection
	keeper     *projection.Checkpointer // of the projection
	asker      *asker
	indexer    *indexer
	commits    *batch.Batcher[[]byte, kv.CommitResult] // tries on their way to the leader
	newID      func() ulid.ULID
	now        func() kv.Millis
	logger     *slog.Logger
	queue      *queue.Queue

	end   atomic.Uint64   // the highest position of the log that this process has heard of
	whole context.Context // ends, with the reason as its cause, when the log turns out to be damaged
	broke context.CancelCauseFunc

	stop func()
	work sync.WaitGroup
}

// openDatabase follows the log from where the keeper's projection is, and does not wait until it has caught up. The projection is
// the database's to close, and is closed if this fails.
func openDatabase(ctx context.Context, conns *near.Pool, js jetstream.JetStream, log *natslog.Log, keeper *projection.Checkpointer, c Config) (*Database, error) {
	p := keeper.Projection()
	_, end, err := log.Bounds(ctx)
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	l := newLeaders(p)
	d := &Database{
		log: log, projection: p, keeper: keeper, newID: c.NewID, now: c.Now, logger: c.Logger.With("database", log.Database()),
		asker: &asker{conns: conns, database: log.Database(), leaders: l},
	}
	d.whole, d.broke = context.WithCancelCause(context.Background())
	d.indexer = &indexer{ask: d.askIndex}
	d.queue = d.openQueue(conns.Main(), js)
	d.commits = &batch.Batcher[[]byte, kv.CommitResult]{
		Send: d.sendCommits, Size: func(member *[]byte) int { return len(*member) }, Most: mostCommitBytes, Count: mostCommits,
		Lanes: commitLanes, Patience: lanePatience, Spare: spareLanes,
	}
	d.reached(max(end, p.Chain().Applied))
	unsubscribe, err := Heartbeats(conns.Main(), log.Database(), d.logger, d.heard)
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	working, cancel := context.WithCancel(context.Background())
	d.stop = func() { unsubscribe(); cancel() }
	d.work.Go(func() { l.follow(working, p) })
	d.work.Go(func() { d.follow(working) })
	d.work.Go(func() { keeper.Run(working) })
	return d, nil
}

// close ends the replica, takes a checkpoint unless ctx ends before, and frees the memory. Nobody may use it any more.
func (d *Database) close(ctx context.Context) error {
	d.stop()
	d.work.Wait()
	if ctx.Err() == nil {
		save(ctx, d.keeper, d.logger)
	}
	return d.projection.Close()
}

// heard takes a heartbeat.
func (d *Database) heard(h wire.Heartbeat) {
	d.reached(h.Position)
	if h.Writer == d.asker.leaders.now().writer {
		d.asker.server.Store(&h.Server)
	}
}

// reached notes that the log has this position.
func (d *Database) reached(p kv.Position) {
	for {
		end := d.end.Load()
		if uint64(p) <= end || d.end.CompareAndSwap(end, uint64(p)) {
			return
		}
	}
}

const (
	followAgain  = 200 * time.Millisecond // the pause before a log is read again that could not be read
	trimmedAgain = 2 * time.Second        // or that was trimmed: until there may be a checkpoint to go on from
	stuckAfter   = 2 * time.Second        // a record that was known to be there has not come
)

// follow applies the log until ctx ends or the log is damaged. A record that cannot be accepted is read once more: what is
// wrong may be on one server of the log only, and the next reader may be served by another.
func (d *Database) follow(ctx context.Context) {
	const tries = 5
	for bad := 0; ctx.Err() == nil; {
		before := d.projection.Chain().Applied
		err := d.followUntilStuck(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case !isDamage(err):
			if d.asker.conns.Main().IsConnected() { // a lost connection is logged once
				d.logger.Warn("cannot follow the log; trying again", "error", err)
			}
		case d.projection.Chain().Applied > before:
			bad = 1
		default:
			bad++
		}
		if bad == tries {
			d.logger.Error(unreadableLog(err)+"; this database is not served any more", "position", d.projection.Chain().Applied, "error", err)
			d.broke(kv.Errorf(kv.ErrUnavailable, "This replica cannot read the log of the database; its own log says why."))
			return
		}
		again := followAgain
		if errors.Is(err, events.ErrTrimmed) {
			again = trimmedAgain
		}
		pause(ctx, again)
	}
}

// errStuck says that records are known to be there which do not come.
var errStuck = errors.New("the log does not deliver its records")

// followUntilStuck is Projection.Follow, but gives up when records are late: the server that delivers them may be lost, and
// JetStream's client be waiting for it for long.
func (d *Database) followUntilStuck(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watching := make(chan struct{})
	defer func() { cancel(nil); <-watching }()
	go func() {
		defer close(watching)
		ticker := time.NewTicker(stuckAfter)
		defer ticker.Stop()
		applied, end := d.projection.Chain().Applied, d.end.Load()
		for {
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return
			}
			now := d.projection.Chain().Applied
			if now == applied && uint64(now) < end && !d.projection.TakesOver() {
				cancel(errStuck)
				return
			}
			applied, end = now, d.end.Load()
		}
	}()
	err := d.projection.Follow(ctx, d.log)
	if context.Cause(ctx) == errStuck && !isDamage(err) {
		return errStuck
	}
	return err
}

func isDamage(err error) bool {
	return errors.Is(err, events.ErrCorrupt) || errors.Is(err, events.ErrGap) || errors.Is(err, events.ErrDiverged) || errors.Is(err, events.ErrNewerFormat)
}

// unreadableLog says why a log is not read on, for which there are two reasons.
func unreadableLog(err error) string {
	if errors.Is(err, events.ErrNewerFormat) {
		return "the log was written by a newer Millpond than this"
	}
	return "the log is damaged"
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// broken returns why the replica does not follow the log any more; nil if it does.
func (d *Database) broken() error { return context.Cause(d.whole) }

// wait blocks until the record at that position is applied. It fails with kv.ErrUnavailable.
func (d *Database) wait(ctx context.Context, at kv.Position) error {
	if d.projection.Applied() >= at {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(d.whole, cancel)()
	if d.projection.Wait(ctx, at) == nil {
		return nil
	}
	if err := d.broken(); err != nil {
		return err
	}
	return kv.Errorf(kv.ErrUnavailable, "This replica is behind and did not catch up in time; try again.")
}

// catchUp waits until the replica has what the log is known to have, or is broken. It fails with errStuck when nothing has come for so
// long.
func (d *Database) catchUp(ctx context.Context, patience time.Duration) error {
	for end := kv.Position(d.end.Load()); ; {
		before := d.projection.Applied()
		waiting, cancel := context.WithTimeout(ctx, patience)
		err := d.wait(waiting, end)
		cancel()
		switch {
		case err == nil, d.broken() != nil:
			return nil
		case ctx.Err() != nil:
			return err
		case d.projection.Applied() == before && !d.projection.TakesOver():
			return errStuck
		}
	}
}

// ID implements kvconnect.Database.
func (d *Database) ID() string { return d.log.ID() }

// Read implements kvconnect.Database: a strong read.
func (d *Database) Read(ctx context.Context, ranges []kv.Range) ([][]kv.Entry, error) {
	snapshot, err := d.read(ctx, ranges, false, 0)
	return snapshot.Entries, err
}

// read reads from one snapshot that has the record at the position least: an eventual read of what this process has by then,
// or a strong one.
func (d *Database) read(ctx context.Context, ranges []kv.Range, eventual bool, least kv.Position) (s projection.Snapshot, err error) {
	if err := d.broken(); err != nil {
		return s, err
	}
	at := writer.ReadIndex{Position: least}
	if eventual {
		at.Now = d.now()
	} else {
		index, err := d.index(ctx)
		if err != nil {
			return s, err
		}
		at = writer.ReadIndex{Position: max(index.Position, least), Now: index.Now}
		d.reached(index.Position)
	}
	if err := d.wait(ctx, at.Position); err != nil {
		return s, err
	}
	if s, err = d.projection.Read(ranges, at.Now); err != nil {
		return s, errStopping
	}
	return s, nil
}

// ReadEventual implements kvconnect.EventualReader: it reads what this replica has applied, also while nobody leads or the log
// cannot be reached.
func (d *Database) ReadEventual(ctx context.Context, ranges []kv.Range) ([][]kv.Entry, error) {
	snapshot, err := d.read(ctx, ranges, true, 0)
	return snapshot.Entries, err
}

var errStopping = kv.Errorf(kv.ErrUnavailable, "The server is stopping; try again.")

// Watch implements kvconnect.Database: it shows what this replica has applied.
func (d *Database) Watch(keys []kv.EncodedKey) kvconnect.Watch {
	return d.projection.Watch(keys, d.now)
}

// lag returns how many records the replica is behind, as far as this process has heard.
func (d *Database) lag() uint64 {
	applied, end := uint64(d.projection.Chain().Applied), d.end.Load()
	return end - min(applied, end)
}

// ready returns nil if the replica is at most so many records behind, and otherwise what is amiss.
func (d *Database) ready(mostLag uint64) error {
	if lag := d.lag(); lag > mostLag {
		return fmt.Errorf("the database %q is %d records behind; at most %d are allowed", d.log.Database(), lag, mostLag)
	}
	return nil
}
