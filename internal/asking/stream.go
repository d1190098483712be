// Package asking bounds how long JetStream is waited for. What is asked while it has no leader is never answered, so who waits for as
// long as he may outlasts the election by far.
package asking

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Timeout is far above what an answer takes.
const Timeout = 2 * time.Second

// Stream is a stream whose methods below wait no longer than Timeout, however long ctx lasts: the error is then
// context.DeadlineExceeded, and whoever still has time asks again. Its other methods, as Purge, wait as long as ctx says.
type Stream struct{ jetstream.Stream }

// Info implements jetstream.Stream.
func (s Stream) Info(ctx context.Context, o ...jetstream.StreamInfoOpt) (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	return s.Stream.Info(ctx, o...)
}

// GetMsg implements jetstream.Stream.
func (s Stream) GetMsg(ctx context.Context, seq uint64, o ...jetstream.GetMsgOpt) (*jetstream.RawStreamMsg, error) {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	return s.Stream.GetMsg(ctx, seq, o...)
}

// GetLastMsgForSubject implements jetstream.Stream.
func (s Stream) GetLastMsgForSubject(ctx context.Context, subject string) (*jetstream.RawStreamMsg, error) {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	return s.Stream.GetLastMsgForSubject(ctx, subject)
}

// CreateConsumer implements jetstream.Stream.
func (s Stream) CreateConsumer(ctx context.Context, c jetstream.ConsumerConfig) (jetstream.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	return s.Stream.CreateConsumer(ctx, c)
}

// Open is js.Stream, and waits no longer than Timeout either.
func Open(ctx context.Context, js jetstream.JetStream, name string) (Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	s, err := js.Stream(ctx, name)
	return Stream{s}, err
}
