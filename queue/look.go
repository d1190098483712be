package queue

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/millpondkv/millpond/kv"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Stats returns the numbers of the queue. It takes as long however many messages there are.
func (q *Queue) Stats(ctx context.Context) (s kv.QueueStats, err error) {
	if err := q.open(ctx); err != nil {
		return s, err
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	stream, err := q.stream.Info(ctx)
	if err != nil {
		return s, q.unavailable("ask for the queue's state", err)
	}
	listen, err := q.listen.Info(ctx)
	if err != nil {
		return s, q.unavailable("ask for the queue's state", err)
	}
	buried, err := q.buried.Info(ctx)
	if err != nil {
		return s, q.unavailable("ask for the queue's state", err)
	}
	s.Waiting, s.InFlight = listen.NumPending, uint64(listen.NumAckPending)
	s.Dead = buried.NumPending + uint64(buried.NumAckPending)
	const cursors = 1
	if others := s.Waiting + s.InFlight + s.Dead + cursors; stream.State.Msgs > others { // what is left
		s.Scheduled = stream.State.Msgs - others
	}
	oldest, err := q.next(ctx, readySubject(q.c.Database), listen.AckFloor.Stream+1)
	if err != nil || oldest == nil {
		return s, err
	}
	s.OldestAge = max(0, time.Since(oldest.Time))
	return s, nil
}

// next returns the first message of a subject from that sequence on; nil if there is none.
func (q *Queue) next(ctx context.Context, subject string, from uint64) (*jetstream.RawStreamMsg, error) {
	m, err := q.stream.GetMsg(ctx, max(from, 1), jetstream.WithGetMsgSubject(subject))
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return nil, nil
	case err != nil:
		return nil, q.unavailable("read the queue", err)
	}
	return m, nil
}

// Peek returns messages that are in that state, at most so many, without taking them: the oldest, or of the scheduled ones
// those that were enqueued first.
func (q *Queue) Peek(ctx context.Context, state kv.MessageState, most int) ([]kv.PeekedMessage, error) {
	if err := state.Validate(); err != nil {
		return nil, err
	}
	subject := map[kv.MessageState]string{
		kv.MessageDue: readySubject(q.c.Database), kv.MessageScheduled: laterSubjects(q.c.Database), kv.MessageDead: deadSubject(q.c.Database),
	}[state]
	if err := q.open(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var list []kv.PeekedMessage
	for from := uint64(1); len(list) < most; {
		m, err := q.next(ctx, subject, from)
		if err != nil || m == nil {
			return list, err
		}
		from = m.Sequence + 1
		content, err := parse(m.Header, m.Data)
		if err != nil {
			continue // a listener will take it out
		}
		list = append(list, kv.PeekedMessage{ID: content.ID, Payload: content.Payload, Enqueued: content.Enqueued, Deadline: content.Deadline})
	}
	return list, nil
}

// RetryDead puts all dead messages back into the queue, with all their attempts before them, and returns how many. A crash
// meanwhile may put some back and leave them among the dead too.
func (q *Queue) RetryDead(ctx context.Context) (n int, err error) {
	if err := q.open(ctx); err != nil {
		return 0, err
	}
	for wait := time.Duration(0); ; {
		taken, revived, err := q.retryBatch(ctx, wait)
		n += revived
		switch {
		case err != nil:
			return n, err
		case taken:
			continue
		case wait > 0:
			return n, nil
		}
		if behind, err := q.deadBehind(ctx); err != nil || !behind {
			return n, err
		}
		wait = deadWait
	}
}

// deadWait is far more than JetStream takes to tell a consumer of a message that it has acked.
const deadWait = time.Second

// deadBehind reports whether there are dead messages of which their consumer has not heard yet.
func (q *Queue) deadBehind(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	m, err := q.next(ctx, deadSubject(q.c.Database), 1)
	if err != nil || m == nil {
		return false, err
	}
	info, err := q.buried.Info(ctx)
	if err != nil {
		return false, q.unavailable("ask for the queue's state", err)
	}
	return info.NumAckPending == 0, nil // otherwise somebody else is putting them back
}

// retryBatch puts a batch of dead messages back: those that are there, or come within the time to wait.
func (q *Queue) retryBatch(ctx context.Context, wait time.Duration) (taken bool, n int, err error) {
	var batch jetstream.MessageBatch
	if wait == 0 {
		batch, err = q.buried.FetchNoWait(maxBatch)
	} else {
		batch, err = q.buried.Fetch(maxBatch, jetstream.FetchMaxWait(wait))
	}
	if err != nil {
		return false, 0, q.unavailable("take dead messages", err)
	}
	var r revival
	for m := range batch.Messages() {
		taken = true
		if r.add(q.c.Database, m); r.size < maxBatchBytes {
			continue
		}
		if err := r.run(ctx, q.c.Conn); err != nil {
			return true, n, q.unavailable("put messages back", err)
		}
		n, r = n+len(r.dead), revival{}
	}
	if err := batch.Error(); err != nil && !taken {
		return false, n, q.unavailable("take dead messages", err)
	}
	if err := r.run(ctx, q.c.Conn); err != nil {
		return taken, n, q.unavailable("put messages back", err)
	}
	return taken, n + len(r.dead), nil
}

// revival is dead messages on their way back.
type revival struct {
	dead  []jetstream.Msg
	ready []*nats.Msg // the same ones
	size  int         // bytes of payloads
}

func (r *revival) add(database string, m jetstream.Msg) {
	content, err := parse(m.Headers(), m.Data())
	if err != nil {
		_ = m.Term() // none of ours
		return
	}
	ready := nats.NewMsg(readySubject(database))
	ready.Header, ready.Data = content.message(database, 0).Header, m.Data()
	r.dead, r.ready, r.size = append(r.dead, m), append(r.ready, ready), r.size+len(m.Data())
}

// run puts the messages into the queue, in one step and their order, and then takes them away from the dead.
func (r *revival) run(ctx context.Context, conn *nats.Conn) error {
	if len(r.dead) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	if _, err := publishBatch(ctx, conn, r.ready); err != nil {
		return err
	}
	failed := make([]error, len(r.dead))
	var asked sync.WaitGroup
	for i, m := range r.dead {
		asked.Go(func() { failed[i] = m.DoubleAck(ctx) })
	}
	asked.Wait()
	return errors.Join(failed...)
}
