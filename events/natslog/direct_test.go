package natslog_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/events/eventstest"
	"github.com/millpondkv/millpond/events/natslog"
	"github.com/nats-io/nats.go/jetstream"
)

// leaderless is a JetStream in which nobody can make a consumer, as while it elects a metadata leader.
type leaderless struct{ jetstream.JetStream }

var errNoMetaLeader = errors.New("JetStream system temporarily unavailable")

func (l leaderless) Stream(ctx context.Context, name string) (jetstream.Stream, error) {
	s, err := l.JetStream.Stream(ctx, name)
	return leaderlessStream{s}, err
}

type leaderlessStream struct{ jetstream.Stream }

func (leaderlessStream) CreateConsumer(context.Context, jetstream.ConsumerConfig) (jetstream.Consumer, error) {
	return nil, errNoMetaLeader
}

// A log is read also while no consumer can be made: for a while, until it is time to try again.
func TestReadWithoutConsumer(t *testing.T) {
	eventstest.TestLog(t, func(t *testing.T) events.Log {
		js, stop := connect(t, t.TempDir())
		t.Cleanup(stop)
		log, err := natslog.Create(t.Context(), leaderless{js}, "orders", natslog.Config{})
		if err != nil {
			t.Fatal(err)
		}
		return log
	})
}

// missing is a stream that never has what is asked for.
type missing struct{ leaderlessStream }

func (missing) GetMsg(context.Context, uint64, ...jetstream.GetMsgOpt) (*jetstream.RawStreamMsg, error) {
	return nil, jetstream.ErrMsgNotFound
}

type missingEverything struct{ jetstream.JetStream }

func (m missingEverything) Stream(ctx context.Context, name string) (jetstream.Stream, error) {
	s, err := m.JetStream.Stream(ctx, name)
	return missing{leaderlessStream{s}}, err
}

// Whoever waits for a message without a consumer is told after a while why there is none, and begins to read again.
func TestReadWithoutConsumerEnds(t *testing.T) {
	js, stop := connect(t, t.TempDir())
	defer stop()
	log, err := natslog.Create(t.Context(), missingEverything{js}, "orders", natslog.Config{})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		r, err := log.Read(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if _, err := r.Next(t.Context()); !errors.Is(err, errNoMetaLeader) {
			t.Errorf("got %v; want the reason why there is no consumer", err)
		}
	})
}
