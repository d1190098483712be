package natslog

import (
	"context"
	"fmt"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
	"github.com/nats-io/nats.go/jetstream"
)

// How a reader pulls. An ordered consumer lives on one server; with this heartbeat, and an expiry to match, its loss is
// noticed in two seconds rather than ten.
const (
	pullHeartbeat = time.Second
	pullExpiry    = 4 * time.Second
	pullBytes     = 8 << 20 // some records of the largest size
)

// Read implements events.Log, by an ordered consumer. That checks the order of its own deliveries only, so messages can
// be missing if the server's disk has lost them.
func (l *Log) Read(ctx context.Context, from kv.Position) (events.Reader, error) {
	consumer, err := l.js.OrderedConsumer(ctx, streamName(l.database), jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:   uint64(max(from, 1)),
	})
	if err != nil {
		return nil, fmt.Errorf("read the log of %q: %w", l.database, err)
	}
	messages, err := consumer.Messages(jetstream.PullHeartbeat(pullHeartbeat), jetstream.PullExpiry(pullExpiry),
		jetstream.PullMaxBytes(pullBytes))
	if err != nil {
		return nil, fmt.Errorf("read the log of %q: %w", l.database, err)
	}
	return &reader{database: l.database, messages: messages}, nil
}

type reader struct {
	database string
	messages jetstream.MessagesContext
}

func (r *reader) Next(ctx context.Context) (events.Message, error) {
	msg, err := r.messages.Next(jetstream.NextContext(ctx))
	if err != nil {
		return events.Message{}, fmt.Errorf("read the log of %q: %w", r.database, err)
	}
	about, err := msg.Metadata()
	if err != nil {
		return events.Message{}, fmt.Errorf("read the log of %q: %w", r.database, err)
	}
	return events.Message{Position: kv.Position(about.Sequence.Stream), Data: msg.Data()}, nil
}

func (r *reader) Close() { r.messages.Stop() }
