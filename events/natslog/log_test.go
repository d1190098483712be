package natslog_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/events/eventstest"
	"github.com/millpondkv/millpond/events/natslog"
	"github.com/millpondkv/millpond/internal/natsserver"
	"github.com/millpondkv/millpond/kv"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func connect(t *testing.T, dir string) (jetstream.JetStream, func()) {
	t.Helper()
	s, err := natsserver.Start(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := s.Connect()
	if err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	return js, func() {
		conn.Close()
		s.Stop()
	}
}

func TestLog(t *testing.T) {
	for name, memory := range map[string]bool{"file": false, "memory": true} {
		t.Run(name, func(t *testing.T) {
			eventstest.TestLog(t, func(t *testing.T) events.Log {
				js, stop := connect(t, t.TempDir())
				t.Cleanup(stop)
				log, err := natslog.Create(t.Context(), js, "orders", natslog.Config{Memory: memory})
				if err != nil {
					t.Fatal(err)
				}
				return log
			})
		})
	}
}

// A database keeps its UUID and its records when the server starts again, and another database has another UUID.
func TestReopen(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	js, stop := connect(t, dir)
	if _, err := natslog.Open(ctx, js, "orders"); !errors.Is(err, kv.ErrNoDatabase) {
		t.Errorf("Open of an absent database: %v; want ErrNoDatabase", err)
	}
	orders, err := natslog.Create(ctx, js, "orders", natslog.Config{})
	if err != nil {
		t.Fatal(err)
	}
	users, err := natslog.Create(ctx, js, "users", natslog.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if orders.ID() == users.ID() {
		t.Errorf("two databases have the UUID %s", orders.ID())
	}
	if _, err := orders.Append(ctx, events.Append{Kind: events.KindEpoch, Data: []byte("epoch")}); err != nil {
		t.Fatal(err)
	}
	stop()

	js, stop = connect(t, dir)
	defer stop()
	names, err := natslog.List(ctx, js)
	if diff := cmp.Diff(names, []string{"orders", "users"}); diff != "" || err != nil {
		t.Errorf("List: %v, got (-), want (+):\n%s", err, diff)
	}
	again, err := natslog.Create(ctx, js, "orders", natslog.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if again.ID() != orders.ID() {
		t.Errorf("the UUID became %s; want %s", again.ID(), orders.ID())
	}
	if first, last, err := again.Bounds(ctx); first != 1 || last != 1 || err != nil {
		t.Errorf("Bounds() = %d, %d, %v; want 1, 1", first, last, err)
	}
}

// What others publish to the log's subjects is marked as foreign, even if it is a copy of a record with its headers; what
// Append has published is not.
func TestForeign(t *testing.T) {
	js, stop := connect(t, t.TempDir())
	defer stop()
	log, err := natslog.Create(t.Context(), js, "orders", natslog.Config{})
	if err != nil {
		t.Fatal(err)
	}
	own := func(kind events.Kind, last, epoch kv.Position) {
		t.Helper()
		if _, err := log.Append(t.Context(), events.Append{Kind: kind, Data: []byte("own"), Last: last, Epoch: epoch}); err != nil {
			t.Fatal(err)
		}
	}
	own(events.KindEpoch, 0, 0)
	copied := &nats.Msg{Subject: "millpond.orders.log.commits", Data: []byte("copied"), Header: nats.Header{"Nats-Expected-Stream": {"millpond_orders"}}}
	if _, err := js.PublishMsg(t.Context(), copied); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "millpond.orders.log.epoch", []byte("plain")); err != nil {
		t.Fatal(err)
	}
	if _, err := log.Append(t.Context(), events.Append{Kind: events.KindCommits, Data: []byte("own"), Last: 3, Epoch: 1}); !errors.Is(err, events.ErrFenced) {
		t.Errorf("a commit of an epoch before a message on the epochs' subject: %v; want ErrFenced", err)
	}
	own(events.KindEpoch, 3, 0)
	own(events.KindCommits, 4, 4)
	r, err := log.Read(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for i, want := range []bool{false, true, true, false, false} {
		m, err := r.Next(t.Context())
		if err != nil || m.Foreign != want || m.Position != kv.Position(i+1) {
			t.Errorf("message %d: %+v, %v; want foreign to be %v", i+1, m, err, want)
		}
	}
}

// A log is described as it is: how much it has, where it is, and what of its stream is unsafe.
func TestDescribe(t *testing.T) {
	ctx := t.Context()
	js, stop := connect(t, t.TempDir())
	defer stop()
	if _, err := natslog.Describe(ctx, js, "orders"); !errors.Is(err, kv.ErrNoDatabase) {
		t.Errorf("Describe of an absent database: %v; want ErrNoDatabase", err)
	}
	orders, err := natslog.Create(ctx, js, "orders", natslog.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := orders.Append(ctx, events.Append{Kind: events.KindEpoch, Data: []byte("epoch")}); err != nil {
		t.Fatal(err)
	}
	got, err := natslog.Describe(ctx, js, "orders")
	if err != nil {
		t.Fatal(err)
	}
	if got.Bytes == 0 || len(got.Unsafe) != 1 {
		t.Errorf("got %+v; want some bytes, and that one replica is unsafe", got)
	}
	got.Bytes, got.Unsafe = 0, nil
	want := natslog.State{ID: orders.ID(), Messages: 1, First: 1, Last: 1, Replicas: []natslog.Replica{{Server: "millpond", Leader: true, Current: true}}}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("got (-), want (+):\n%s", diff)
	}
}
