package natslog

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// How a reader pulls. An ordered consumer lives on one server; with this heartbeat, and an expiry to match, its loss is
// noticed in two seconds rather than ten.
const (
	pullHeartbeat = time.Second
	pullExpiry    = 4 * time.Second
	pullBytes     = 8 << 20 // some records of the largest size
	openTimeout   = 3 * time.Second
)

// Read implements events.Log, by an ordered consumer. That checks the order of its own deliveries only, so messages can
// be missing if the server's disk has lost them. When its server is lost it tries once to make another one, for 10 s, since
// the client waits without end otherwise; then Next fails, and whoever reads begins a new Read.
func (l *Log) Read(ctx context.Context, from kv.Position) (events.Reader, error) {
	opening, cancel := context.WithTimeout(ctx, openTimeout) // a consumer may be given to a server that is lost
	defer cancel()
	consumer, err := l.js.OrderedConsumer(opening, streamName(l.database), jetstream.OrderedConsumerConfig{
		DeliverPolicy:    jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:      uint64(max(from, 1)),
		MaxResetAttempts: 1,
	})
	if err != nil {
		return nil, fmt.Errorf("read the log of %q: %w", l.database, err)
	}
	messages, err := consumer.Messages(jetstream.PullHeartbeat(pullHeartbeat), jetstream.PullExpiry(pullExpiry),
		jetstream.PullMaxBytes(pullBytes))
	if err != nil {
		return nil, fmt.Errorf("read the log of %q: %w", l.database, err)
	}
	r := &reader{database: l.database, messages: messages, next: make(chan delivery), closed: make(chan struct{})}
	go r.deliver()
	return r, nil
}

type reader struct {
	database string
	messages jetstream.MessagesContext
	next     chan delivery
	closed   chan struct{}
}

type delivery struct {
	msg jetstream.Msg
	err error
}

// deliver takes messages until there is an error, or Close. It is a goroutine of its own because the client does not heed a
// context while it makes a new consumer.
func (r *reader) deliver() {
	for {
		msg, err := r.messages.Next()
		select {
		case r.next <- delivery{msg, err}:
		case <-r.closed:
			return
		}
		if err != nil {
			return
		}
	}
}

func (r *reader) Next(ctx context.Context) (events.Message, error) {
	var d delivery
	select {
	case d = <-r.next:
	case <-ctx.Done():
		d.err = ctx.Err()
	}
	if d.err != nil {
		return events.Message{}, fmt.Errorf("read the log of %q: %w", r.database, d.err)
	}
	about, err := d.msg.Metadata()
	if err != nil {
		return events.Message{}, fmt.Errorf("read the log of %q: %w", r.database, err)
	}
	at := kv.Position(about.Sequence.Stream)
	return events.Message{Position: at, Data: d.msg.Data(), Foreign: foreign(d.msg.Headers(), at)}, nil
}

// foreign reports whether the message at that position was not published by Append: it does not have the expectation of
// Append's fence, which JetStream keeps with the message and which can hold nowhere else.
func foreign(h nats.Header, at kv.Position) bool {
	return h.Get(jetstream.ExpectedLastSeqHeader) != strconv.FormatUint(uint64(at)-1, 10)
}

func (r *reader) Close() {
	close(r.closed)
	r.messages.Stop()
}
