package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/millpondkv/millpond/kv"
)

// Enqueue commits one message, as Atomic.Enqueue takes it, and returns the versionstamp of the commit.
func (db *DB) Enqueue(ctx context.Context, payload any, opts EnqueueOptions) (kv.Versionstamp, error) {
	return db.Atomic().Enqueue(payload, opts).Commit(ctx)
}

// Handler handles a message, whose payload is V8: Listen decodes it. Its context ends when ListenQueue is to end. An error or a panic is a failed attempt.
type Handler func(ctx context.Context, m kv.Message) error

// Listen is ListenQueue of db with the payloads as Ts, read by the codec. A payload that cannot be read as a T is a failed attempt.
func Listen[T any](ctx context.Context, db *DB, handle func(ctx context.Context, payload T, m kv.Message) error, opts ListenOptions) error {
	return db.ListenQueue(ctx, func(ctx context.Context, m kv.Message) error {
		var payload T
		if err := decodeValue(db.codec, kv.Value{Encoding: kv.EncodingV8, Data: m.Payload}, &payload); err != nil {
			return fmt.Errorf("the payload of the message %s: %w", m.ID, err)
		}
		return handle(ctx, payload, m)
	}, opts)
}

// ListenOptions says how messages are taken. The zero value will do.
type ListenOptions struct {
	Concurrency int // handlers that run at once; 0: 100, as in Deno
}

// queuer is a transport that can take messages out of the database's queue. Its errors are those of transport.
type queuer interface {
	// receive blocks until there is a message, or for about half a minute, and returns at most so many. A message that is
	// not settled or extended within ackWait goes to another listener.
	receive(ctx context.Context, most int) (messages []kv.Message, ackWait time.Duration, err error)
	// settle says what has become of messages. It may be repeated.
	settle(ctx context.Context, v kv.Verdict, receipts []string) error
	stats(ctx context.Context) (kv.QueueStats, error)
	peek(ctx context.Context, state kv.MessageState, most int) ([]kv.PeekedMessage, error)
	retryDead(ctx context.Context) (int, error)
	logger() *slog.Logger
}

var errNoQueue = kv.Invalidf("messages cannot be taken out of this database's queue: its Backend is no QueueBackend")

// queueOf returns the way to the queue of a database; nil if there is none.
func queueOf(t transport) queuer {
	switch t := t.(type) {
	case *connection:
		return t
	case *natsTransport:
		return natsQueue{t}
	case *local:
		if b, ok := t.backend.(QueueBackend); ok {
			return localQueue{b.Queue()}
		}
	}
	return nil
}

// beginQueue starts a call of the database's queue.
func (db *DB) beginQueue(ctx context.Context) (queuer, context.Context, func(), error) {
	q := queueOf(db.transport)
	if q == nil {
		return nil, nil, nil, errNoQueue
	}
	ctx, done, err := db.begin(ctx)
	return q, ctx, done, err
}

// QueueStats returns the numbers of the database's queue.
func (db *DB) QueueStats(ctx context.Context) (kv.QueueStats, error) {
	q, ctx, done, err := db.beginQueue(ctx)
	if err != nil {
		return kv.QueueStats{}, err
	}
	defer done()
	return q.stats(ctx)
}

