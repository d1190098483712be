package client

import (
	"context"
	"log/slog"
	"time"

	"github.com/millpondkv/millpond/kv"
)

// QueueBackend is a Backend whose messages are delivered.
type QueueBackend interface {
	Backend
	Queue() BackendQueue
}

// BackendQueue is the queue of a database in this process. Its methods are called from many goroutines; their errors carry the
// sentinels of package kv.
type BackendQueue interface {
	// AckWait is how long a listener may say nothing of a message before another one gets it.
	AckWait() time.Duration

	// Receive returns messages, at most so many, as they are due. It blocks until there is one, but not longer than wait.
	Receive(ctx context.Context, most int, wait time.Duration) ([]kv.Message, error)

	// Settle says what has become of messages. When it fails some may have been settled, and all may be sent again.
	Settle(ctx context.Context, v kv.Verdict, receipts []string) error

	Stats(ctx context.Context) (kv.QueueStats, error)
	Peek(ctx context.Context, state kv.MessageState, most int) ([]kv.PeekedMessage, error)

	// RetryDead puts all dead messages back into the queue and returns how many.
	RetryDead(ctx context.Context) (int, error)
}

// localQueue is the way to a BackendQueue.
type localQueue struct{ q BackendQueue }

func (l localQueue) receive(ctx context.Context, most int) ([]kv.Message, time.Duration, error) {
	messages, err := l.q.Receive(ctx, most, receivedFor)
	return messages, l.q.AckWait(), err
}

func (l localQueue) settle(ctx context.Context, v kv.Verdict, receipts []string) error {
	return l.q.Settle(ctx, v, receipts)
}

func (l localQueue) stats(ctx context.Context) (kv.QueueStats, error) {
	return askAgain(ctx, l.q.Stats)
}

func (l localQueue) peek(ctx context.Context, state kv.MessageState, most int) ([]kv.PeekedMessage, error) {
	return askAgain(ctx, func(ctx context.Context) ([]kv.PeekedMessage, error) { return l.q.Peek(ctx, state, most) })
}

func (l localQueue) retryDead(ctx context.Context) (int, error) { return askAgain(ctx, l.q.RetryDead) }

// askAgain asks until there is an answer, ctx or the time for tries ends: a database that was just opened may not have its queue yet.
func askAgain[T any](ctx context.Context, ask func(context.Context) (T, error)) (T, error) {
	for pause := newPause(time.Now, defaultOptions().retryTime, maxPause); ; {
		answer, err := ask(ctx)
		if !kv.SafeToRetry(err) || !pause.wait(ctx) {
			return answer, err
		}
	}
}

func (l localQueue) logger() *slog.Logger { return slog.New(slog.DiscardHandler) }
