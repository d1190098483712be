package natslog

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// How a reader pulls. Its consumer lives on one server, in memory; with this heartbeat, and an expiry to match, the loss of
// that server is noticed in two seconds.
const (
	pullHeartbeat = time.Second
	pullExpiry    = 4 * time.Second
	pullBytes     = 8 << 20          // some records of the largest size
	openTimeout   = time.Second      // of a consumer: it may be given to a server that is lost, and be asked for again
	consumerKept  = 30 * time.Second // by its server after its reader is gone
)

// Read implements events.Log. It makes one consumer, and Next fails when that is lost, within two seconds: whoever reads
// begins a new Read. (JetStream's ordered consumer would make another one by itself, but waits up to ten seconds in each try
// and heeds no context meanwhile.) If no consumer can be made, it reads without one for a while, and Next fails then. The consumer does not look for messages that its server's disk has lost.
func (l *Log) Read(ctx context.Context, from kv.Position) (events.Reader, error) {
	opening, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	consumer, err := l.stream.CreateConsumer(opening, jetstream.ConsumerConfig{
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       uint64(max(from, 1)),
		AckPolicy:         jetstream.AckNonePolicy,
		Replicas:          1,
		MemoryStorage:     true,
		InactiveThreshold: consumerKept,
	})
	if err != nil {
		err = fmt.Errorf("read the log of %q: %w", l.database, err)
		if ctx.Err() != nil {
			return nil, err
		}
		return &directReader{log: l, next: max(from, 1), until: time.Now().Add(directFor), cause: err}, nil
	}
	messages, err := consumer.Messages(jetstream.PullHeartbeat(pullHeartbeat), jetstream.PullExpiry(pullExpiry),
		jetstream.PullMaxBytes(pullBytes))
	if err != nil {
		return nil, fmt.Errorf("read the log of %q: %w", l.database, err)
	}
	return &reader{database: l.database, messages: messages}, nil
}

type reader struct {
	database  string
	messages  jetstream.MessagesContext
	delivered uint64 // messages that the consumer has sent here
}

// errLost says that a message came over the network which was not the next one that the consumer has sent.
var errLost = errors.New("a message was lost on its way")

func (r *reader) Next(ctx context.Context) (events.Message, error) {
	m, err := r.next(ctx)
	if err != nil {
		return m, fmt.Errorf("read the log of %q: %w", r.database, err)
	}
	return m, nil
}

func (r *reader) next(ctx context.Context) (events.Message, error) {
	msg, err := r.messages.Next(jetstream.NextContext(ctx))
	if err != nil {
		return events.Message{}, err
	}
	about, err := msg.Metadata()
	if err != nil {
		return events.Message{}, err
	}
	if r.delivered++; about.Sequence.Consumer != r.delivered {
		return events.Message{}, errLost
	}
	at := kv.Position(about.Sequence.Stream)
	return events.Message{Position: at, Data: msg.Data(), Foreign: foreign(msg.Headers(), at)}, nil
}

// foreign reports whether the message at that position was not published by Append: it does not have the expectation of
// Append's fence, which JetStream keeps with the message and which can hold nowhere else.
func foreign(h nats.Header, at kv.Position) bool {
	return h.Get(jetstream.ExpectedLastSeqHeader) != strconv.FormatUint(uint64(at)-1, 10)
}

func (r *reader) Close() { r.messages.Stop() }
