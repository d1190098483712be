package checkpoints

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/events/natslog"
	"github.com/millpondkv/millpond/internal/fault"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
	"github.com/millpondkv/millpond/queue"
)

// KeeperConfig is what a Keeper works with.
type KeeperConfig struct {
	Log        *natslog.Log
	Projection *projection.Projection // of that log
	History    time.Duration          // the log is never trimmed inside of so much log time; default DefaultHistory
	Bytes      int64                  // a checkpoint is taken when the log has grown by so much since the last one; default DefaultBytes
	Now        func() kv.Millis
	Metrics    Metrics
	Logger     *slog.Logger
}

// Metrics is told what a Keeper does, from its one goroutine.
type Metrics interface {
	// Kept: that is the newest checkpoint, and these are the log's size in bytes and its first position.
	Kept(newest Info, logBytes uint64, first kv.Position)
	// Failed: a checkpoint could not be taken, or the log not be trimmed.
	Failed()
}

// Keeper takes checkpoints of a database that this process leads, and trims the log behind them.
//
// Several may be at work at once, by processes of which all but one do not lead any more: each step is right whoever takes it. A
// checkpoint is of the log as a majority of its servers has it, and the log is trimmed up to one that was read back just before.
type Keeper struct {
	c        KeeperConfig
	bucket   *Bucket // nil until it is open, or while there is none
	list     []Info  // as of listed
	listed   time.Time
	started  time.Time
	folded   int64         // bytes of log that had been applied when the last checkpoint was taken
	began    time.Time     // when that was begun
	took     time.Duration // to take it
	damaged  kv.Position   // the checkpoint behind which the log is not trimmed, since it cannot be read back
	newest   atomic.Pointer[Info]
	lastHeld string // what the log was held by, as it was logged
	renew    func() // of Run
}

// Defaults of a KeeperConfig.
const (
	DefaultHistory = 7 * 24 * time.Hour
	DefaultBytes   = 64 << 20
)

// NewKeeper returns a keeper, which does nothing until Run.
func NewKeeper(c KeeperConfig) *Keeper {
	c.History, c.Bytes = cmp.Or(c.History, DefaultHistory), cmp.Or(c.Bytes, DefaultBytes)
	return &Keeper{c: c}
}

// Newest returns the newest checkpoint, as far as this keeper knows; nil if it knows of none.
func (k *Keeper) Newest() *Info { return k.newest.Load() }

// How often a keeper looks.
const (
	lookLeast = 100 * time.Millisecond // with a window of less than a second
	lookMost  = 5 * time.Second        // whether a checkpoint is due
	listMost  = time.Minute            // at the bucket, the holds and the log's beginning
	firstMost = time.Hour              // that a database without a checkpoint goes on without
	restShare = 10                     // a checkpoint is begun when ten times as long has passed as the last one took: so they cost a tenth
	askBound  = 10 * time.Second       // for everything but the contents of checkpoints
)

