package engine

import (
	"context"
	"io"
	"os"

	"github.com/millpondkv/millpond/history"
	"github.com/millpondkv/millpond/kv"
)

// History begins to answer something about the past: every commit that was answered before the call is part of it. It does not block, and
// fails with kv.ErrInvalid only.
func (d *Database) History(_ context.Context, want kv.HistoryRead) (*history.Read, error) {
	now := d.sequencer.ReadPoint().Now
	past := history.Database{
		ID: d.ID(), Log: d.log, Checkpoints: kept{d, history.InBucket(d.engine.js, d.ID())}, Slots: d.engine.pasts,
		Logger: d.engine.config.Logger.With("database", d.name),
	}
	return past.Read(want, d.projection.Applied(), now)
}

// kept is the checkpoints of a database in the bucket, and those in its directory: a database that was restored begins with one
// of these.
type kept struct {
	d      *Database
	bucket history.Checkpoints
}

func (k kept) List(ctx context.Context) ([]history.Checkpoint, error) {
	list, err := k.bucket.List(ctx)
	if err != nil {
		return nil, err
	}
	files, err := k.d.keeper.List()
	for _, c := range files {
		list = append(list, history.Checkpoint{Position: c.Chain.Applied, Time: c.Chain.Time, Open: func(context.Context) (io.ReadCloser, error) {
			return os.Open(c.File)
		}})
	}
	return list, err
}
