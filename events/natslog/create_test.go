package natslog_test

import (
	"context"
	"testing"

	"github.com/millpondkv/millpond/events/natslog"
	"github.com/nats-io/nats.go/jetstream"
)

// making is a JetStream in which somebody else has just begun to make the stream: it is not there for so many looks.
type making struct {
	jetstream.JetStream
	looks int
}

func (m *making) Stream(ctx context.Context, name string) (jetstream.Stream, error) {
	if m.looks > 0 {
		m.looks--
		return nil, jetstream.ErrStreamNotFound
	}
	return m.JetStream.Stream(ctx, name)
}

func (m *making) CreateStream(ctx context.Context, c jetstream.StreamConfig) (jetstream.Stream, error) {
	if _, err := m.JetStream.CreateStream(ctx, c); err != nil {
		return nil, err
	}
	return nil, jetstream.ErrStreamNameAlreadyInUse
}

// Of two processes that make a database at the same time, both get it.
func TestCreateWhileItIsBeingMade(t *testing.T) {
	js, stop := connect(t, t.TempDir())
	defer stop()
	if _, err := natslog.Create(t.Context(), &making{js, 3}, "orders", natslog.Config{}); err != nil {
		t.Errorf("got %v; want the log that the other one has made", err)
	}
}

// deaf does not answer the first request: no server led when it came.
type deaf struct {
	jetstream.JetStream
	asked bool
}

func (d *deaf) Stream(ctx context.Context, name string) (jetstream.Stream, error) {
	if !d.asked {
		d.asked = true
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return d.JetStream.Stream(ctx, name)
}

// A request that is never answered is sent again.
func TestOpenAsksAgain(t *testing.T) {
	js, stop := connect(t, t.TempDir())
	defer stop()
	if _, err := natslog.Create(t.Context(), js, "orders", natslog.Config{}); err != nil {
		t.Fatal(err)
	}
	if _, err := natslog.Open(t.Context(), &deaf{JetStream: js}, "orders"); err != nil {
		t.Errorf("got %v; want the log, by a second request", err)
	}
}
