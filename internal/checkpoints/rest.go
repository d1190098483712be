package checkpoints

import (
	"context"
	"errors"
	"fmt"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
	"github.com/nats-io/nats.go/jetstream"
)

// Rest returns what returns the place of a database's first checkpoint from which its log goes on, if that begins at first: all
// of the log after it is there. It fails with ErrNone.
func Rest(js jetstream.JetStream, databaseID string) func(ctx context.Context, first kv.Position) (events.Chain, error) {
	return func(ctx context.Context, first kv.Position) (c events.Chain, err error) {
		b, err := Open(ctx, js, Config{})
		if err != nil {
			return c, err
		}
		list, err := b.List(ctx, databaseID)
		if err != nil {
			return c, err
		}
		var failed error
		for _, info := range list {
			if info.Position+1 < first {
				continue
			}
			if c, err = b.chain(ctx, databaseID, info.Position); err == nil {
				return c, nil
			}
			failed = errors.Join(failed, err)
		}
		if failed == nil {
			failed = fmt.Errorf("%w from which a log goes on that begins at %d", ErrNone, first)
		}
		return events.Chain{}, failed
	}
}

// chain returns the place of a checkpoint, of which it reads the beginning.
func (b *Bucket) chain(ctx context.Context, databaseID string, at kv.Position) (c events.Chain, err error) {
	contents, err := b.Get(ctx, databaseID, at)
	if err != nil {
		return c, err
	}
	defer contents.Close()
	c, id, err := projection.ReadChain(contents)
	if err == nil && (id != databaseID || c.Applied != at) {
		err = fmt.Errorf("%w: it is of the database %s at %d", ErrDamaged, id, c.Applied)
	}
	return c, err
}
