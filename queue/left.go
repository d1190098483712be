package queue

import (
	"context"
	"errors"
	"fmt"

	"github.com/millpondkv/millpond/kv"
	"github.com/nats-io/nats.go/jetstream"
)

// Left calls each with the messages that have not been settled, those that are with listeners included, and with the dead ones; none if
// there is no queue of this database. Listeners may settle some meanwhile.
func (q *Queue) Left(ctx context.Context, each func(kv.QueuedMessage) error) error {
	stream, err := q.own(ctx)
	if stream == nil || err != nil {
		return err
	}
	for _, subject := range []string{readySubject(q.c.Database), laterSubjects(q.c.Database), deadSubject(q.c.Database)} {
		for from := uint64(1); ; {
			m, err := stream.GetMsg(ctx, from, jetstream.WithGetMsgSubject(subject))
			if errors.Is(err, jetstream.ErrMsgNotFound) {
				break
			}
			if err != nil {
				return fmt.Errorf("read the queue of %q: %w", q.c.Database, err)
			}
			from = m.Sequence + 1
			content, err := parse(m.Header, m.Data)
			if err != nil {
				continue // no message of a commit
			}
			content.Dead = subject == deadSubject(q.c.Database)
			if err := each(content.QueuedMessage); err != nil {
				return err
			}
		}
	}
	return nil
}

// Remove removes the queue with all that is in it, if there is one of this database.
func (q *Queue) Remove(ctx context.Context) error {
	stream, err := q.own(ctx)
	if stream == nil || err != nil {
		return err
	}
	if err := q.c.JS.DeleteStream(ctx, streamName(q.c.Database)); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("remove the queue of %q: %w", q.c.Database, err)
	}
	return nil
}

// own returns the stream of this database's queue; nil if there is none, or one of another database.
func (q *Queue) own(ctx context.Context) (jetstream.Stream, error) {
	stream, err := q.c.JS.Stream(ctx, streamName(q.c.Database))
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for the queue of %q: %w", q.c.Database, err)
	}
	if stream.CachedInfo().Config.Metadata[metadataID] != q.c.ID {
		return nil, nil
	}
	return stream, nil
}