// PeekQueue returns messages that are in that state, at most so many (up to 100), without taking them.
func (db *DB) PeekQueue(ctx context.Context, state kv.MessageState, most int) ([]kv.PeekedMessage, error) {
	q, ctx, done, err := db.beginQueue(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	if err := errors.Join(kv.ValidateMax(most, kv.MaxPeeked), state.Validate()); err != nil {
		return nil, err
	}
	return q.peek(ctx, state, most)
}

// RetryDead puts all messages that were given up back into the queue, and returns how many. They have all their attempts
// before them again.
func (db *DB) RetryDead(ctx context.Context) (int, error) {
	q, ctx, done, err := db.beginQueue(ctx)
	if err != nil {
		return 0, err
	}
	defer done()
	return q.retryDead(ctx)
}

// ListenQueue calls handle for the database's messages, several at a time, until ctx ends or db is closed. Each message
// goes to one of all listeners, and at least once: after a failed attempt it comes again by its backoff schedule, and
// after a listener is lost another one gets it. A handler may take as long as it likes. A lost connection is made anew.
//
// It returns when the handlers that were running have returned: with ctx's error, ErrClosed, or an error that will not go
// away by itself, such as kv.ErrUnauthorized.
func (db *DB) ListenQueue(ctx context.Context, handle Handler, opts ListenOptions) error {
	q, ctx, done, err := db.beginQueue(ctx)
	if err != nil {
		return err
	}
	defer done()
	if opts.Concurrency <= 0 {
		opts.Concurrency = defaultConcurrency
	}
	l := &listener{q: q, handle: handle, slots: make(chan struct{}, opts.Concurrency), running: map[string]bool{}, settled: make(chan struct{}, 1)}
	return l.run(ctx)
}

// The bounds of a listener.
const (
	defaultConcurrency = 100
	maxListenPause     = 2 * time.Second  // between two tries to reach the server
	settleTime         = 10 * time.Second // for verdicts, those included of a listener that is to end
	signsOfLife        = 3                // within the server's ackWait
)

// listener is a running ListenQueue.
type listener struct {
	q       queuer
	handle  Handler
	slots   chan struct{} // one for each handler that runs
	working sync.WaitGroup
	settled chan struct{} // holds a token when there are verdicts; cap 1

	mu       sync.Mutex
	running  map[string]bool // receipts of the messages that are being handled
	verdicts []verdictOf
	ackWait  time.Duration
}

type verdictOf struct {
	verdict kv.Verdict
	receipt string
}

func (l *listener) run(ctx context.Context) error {
	helping, stop := context.WithCancel(context.WithoutCancel(ctx)) // until the last handler has returned
	var helpers sync.WaitGroup
	started := sync.OnceFunc(func() { helpers.Go(func() { l.extend(helping) }) })
	helpers.Go(func() { l.settle(helping) })
	err := l.receive(ctx, started)
	l.working.Wait()
	stop()
	helpers.Wait()
	l.flush(ctx)
	return err
}

// receive takes as many messages as there are slots for, and starts their handlers. It calls started once it knows ackWait.
func (l *listener) receive(ctx context.Context, started func()) error {
	pause := newPause(time.Now, -1, maxListenPause)
	for {
		n, err := l.reserve(ctx)
		if err != nil {
			return err
		}
		messages, ackWait, err := l.q.receive(ctx, n)
		for range n - len(messages) {
			<-l.slots
		}
		switch {
		case err == nil && ctx.Err() != nil: // others can have them at once
			l.refuse(messages)
			return context.Cause(ctx)
		case err == nil:
			pause = newPause(time.Now, -1, maxListenPause)
			l.begin(ctx, messages, ackWait)
			started()
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !errors.Is(err, kv.ErrUnavailable):
			return err
		default:
			l.q.logger().WarnContext(ctx, "cannot listen to the queue, will try again", "error", err)
			if !pause.wait(ctx) {
				return context.Cause(ctx)
			}
		}
	}
}

func (l *listener) refuse(messages []kv.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range messages {
		l.verdicts = append(l.verdicts, verdictOf{kv.VerdictNack, m.Receipt})
	}
}

// reserve takes all free slots, at least one.
func (l *listener) reserve(ctx context.Context) (n int, err error) {
	select {
	case l.slots <- struct{}{}:
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	for n = 1; n < kv.MaxReceived; n++ {
		select {
		case l.slots <- struct{}{}:
		default:
			return n, nil
		}
	}
	return n, nil
}

func (l *listener) begin(ctx context.Context, messages []kv.Message, ackWait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ackWait = ackWait
	for _, m := range messages {
		l.running[m.Receipt] = true
		l.working.Go(func() { l.work(ctx, m) })
	}
}

func (l *listener) work(ctx context.Context, m kv.Message) {
	v := verdictOf{kv.VerdictAck, m.Receipt}
	if err := l.call(ctx, m); err != nil {
		v.verdict = kv.VerdictNack
		l.q.logger().WarnContext(ctx, "a message was not handled", "message", m.ID, "attempt", m.Attempt, "error", err)
	}
	l.mu.Lock()
	delete(l.running, m.Receipt)
	l.verdicts = append(l.verdicts, v)
	l.mu.Unlock()
	select {
	case l.settled <- struct{}{}:
	default:
	}
	<-l.slots
}

// call makes a panic of the handler an error.
func (l *listener) call(ctx context.Context, m kv.Message) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the handler panicked: %v\n%s", p, debug.Stack())
		}
	}()
	return l.handle(ctx, m)
}

// settle sends verdicts, as many in a request as there are, until ctx ends.
func (l *listener) settle(ctx context.Context) {
	for {
		select {
		case <-l.settled:
			l.flush(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// flush sends all verdicts, also when ctx has ended. Those that cannot be sent are dropped: their messages come again.
func (l *listener) flush(ctx context.Context) {
	l.mu.Lock()
	verdicts := l.verdicts
	l.verdicts = nil
	l.mu.Unlock()
	receipts := map[kv.Verdict][]string{}
	for _, v := range verdicts {
		receipts[v.verdict] = append(receipts[v.verdict], v.receipt)
	}
	for v, list := range receipts {
		l.tell(ctx, v, list)
	}
}

func (l *listener) tell(ctx context.Context, v kv.Verdict, receipts []string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	for len(receipts) > 0 {
		n := min(len(receipts), kv.MaxReceipts)
		if err := l.q.settle(ctx, v, receipts[:n]); err != nil {
			l.q.logger().WarnContext(ctx, "could not say what has become of messages; they will come again", "messages", n, "verdict", string(v), "error", err)
		}
		receipts = receipts[n:]
	}
}

// extend keeps the messages that are being handled from going to others, until ctx ends.
func (l *listener) extend(ctx context.Context) {
	l.mu.Lock()
	every := max(l.ackWait/signsOfLife, time.Millisecond)
	l.mu.Unlock()
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		l.mu.Lock()
		receipts := make([]string, 0, len(l.running))
		for receipt := range l.running {
			receipts = append(receipts, receipt)
		}
		l.mu.Unlock()
		l.tell(ctx, kv.VerdictExtend, receipts)
	}
}
