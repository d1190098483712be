package fakeserver

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kv/kvtest"
	"github.com/millpondkv/millpond/kvconnect"
)

// AckWait is how long a listener may say nothing of a message before another one gets it.
const AckWait = 300 * time.Millisecond

// delivery is what has become of a message of the model.
type delivery struct {
	attempts int
	next     time.Time // delivered again from here on, if it is not settled before
	handled  bool
	dead     bool
}

// queue is the model's messages and their deliveries. A receipt is the message's index and the number of its attempt.
type queue struct{ s *Server }

// Queue implements kvconnect.QueueDatabase.
func (d database) Queue() kvconnect.Queue { return queue(d) }

func (q queue) AckWait() time.Duration { return AckWait }

// pollEvery is how often somebody who waits looks for messages that have become due.
const pollEvery = 2 * time.Millisecond

func (q queue) Receive(ctx context.Context, most int, wait time.Duration) ([]kv.Message, error) {
	over := time.After(wait)
	for {
		if got := q.due(most); len(got) > 0 {
			return got, nil
		}
		select {
		case <-time.After(pollEvery):
		case <-over:
			return nil, nil
		case <-ctx.Done():
			return nil, nil
		}
	}
}

// each calls f with all messages. The caller holds mu.
func (q queue) each(f func(i int, m kvtest.Message, d *delivery)) {
	messages := q.s.model.Messages()
	q.s.deliveries = slices.Grow(q.s.deliveries, len(messages))[:len(messages)]
	for i, m := range messages {
		if q.s.deliveries[i] == nil {
			q.s.deliveries[i] = &delivery{next: m.Deadline.Time()}
		}
		f(i, m, q.s.deliveries[i])
	}
}

func (q queue) due(most int) (list []kv.Message) {
	q.s.mu.Lock()
	defer q.s.mu.Unlock()
	q.each(func(i int, m kvtest.Message, d *delivery) {
		if d.handled || d.dead || d.next.After(time.Now()) || len(list) == most {
			return
		}
		d.attempts++
		d.next = time.Now().Add(AckWait)
		list = append(list, kv.Message{ID: id(i), Payload: m.Payload, Attempt: d.attempts, Receipt: id(i)})
	})
	return list
}

func id(i int) string { return strconv.Itoa(i) }

func (q queue) Settle(_ context.Context, v kv.Verdict, receipts []string) error {
	q.s.mu.Lock()
	defer q.s.mu.Unlock()
	q.each(func(i int, m kvtest.Message, d *delivery) {
		schedule := m.Schedule()
		switch {
		case !slices.Contains(receipts, id(i)):
		case v == kv.VerdictAck:
			d.handled = true
		case v == kv.VerdictExtend:
			d.next = time.Now().Add(AckWait)
		case d.attempts <= len(schedule):
			d.next = time.Now().Add(time.Duration(schedule[d.attempts-1]) * time.Millisecond)
		default:
			d.dead = true
		}
	})
	return nil
}

func (q queue) Stats(context.Context) (s kv.QueueStats, err error) {
	q.s.mu.Lock()
	defer q.s.mu.Unlock()
	q.each(func(_ int, _ kvtest.Message, d *delivery) {
		switch {
		case d.handled:
		case d.dead:
			s.Dead++
		case d.attempts > 0:
			s.InFlight++
		case d.next.After(time.Now()):
			s.Scheduled++
		default:
			s.Waiting++
		}
	})
	return s, nil
}

func (q queue) Peek(_ context.Context, state kv.MessageState, most int) (list []kv.PeekedMessage, err error) {
	q.s.mu.Lock()
	defer q.s.mu.Unlock()
	q.each(func(i int, m kvtest.Message, d *delivery) {
		is := kv.MessageDue
		switch {
		case d.dead:
			is = kv.MessageDead
		case d.attempts == 0 && d.next.After(time.Now()):
			is = kv.MessageScheduled
		}
		if !d.handled && is == state && len(list) < most {
			list = append(list, kv.PeekedMessage{ID: id(i), Payload: m.Payload, Deadline: m.Deadline})
		}
	})
	return list, nil
}

func (q queue) RetryDead(context.Context) (n int, err error) {
	q.s.mu.Lock()
	defer q.s.mu.Unlock()
	q.each(func(_ int, _ kvtest.Message, d *delivery) {
		if d.dead {
			*d = delivery{}
			n++
		}
	})
	return n, nil
}
