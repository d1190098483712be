package client

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/service/wire"
)

// natsQueue is the way to the queue over NATS: one of all readers answers.
type natsQueue struct{ *natsTransport }

// natsReceivedFor is how long a reader holds a receive, if there are no messages. If the reader is lost, its client asks the next one
// only then, and tryTimeout later.
const natsReceivedFor = 4 * time.Second

// askOnce asks a reader, and blocks for that time at most.
func (q natsQueue) askOnce(ctx context.Context, r *wire.QueueRequest, within time.Duration) (wire.QueueReply, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, within, errSilence)
	defer cancel()
	var parts wire.Parts
	body, err := q.ask(ctx, wire.QueueSubject(q.database), r.Encode(), parts.Add)
	switch {
	case errors.Is(err, errNotSent):
		return wire.QueueReply{}, errNoReader
	case errors.Is(err, wire.ErrPartLost), errors.Is(err, errCut):
		return wire.QueueReply{}, kv.Errorf(kv.ErrUnavailable, "%v; try again", err)
	case err != nil:
		return wire.QueueReply{}, err
	}
	return wire.DecodeQueueReply(body)
}

// askAgain asks until there is an answer, ctx or the time for tries ends. What it asks for may be done twice.
func (q natsQueue) askAgain(ctx context.Context, r *wire.QueueRequest) (wire.QueueReply, error) {
	for pause := newPause(q.now, q.retryTime, maxPause); ; {
		reply, err := q.askOnce(ctx, r, queueTimeout)
		switch {
		case ctx.Err() != nil && err != nil:
			return reply, gaveUp(ctx, err)
		case !errors.Is(err, kv.ErrUnavailable):
			return reply, err
		}
		q.log.DebugContext(ctx, "will ask again", "error", err)
		if !pause.wait(ctx) {
			return reply, gaveUp(ctx, err)
		}
	}
}

// queueTimeout is more than what a reader waits for JetStream.
const queueTimeout = 6 * time.Second

// A client that leaves says so until the reader answers: it may come to the reader before the receive does.
const (
	leaveAgain = 50 * time.Millisecond
	leaveTime  = time.Second // then the reader is lost
)

// receive, when ctx ends, waits until the reader knows: then no message that comes later goes to nobody. What came before is returned.
func (q natsQueue) receive(ctx context.Context, most int) ([]kv.Message, time.Duration, error) {
	r := wire.QueueRequest{Method: wire.QueueReceive, ID: q.newID(), Most: most, Wait: natsReceivedFor}
	asking, giveUp := context.WithCancelCause(context.WithoutCancel(ctx))
	defer giveUp(nil)
	defer context.AfterFunc(ctx, func() {
		q.leave(asking, &r)
		giveUp(context.Cause(ctx))
	})()
	reply, err := q.askOnce(asking, &r, natsReceivedFor+tryTimeout)
	return reply.Messages, reply.AckWait, err
}

// leave tells the readers that a receive is over, until asking ends or there is no sense in it.
func (q natsQueue) leave(asking context.Context, r *wire.QueueRequest) {
	asking, cancel := context.WithTimeout(asking, leaveTime)
	defer cancel()
	again := time.NewTicker(leaveAgain)
	defer again.Stop()
	for {
		if err := q.conn.Publish(wire.LeaveSubject(q.database), wire.EncodeLeave(r.ID)); err != nil {
			return
		}
		select {
		case <-again.C:
		case <-asking.Done():
			return
		}
	}
}

var methods = map[kv.Verdict]wire.QueueMethod{
	kv.VerdictAck: wire.QueueAck, kv.VerdictNack: wire.QueueNack, kv.VerdictExtend: wire.QueueExtend,
}

func (q natsQueue) settle(ctx context.Context, v kv.Verdict, receipts []string) error {
	_, err := q.askAgain(ctx, &wire.QueueRequest{Method: methods[v], Receipts: receipts})
	return err
}

func (q natsQueue) stats(ctx context.Context) (kv.QueueStats, error) {
	reply, err := q.askAgain(ctx, &wire.QueueRequest{Method: wire.QueueStats})
	return reply.Stats, err
}

func (q natsQueue) peek(ctx context.Context, state kv.MessageState, most int) ([]kv.PeekedMessage, error) {
	reply, err := q.askAgain(ctx, &wire.QueueRequest{Method: wire.QueuePeek, State: state, Most: most})
	return reply.Peeked, err
}

func (q natsQueue) retryDead(ctx context.Context) (int, error) {
	reply, err := q.askAgain(ctx, &wire.QueueRequest{Method: wire.QueueRetryDead})
	return reply.Retried, err
}

func (q natsQueue) logger() *slog.Logger { return q.log }
