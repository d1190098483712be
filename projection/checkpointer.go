package projection

import (
	"context"
	"log/slog"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
)

// Checkpointer restores a projection from the checkpoints of a store, and takes new ones while it goes on. Without a store it
// does nothing. Its use is, in this order and from one goroutine at a time: Restore, Verify until it succeeds, Run, Save.
type Checkpointer struct {
	store      *Store // nil: no checkpoints
	every      int64  // bytes of log from one checkpoint to the next
	projection *Projection
	logger     *slog.Logger

	restored events.Chain // what the checkpoint had
	marked   events.Chain // what the log must have: never goes back, so that no witness of a loss is forgotten
	saved    kv.Position  // of the last checkpoint
	folded   int64        // bytes of log that had been applied then
}

// Restore loads the newest checkpoint that is whole; without one the projection is empty. The store may be nil. The logger gets
// what was loaded, and which checkpoints were passed over and why.
func Restore(store *Store, every int64, o Options, logger *slog.Logger) (*Checkpointer, error) {
	c := &Checkpointer{store: store, every: every, logger: logger}
	if store == nil {
		c.projection = New(o)
		return c, nil
	}
	var err error
	if c.marked, err = store.LastMark(); err != nil {
		return nil, err
	}
	began := time.Now()
	var skipped error
	if c.projection, skipped, err = store.Load(o); err != nil {
		return nil, err
	}
	if skipped != nil {
		logger.Warn("a checkpoint was passed over", "error", skipped)
	}
	c.restored = c.projection.Chain()
	c.saved = c.restored.Applied
	if c.saved > 0 {
		logger.Info("loaded a checkpoint", "position", c.saved, "took", time.Since(began).Round(time.Millisecond).String())
	}
	return c, nil
}

// Projection returns the projection, which the caller closes.
func (c *Checkpointer) Projection() *Projection { return c.projection }

// Load returns another projection of the newest checkpoint that is whole; without one it is empty. It may be called from any
// goroutine, at any time.
func (c *Checkpointer) Load(o Options) (*Projection, error) {
	if c.store == nil {
		return New(o), nil
	}
	p, _, err := c.store.Load(o)
	return p, err
}

// List returns the checkpoints of the store, newest first. It may be called from any goroutine, at any time.
func (c *Checkpointer) List() ([]StoredCheckpoint, error) {
	if c.store == nil {
		return nil, nil
	}
	return c.store.List()
}

// Restored returns the position of the checkpoint that was loaded; 0 if there was none.
func (c *Checkpointer) Restored() kv.Position { return c.restored.Applied }

// Verifier is a log that can be compared with what was read of it.
type Verifier interface {
	// Verify fails with events.ErrGap if the log ends before c.Applied, and with events.ErrDiverged if it has another record
	// than that of c.Hash at c.Counted. Other errors mean that the log could not be asked.
	Verify(ctx context.Context, c events.Chain) error
}

// Verify compares the log with the checkpoint and with the mark. If it fails, the log must not be followed from here: it has
// lost what it once had, or whoever answered for it does not know all of it yet.
func (c *Checkpointer) Verify(ctx context.Context, log Verifier) error {
	if c.store == nil {
		return nil
	}
	if err := log.Verify(ctx, c.marked); err != nil {
		return err
	}
	return log.Verify(ctx, c.restored)
}

// checkpointEvery is how often the end of the log is marked, and its growth since the last checkpoint is looked at.
const checkpointEvery = 5 * time.Second

// Run marks how far the log has come, and takes a checkpoint whenever it has grown enough, until ctx ends.
func (c *Checkpointer) Run(ctx context.Context) {
	if c.store == nil {
		return
	}
	ticker := time.NewTicker(checkpointEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		if err := c.step(ctx); err != nil && ctx.Err() == nil {
			c.logger.Error("could not take a checkpoint, or note the end of the log; the next start may take longer", "error", err)
		}
	}
}

func (c *Checkpointer) step(ctx context.Context) error {
	chain := c.projection.Chain()
	switch {
	case chain.Applied < c.marked.Applied: // still on the way to where the log had been
		return nil
	case c.projection.Folded()-c.folded >= c.every:
		return c.Save(ctx)
	case chain.Applied == c.marked.Applied:
		return nil
	}
	if err := c.store.Mark(chain); err != nil {
		return err
	}
	c.marked = chain
	return nil
}

// Save takes a checkpoint, unless nothing has been applied since the last one. It does nothing while the projection has not
// come to where the log is known to have been.
func (c *Checkpointer) Save(ctx context.Context) error {
	if c.store == nil {
		return nil
	}
	if applied := c.projection.Chain().Applied; applied == c.saved || applied < c.marked.Applied {
		return nil
	}
	began, folded := time.Now(), c.projection.Folded()
	chain, err := c.store.Save(ctx, c.projection)
	if chain.Applied == 0 { // there is no new one
		return err
	}
	c.saved, c.folded, c.marked = chain.Applied, folded, chain
	c.logger.Info("took a checkpoint", "position", chain.Applied, "took", time.Since(began).Round(time.Millisecond).String())
	return err
}
