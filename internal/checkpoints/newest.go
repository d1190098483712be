package checkpoints

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
	"github.com/nats-io/nats.go/jetstream"
)

// Of returns o with the checkpoints of a database in the bucket, which need not be there yet, as those that the projection can go
// on from.
func Of(js jetstream.JetStream, databaseID string, o projection.Options, logger *slog.Logger) projection.Options {
	plain := o
	o.Checkpoint = func(ctx context.Context, least kv.Position) (*projection.Projection, error) {
		b, err := Open(ctx, js, Config{})
		if err != nil {
			return nil, err
		}
		return b.Newest(ctx, databaseID, least, plain, logger)
	}
	return o
}

// Newest returns the state of the newest checkpoint, of those at the position least or later, that is not damaged. The logger is
// told of those that were passed over. It fails with ErrNone.
func (b *Bucket) Newest(ctx context.Context, databaseID string, least kv.Position, o projection.Options, logger *slog.Logger) (*projection.Projection, error) {
	list, err := b.List(ctx, databaseID)
	if err != nil {
		return nil, err
	}
	for _, info := range slices.Backward(list) {
		if info.Position < least {
			break
		}
		began := time.Now()
		p, err := b.Load(ctx, databaseID, info.Position, o)
		if err == nil {
			logger.Info("loaded a checkpoint of the bucket", "position", info.Position, "bytes", info.Bytes, "took", time.Since(began).Round(time.Millisecond).String())
			return p, nil
		}
		if ctx.Err() != nil {
			return nil, err
		}
		logger.Warn("a checkpoint of the bucket was passed over", "position", info.Position, "error", err)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%w: the bucket %s has none of this database", ErrNone, bucket)
	}
	return nil, fmt.Errorf("%w: the bucket %s has no good one from position %d on; restore the database from a backup", ErrNone, bucket, least)
}

// Load returns the state of a checkpoint. It fails with ErrNone, ErrDamaged or projection.ErrCheckpoint.
func (b *Bucket) Load(ctx context.Context, databaseID string, at kv.Position, o projection.Options) (*projection.Projection, error) {
	r, err := b.Get(ctx, databaseID, at)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	p, id, err := projection.ReadCheckpoint(r, o)
	if err != nil {
		_, cause := io.Copy(io.Discard, r) // if it is the bucket that is damaged, this says so
		return nil, errors.Join(err, cause)
	}
	_, err = io.Copy(io.Discard, r)
	if err == nil && (id != databaseID || p.Applied() != at) {
		err = fmt.Errorf("%w: it is of the database %s at %d", ErrDamaged, id, p.Applied())
	}
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}
