package queue

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/millpondkv/millpond/kv"
	"github.com/nats-io/nats.go"
)

// AckWait is how long a listener may say nothing of a message before another one gets it.
func (q *Queue) AckWait() time.Duration { return q.c.AckWait }

// Receive returns messages, at most so many, in the order in which they were due. It blocks until there is one, but not
// longer than wait, and then returns none. Each must be settled within AckWait, or goes to another listener.
//
// If ctx has ended, messages that came nevertheless go to another listener at once.
func (q *Queue) Receive(ctx context.Context, most int, wait time.Duration) ([]kv.Message, error) {
	if err := q.open(ctx); err != nil {
		return nil, err
	}
	until := time.Now().Add(wait)
	for {
		got, err := q.fetch(ctx, most, time.Until(until))
		if err != nil {
			return nil, err
		}
		messages := q.deliver(ctx, got)
		if len(messages) > 0 || time.Until(until) <= 0 || ctx.Err() != nil {
			return messages, nil
		}
	}
}

// minPull is the shortest time for which JetStream takes a request that waits.
const minPull = 10 * time.Millisecond

// fetch returns what is there, or waits for one message.
func (q *Queue) fetch(ctx context.Context, most int, wait time.Duration) ([]*nats.Msg, error) {
	got, err := q.pullNext(ctx, pull{Batch: most, NoWait: true})
	if err == nil && len(got) == 0 && wait >= minPull && ctx.Err() == nil {
		got, err = q.pullNext(ctx, pull{Batch: 1, Expires: wait})
	}
	if err != nil {
		return nil, q.unavailable("take messages", err)
	}
	return got, nil
}

// arrival is a message that JetStream has delivered.
type arrival struct {
	content stored
	receipt receipt
}

// deliver returns what came as its listener gets it.
func (q *Queue) deliver(ctx context.Context, got []*nats.Msg) []kv.Message {
	arrivals := make([]arrival, 0, len(got))
	for _, m := range got {
		switch a, err := arrive(m); {
		case ctx.Err() != nil: // the listener has gone
			_ = m.Nak()
		case err != nil:
			q.c.Logger.Error("took a message out of the queue that Millpond has not put there", "database", q.c.Database, "error", err)
			_ = m.Term()
		case int(a.receipt.delivered) > max(a.content.attempts(), minVanished): // and its listeners have said nothing
			if err := q.bury(ctx, a.receipt, a.content); err != nil {
				q.c.Logger.Warn("cannot give up a message; trying again", "database", q.c.Database, "error", err)
			}
		default:
			arrivals = append(arrivals, a)
		}
	}
	// JetStream releases those that are due within the same quarter of a second, or have become due while it was down, in
	// the order in which they were enqueued.
	slices.SortStableFunc(arrivals, func(a, b arrival) int { return cmp.Compare(a.content.Due(), b.content.Due()) })
	messages := make([]kv.Message, 0, len(arrivals))
	for _, a := range arrivals {
		messages = append(messages, kv.Message{ID: a.content.ID, Payload: a.content.Payload, Attempt: int(a.receipt.delivered), Receipt: a.receipt.String()})
	}
	return messages
}

func arrive(m *nats.Msg) (a arrival, err error) {
	about, err := m.Metadata()
	if err != nil {
		return a, err
	}
	a.receipt = receipt{stream: about.Sequence.Stream, consumer: about.Sequence.Consumer, delivered: about.NumDelivered, sent: about.Timestamp.UnixNano()}
	a.content, err = parse(m.Header, m.Data)
	return a, err
}