// Run works until ctx ends. What fails is logged, and tried again for ever. It is called again for the next reign. Renew asks
// whoever leads for a new epoch: the record of the current one is not trimmed away, since the fence needs it.
func (k *Keeper) Run(ctx context.Context, renew func()) {
	k.renew = renew
	ticker := time.NewTicker(min(max(k.step(), lookLeast), lookMost))
	defer ticker.Stop()
	k.bucket, k.list, k.listed, k.started = nil, nil, time.Time{}, time.Now() // others may have led meanwhile
	for said := ""; ; {
		err := k.look(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			said = ""
		default:
			k.c.Metrics.Failed()
			if err.Error() != said {
				k.c.Logger.Error("could not take a checkpoint or trim the log; trying again", "error", err)
				said = err.Error()
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// step is the time between two checkpoints, and between two trims.
func (k *Keeper) step() time.Duration { return k.c.History / windowSteps }

// look does what is due: a crash between any two of its parts leaves a log that is longer, or a bucket that has more, than need be.
func (k *Keeper) look(ctx context.Context) error {
	if err := k.open(ctx, Config{}); err != nil && !errors.Is(err, ErrNone) {
		return err
	}
	if k.due() {
		if err := k.take(ctx); err != nil {
			return err
		}
	} else if time.Since(k.listed) < min(listMost, max(k.step(), lookLeast)) {
		return nil
	}
	return k.thin(ctx)
}

// open opens the bucket and looks what is in it.
func (k *Keeper) open(ctx context.Context, c Config) error {
	if k.bucket != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, askBound)
	defer cancel()
	b, err := Open(ctx, k.c.Log.JetStream(), c)
	if err != nil {
		return err
	}
	if k.list, err = b.List(ctx, k.c.Log.ID()); err != nil {
		return err
	}
	k.bucket = b
	return nil
}

// due reports whether a checkpoint is due: when the log has grown by much, and by no less than the state is large, or when there has
// been none for a step of the window.
func (k *Keeper) due() bool {
	chain := k.c.Projection.Chain()
	var last Info
	if len(k.list) > 0 {
		last = k.list[len(k.list)-1]
	}
	switch {
	case chain.Applied <= last.Position, time.Since(k.began) < restShare*k.took:
		return false
	case last.Position == 0: // nobody knows how old the log is
		if k.step() > 0 && time.Since(k.started) >= min(k.step(), firstMost) {
			return true
		}
	case k.step() > 0 && chain.Time-last.Time >= kv.Millis(k.step().Milliseconds()):
		return true
	}
	return k.c.Projection.Folded()-k.folded >= max(k.c.Bytes, last.Bytes)
}

// take takes a checkpoint, and clears away what others have left unfinished.
func (k *Keeper) take(ctx context.Context) error {
	log := k.c.Log.Config()
	if err := k.open(ctx, Config{Replicas: log.Replicas, Memory: log.Memory}); err != nil {
		return err
	}
	k.began = time.Now()
	folded := k.c.Projection.Folded()
	info, err := k.bucket.Put(ctx, k.c.Log.ID(), func(w io.Writer) (events.Chain, error) {
		return k.c.Projection.WriteCheckpoint(ctx, w, k.c.Log.ID())
	})
	k.took = time.Since(k.began)
	if err != nil {
		return err
	}
	k.folded = folded
	k.c.Logger.Info("took a checkpoint into the bucket", "position", info.Position, "bytes", info.Bytes, "took", k.took.Round(time.Millisecond).String())
	ctx, cancel := context.WithTimeout(ctx, askBound)
	defer cancel()
	return k.bucket.Sweep(ctx, k.c.Log.ID(), time.Now())
}

// thin deletes the checkpoints that nobody needs any more, and then the records that nobody does.
func (k *Keeper) thin(ctx context.Context) (err error) {
	asking, cancel := context.WithTimeout(ctx, askBound)
	defer cancel()
	if k.bucket == nil {
		k.listed = time.Now()
		return k.report(asking)
	}
	if k.list, err = k.bucket.List(asking, k.c.Log.ID()); err != nil {
		return err
	}
	k.listed = time.Now()
	start := min(k.c.Now(), k.c.Projection.Chain().Time) - kv.Millis(k.c.History.Milliseconds())
	keep, drop, trim := plan(k.list, start, k.c.History)
	for _, info := range drop {
		fault.Point("checkpoint.delete")
		if err := k.bucket.Delete(asking, k.c.Log.ID(), info.Position); err != nil {
			return err
		}
	}
	k.list = keep
	if len(keep) > 0 {
		newest := keep[len(keep)-1]
		k.newest.Store(&newest)
	}
	return cmp.Or(k.trim(ctx, trim), k.report(asking))
}

// trim deletes the log's records before that position, as far as no hold forbids it. The checkpoint there, from which everything later
// can be had, is read back before.
func (k *Keeper) trim(ctx context.Context, at kv.Position) error {
	asking, cancel := context.WithTimeout(ctx, askBound)
	defer cancel()
	first, _, err := k.c.Log.Bounds(asking)
	if err != nil || at <= first || at == k.damaged {
		return err
	}
	to, held, err := k.free(asking, at)
	if err != nil {
		return err
	}
	if held != k.lastHeld {
		if k.lastHeld = held; held != "" {
			k.c.Logger.Info("the log is held", "by", held, "position", to, "would_be_trimmed_to", at)
		}
	}
	if to <= first {
		return nil
	}
	if k.c.Projection.Chain().Epoch < to {
		k.renew()
		k.listed = time.Time{} // it will be there when this looks next
		return nil
	}
	o, err := k.bucket.object(asking, objectName(k.c.Log.ID(), at))
	if err == nil {
		err = k.bucket.verify(ctx, o)
	}
	if errors.Is(err, ErrDamaged) {
		k.damaged = at
		return fmt.Errorf("the log is not trimmed before the next checkpoint can be relied on: %w", err)
	}
	if err != nil {
		return err
	}
	fault.Point("trim.before")
	trimming, cancel := context.WithTimeout(ctx, askBound)
	defer cancel()
	if still, _, err := k.free(trimming, to); err != nil || still < to { // reading the checkpoint may have taken long
		return err
	}
	if err := k.c.Log.Trim(trimming, to); err != nil {
		return err
	}
	fault.Point("trim.after")
	k.c.Logger.Info("trimmed the log", "first", to, "was", first)
	return nil
}

// free returns up to where the log may be trimmed, at most up to at, and what forbids more: backups that have not archived what
// comes then, and the queue that has not been fed with it. What they have got to last is left to them, to compare with.
func (k *Keeper) free(ctx context.Context, at kv.Position) (to kv.Position, held string, err error) {
	copied, err := queue.Copied(ctx, k.c.Log.JetStream(), k.c.Log.Database())
	if err != nil {
		return 0, "", err
	}
	var list []Hold
	holds, err := OpenHolds(ctx, k.c.Log.JetStream(), Config{})
	if err == nil {
		list, err = holds.List(ctx, k.c.Log.ID())
	}
	if err != nil && !errors.Is(err, ErrNone) {
		return 0, "", err
	}
	to = at
	for _, h := range append(list, Hold{Name: "queue", Position: copied, Of: "the queue"}) {
		if h.Position < to {
			to, held = h.Position, h.Of
		}
	}
	return to, held, nil
}

func (k *Keeper) report(ctx context.Context) error {
	state, err := natslog.Describe(ctx, k.c.Log.JetStream(), k.c.Log.Database())
	if err != nil {
		return nil // the next one will do
	}
	var newest Info
	if n := k.Newest(); n != nil {
		newest = *n
	}
	k.c.Metrics.Kept(newest, state.Bytes, state.First)
	return nil
}
