package engine

import (
	"context"

	"github.com/millpondkv/millpond/history"
	"github.com/millpondkv/millpond/kv"
)

// History begins to answer something about the past: every commit that was answered before the call is part of it. It does not block, and
// fails with kv.ErrInvalid only.
func (d *Database) History(_ context.Context, want kv.HistoryRead) (*history.Read, error) {
	now := d.sequencer.ReadPoint().Now
	past := history.Database{
		ID: d.ID(), Log: d.log, Checkpoints: history.InBucket(d.engine.js, d.ID()), Slots: d.engine.pasts,
		Logger: d.engine.config.Logger.With("database", d.name),
	}
	return past.Read(want, d.projection.Applied(), now)
}
