package queue

import (
	"context"
	"errors"
	"time"

	"github.com/millpondkv/millpond/kv"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
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
		messages := make([]kv.Message, 0, len(got))
		for _, m := range got {
			if message, ok := q.deliver(ctx, m); ok {
				messages = append(messages, message)
			}
		}
		if len(messages) > 0 || time.Until(until) <= 0 || ctx.Err() != nil {
			return messages, nil
		}
	}
}

// minPull is the shortest time for which JetStream takes a request that waits.
const minPull = 10 * time.Millisecond

// fetch returns what is there, or waits for one message.
func (q *Queue) fetch(ctx context.Context, most int, wait time.Duration) ([]jetstream.Msg, error) {
	batch, err := q.listen.FetchNoWait(most)
	if err != nil {
		return nil, q.unavailable("take messages", err)
	}
	var got []jetstream.Msg
	for m := range batch.Messages() {
		got = append(got, m)
	}
	if len(got) > 0 || wait < minPull {
		return got, nil
	}
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	m, err := q.listen.Next(jetstream.FetchContext(waiting))
	switch {
	case err == nil:
		return []jetstream.Msg{m}, nil
	case waiting.Err() != nil || errors.Is(err, jetstream.ErrNoMessages) || errors.Is(err, nats.ErrTimeout):
		return nil, nil
	}
	return nil, q.unavailable("wait for a message", err)
}

// deliver returns m as its listener gets it. A message that has had its attempts, and whose listeners have said nothing, is
// given up instead.
func (q *Queue) deliver(ctx context.Context, m jetstream.Msg) (message kv.Message, ok bool) {
	about, err := m.Metadata()
	if err != nil {
		q.c.Logger.Warn("a message of the queue has no metadata", "database", q.c.Database, "error", err)
		return message, false
	}
	if ctx.Err() != nil { // the listener has gone
		_ = m.Nak()
		return message, false
	}
	content, err := parse(m.Headers(), m.Data())
	if err != nil {
		q.c.Logger.Error("took a message out of the queue that Millpond has not put there", "database", q.c.Database, "sequence", about.Sequence.Stream, "error", err)
		_ = m.Term()
		return message, false
	}
	r := receipt{stream: about.Sequence.Stream, consumer: about.Sequence.Consumer, delivered: about.NumDelivered, sent: about.Timestamp.UnixNano()}
	if attempt := int(about.NumDelivered); attempt > max(content.attempts(), minVanished) {
		if err := q.bury(ctx, r, content); err != nil {
			q.c.Logger.Warn("cannot give up a message; trying again", "database", q.c.Database, "error", err)
		}
		return message, false
	}
	return kv.Message{ID: content.id, Payload: content.Payload, Attempt: int(about.NumDelivered), Receipt: r.String()}, true
}
