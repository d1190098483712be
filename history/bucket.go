package history

import (
	"context"
	"errors"
	"io"

	"github.com/millpondkv/millpond/internal/checkpoints"
	"github.com/nats-io/nats.go/jetstream"
)

// bucket is the checkpoints of a database in NATS, where all processes find them.
type bucket struct {
	js jetstream.JetStream
	id string
}

// InBucket returns the checkpoints of the database with that UUID in the bucket, which need not be there yet.
func InBucket(js jetstream.JetStream, id string) Checkpoints { return bucket{js, id} }

func (b bucket) List(ctx context.Context) ([]Checkpoint, error) {
	kept, err := checkpoints.Open(ctx, b.js, checkpoints.Config{})
	if errors.Is(err, checkpoints.ErrNone) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	infos, err := kept.List(ctx, b.id)
	if err != nil {
		return nil, err
	}
	list := make([]Checkpoint, len(infos))
	for i, info := range infos {
		list[i] = Checkpoint{Position: info.Position, Time: info.Time, Open: func(ctx context.Context) (io.ReadCloser, error) {
			return kept.Get(ctx, b.id, info.Position)
		}}
	}
	return list, nil
}
