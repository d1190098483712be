package checkpoints

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/queue"
	"github.com/nats-io/nats.go/jetstream"
)

// backlogOf is under what the messages of a database's queue are kept that belong to a state of it. They are no checkpoints of the
// database: List does not show them.
func backlogOf(databaseID string) string { return databaseID + "_messages" }

// PutBacklog is Put of the messages that a queue begins with where the database's state at a place is had again. It returns how many
// there are.
func (b *Bucket) PutBacklog(ctx context.Context, databaseID string, at events.Chain, messages func(each func(kv.QueuedMessage) error) error) (n int, err error) {
	_, err = b.Put(ctx, backlogOf(databaseID), func(w io.Writer) (events.Chain, error) {
		n, err = queue.WriteBacklog(w, messages)
		return at, err
	})
	return n, err
}

// Backlog returns what calls each with the messages that PutBacklog has put there; with none if nothing was put.
func Backlog(js jetstream.JetStream, databaseID string, at kv.Position) func(ctx context.Context, each func(kv.QueuedMessage) error) error {
	return func(ctx context.Context, each func(kv.QueuedMessage) error) error {
		b, err := Open(ctx, js, Config{})
		var contents io.ReadCloser
		if err == nil {
			contents, err = b.Get(ctx, backlogOf(databaseID), at)
		}
		if errors.Is(err, ErrNone) {
			return nil
		}
		if err != nil {
			return err
		}
		defer contents.Close()
		return queue.ReadBacklog(contents, each)
	}
}

// DeleteAll deletes all that belongs to a database, what unfinished tries have left included. Nobody may put anything there any more.
func (b *Bucket) DeleteAll(ctx context.Context, databaseID string) error {
	for _, id := range []string{databaseID, backlogOf(databaseID)} {
		list, err := b.List(ctx, id)
		if err != nil {
			return err
		}
		for _, info := range list {
			if err := b.Delete(ctx, id, info.Position); err != nil {
				return err
			}
		}
		if err := b.Sweep(ctx, id, time.Now().Add(2*sweepAfter)); err != nil {
			return err
		}
	}
	return nil
}
