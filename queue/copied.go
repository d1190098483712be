package queue

import (
	"context"
	"errors"
	"fmt"

	"github.com/millpondkv/millpond/kv"
	"github.com/nats-io/nats.go/jetstream"
)

// Copied returns the position up to which the log of a database has been copied into its queue; 0 if nothing has been, or the
// queue has not been made yet. The feeder needs the log from there on.
func Copied(ctx context.Context, js jetstream.JetStream, database string) (kv.Position, error) {
	stream, err := js.Stream(ctx, streamName(database))
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return 0, nil
	}
	var m *jetstream.RawStreamMsg
	if err == nil {
		m, err = stream.GetLastMsgForSubject(ctx, cursorSubject(database))
	}
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, nil
	}
	var c cursor
	if err == nil {
		c, err = decodeCursor(m.Data)
	}
	if err != nil {
		return 0, fmt.Errorf("read the queue's cursor: %w", err)
	}
	return c.chain.Applied, nil
}
