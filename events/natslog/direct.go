package natslog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
	"github.com/nats-io/nats.go/jetstream"
)

// directReader reads one message after the other from whichever server answers. It is there for the seconds in which no
// consumer can be made, since that takes JetStream's metadata leader, though the log itself is well: so reads and takeovers do
// not wait for an election that is none of theirs.
type directReader struct {
	log   *Log
	next  kv.Position
	until time.Time // then a consumer is to be tried again
	cause error     // why there is none
}

const (
	directFor   = 2 * time.Second
	directAgain = 10 * time.Millisecond // between looks for a message that is not there yet
)

func (r *directReader) Next(ctx context.Context) (events.Message, error) {
	for {
		m, err := r.get(ctx)
		if !errors.Is(err, jetstream.ErrMsgNotFound) {
			return m, err
		}
		if time.Now().After(r.until) {
			return m, r.cause
		}
		select {
		case <-time.After(directAgain):
		case <-ctx.Done():
			return m, fmt.Errorf("read the log of %q: %w", r.log.database, ctx.Err())
		}
	}
}

func (r *directReader) get(ctx context.Context) (m events.Message, err error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	msg, err := r.log.stream.GetMsg(ctx, uint64(r.next))
	if err != nil {
		return m, fmt.Errorf("read record %d of the log of %q: %w", r.next, r.log.database, err)
	}
	m = events.Message{Position: r.next, Data: msg.Data, Foreign: foreign(msg.Header, r.next)}
	r.next++
	return m, nil
}

func (r *directReader) Close() {}
