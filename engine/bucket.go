package engine

import (
	"context"
	"errors"

	"github.com/millpondkv/millpond/internal/checkpoints"
	"github.com/millpondkv/millpond/kv"
)

// startBucket keeps checkpoints in NATS beside those of the directory, and trims the log behind them, until ctx ends. Unlike
// those of the directory they reach back through the history that is kept.
func (d *Database) startBucket(ctx context.Context) {
	e := d.engine
	metrics := e.metrics.checkpoints.Of(d.name)
	metrics.Begin()
	if e.config.Memory {
		return
	}
	keeper := checkpoints.NewKeeper(checkpoints.KeeperConfig{
		Log: d.log, Projection: d.projection, History: e.config.History, Bytes: e.config.CheckpointBytes, Now: e.clock.now,
		Metrics: metrics, Logger: e.config.Logger.With("database", d.name),
	})
	d.work.Go(func() {
		if err := d.dropHolds(ctx); err != nil {
			e.config.Logger.Error("cannot remove the holds of archives that are not kept any more; the log is not trimmed", "database", d.name, "error", err)
			return
		}
		keeper.Run(ctx, d.sequencer.Renew)
	})
}

// dropHolds removes all holds but the configured one.
func (d *Database) dropHolds(ctx context.Context) error {
	holds, err := checkpoints.OpenHolds(ctx, d.engine.js, checkpoints.Config{})
	if errors.Is(err, checkpoints.ErrNone) {
		return nil
	}
	if err != nil {
		return err
	}
	list, err := holds.List(ctx, d.ID())
	for _, h := range list {
		if h.Name != d.engine.config.Hold {
			err = errors.Join(err, holds.Remove(ctx, d.ID(), h.Name))
		}
	}
	return err
}

// Archived moves the hold of the engine's configuration: the log up to the position at is not needed by that archive any more.
func (d *Database) Archived(ctx context.Context, of string, at kv.Position) error {
	holds, err := checkpoints.OpenHolds(ctx, d.engine.js, checkpoints.Config{Replicas: 1})
	if err != nil {
		return err
	}
	return holds.Set(ctx, d.ID(), checkpoints.Hold{Name: d.engine.config.Hold, Position: at, Of: of, Moved: d.engine.config.Now()})
}
