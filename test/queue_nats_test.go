package test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/oklog/ulid/v2"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/events/natslog"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/queue"
)

// With the permissions of deploy/nats a writer feeds a queue, and a reader does everything that listeners ask for. A reader
// cannot move the cursor, and a client can put nothing into the queue.
func TestNATSUsersOfAQueue(t *testing.T) {
	n := startNATSUsers(t)
	readers, err := natslog.Create(t.Context(), n.jetStream("reader"), "orders", natslog.Config{})
	if err != nil {
		t.Fatal(err)
	}
	writerConn, readerConn := n.connect("writer"), n.connect("reader")
	open := func(conn *nats.Conn) *queue.Queue {
		js, err := jetstream.New(conn)
		if err != nil {
			t.Fatal(err)
		}
		return queue.New(queue.Config{
			Conn: conn, JS: js, Database: "orders", ID: readers.ID(), Logger: slog.New(slog.DiscardHandler),
			Now: func() kv.Millis { return kv.MillisOf(time.Now()) },
		})
	}
	feeder, listener := open(writerConn), open(readerConn)
	js, err := jetstream.New(writerConn)
	if err != nil {
		t.Fatal(err)
	}
	log, err := natslog.Open(t.Context(), js, "orders")
	if err != nil {
		t.Fatal(err)
	}
	appendMessage(t, log)
	ctx, cancel := context.WithCancel(t.Context())
	fed := make(chan struct{})
	go func() { defer close(fed); feeder.Feed(ctx, log, 1, false) }()
	defer func() { cancel(); <-fed }()

	var got []kv.Message
	receive := func() {
		t.Helper()
		eventually(t, startWait, "a message comes", func() bool {
			var err error
			got, err = listener.Receive(t.Context(), 1, time.Second)
			return err == nil && len(got) == 1
		})
	}
	receive()
	for _, v := range []kv.Verdict{kv.VerdictExtend, kv.VerdictNack} { // its only attempt: it is given up
		if err := listener.Settle(t.Context(), v, []string{got[0].Receipt}); err != nil {
			t.Fatal(err)
		}
	}
	if list, err := listener.Peek(t.Context(), kv.MessageDead, 10); len(list) != 1 || err != nil {
		t.Errorf("dead messages: %v, %v; want 1", list, err)
	}
	if n, err := listener.RetryDead(t.Context()); n != 1 || err != nil {
		t.Errorf("RetryDead: %d, %v; want 1", n, err)
	}
	receive()
	if err := listener.Settle(t.Context(), kv.VerdictAck, []string{got[0].Receipt}); err != nil {
		t.Fatal(err)
	}
	if stats, err := listener.Stats(t.Context()); err != nil || stats != (kv.QueueStats{}) {
		t.Errorf("stats: %+v, %v; want none", stats, err)
	}
	for user, subject := range map[string]string{"reader": "millpond.orders.queue.cursor", "client": "millpond.orders.queue.ready"} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		if _, err := n.jetStream(user).Publish(ctx, subject, []byte("x")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s publishes to %s: %v; want that nothing answers", user, subject, err)
		}
		cancel()
	}
}

// appendMessage appends an epoch, and a commit with a message that has one attempt.
func appendMessage(t *testing.T, log *natslog.Log) {
	t.Helper()
	epoch, data := events.Seal(1, &events.Record{Kind: events.KindEpoch, Writer: ulid.MustNew(1, nil)})
	if _, err := log.Append(t.Context(), events.Append{Kind: events.KindEpoch, Data: data}); err != nil {
		t.Fatal(err)
	}
	commits := events.Record{Kind: events.KindCommits, Epoch: 1, Previous: epoch.Hash, Time: kv.MillisOf(time.Now()), Commits: []events.Commit{{
		ID: ulid.MustNew(2, nil), Enqueues: []kv.Enqueue{{Payload: []byte{0xff, 0x0f, '0'}, BackoffSchedule: []uint32{}}},
	}}}
	if _, err := log.Append(t.Context(), events.Append{Kind: events.KindCommits, Data: commits.Encode(), Last: 1, Epoch: 1}); err != nil {
		t.Fatal(err)
	}
}
