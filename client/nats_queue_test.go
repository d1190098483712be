package client

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kv/v8"
	"github.com/millpondkv/millpond/service/wire"
)

// natsListener is a ListenQueue in the background that handles everything.
type natsListener struct {
	cancel context.CancelFunc
	ended  chan error

	mu  sync.Mutex
	got []string // payloads and attempts
}

func (r *natsRig) listenQueue(db *DB) *natsListener {
	l := &natsListener{ended: make(chan error, 1)}
	var ctx context.Context
	ctx, l.cancel = context.WithCancel(context.Background())
	r.t.Cleanup(l.cancel)
	go func() {
		l.ended <- db.ListenQueue(ctx, func(_ context.Context, m kv.Message) error {
			payload, err := v8.Decode(m.Payload)
			l.mu.Lock()
			defer l.mu.Unlock()
			l.got = append(l.got, payload.(string)+" "+strconv.Itoa(m.Attempt))
			return err
		}, ListenOptions{})
	}()
	return l
}

func (l *natsListener) has(what string) func() bool {
	return func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return slices.Contains(l.got, what)
	}
}

func (r *natsRig) send(db *DB, payload string) {
	r.t.Helper()
	if _, err := db.Enqueue(r.t.Context(), payload, EnqueueOptions{}); err != nil {
		r.t.Fatal(err)
	}
}

// until polls for less than the time after which a message of a silent listener goes to another one, which is 10 s.
func (r *natsRig) until(what string, yes func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(9 * time.Second); !yes(); {
		if time.Now().After(deadline) {
			r.t.Fatalf("waited too long until %s", what)
		}
		<-time.After(time.Millisecond)
	}
}

// A listener that has left gets no message any more: the next one has it at once, as the first attempt. Nothing is left of it.
func TestNATSListenerLeaves(t *testing.T) {
	r := newNATSRig(t)
	r.reader()
	r.writer()
	other := r.open()
	r.awaitFeeder(other)
	r.until("there is a queue", func() bool { _, err := other.QueueStats(t.Context()); return err == nil })
	before := goleak.IgnoreCurrent()
	for range 3 {
		db := r.open()
		l := r.listenQueue(db)
		r.send(db, "first")
		r.until("it listens", l.has("first 1"))
		l.cancel()
		if err := <-l.ended; !errors.Is(err, context.Canceled) {
			t.Errorf("it returned %v, want the context's error", err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		r.send(other, "second")
		next := r.listenQueue(other)
		r.until("the next one gets it", next.has("second 1"))
		next.cancel()
		<-next.ended
	}
	goleak.VerifyNone(t, before)
}

// A listener goes on at another reader when its own is lost or stops.
func TestNATSListenerOutlivesReaders(t *testing.T) {
	r := newNATSRig(t)
	lose := r.mortalReader()
	r.writer()
	db := r.open()
	l := r.listenQueue(db)
	r.send(db, "at the first")
	r.until("the first reader serves it", l.has("at the first 1"))
	stop := r.reader()
	lose()
	r.send(db, "at the second")
	r.until("the second reader serves it", l.has("at the second 1"))
	third := r.reader()
	stop()
	r.send(db, "at the third")
	r.until("the third reader serves it", l.has("at the third 1"))
	third()
}

// What a reader cannot read, or what asks for too much, it refuses with a sentence.
func TestNATSQueueBadRequests(t *testing.T) {
	r := newNATSRig(t)
	r.reader()
	r.writer()
	q := natsQueue{r.open().transport.(*natsTransport)}
	r.until("there is a queue", func() bool { _, err := q.stats(t.Context()); return err == nil })
	for want, request := range map[string]wire.QueueRequest{
		"max is 101; it must be from 1 to 100":                          {Method: wire.QueueReceive, Most: 101},
		"max is 0; it must be from 1 to 100":                            {Method: wire.QueuePeek, State: kv.MessageDead},
		"there are 0 receipts; send 1 to 1000":                          {Method: wire.QueueAck},
		`there is no state "": a message is due, scheduled or dead`:     {Method: wire.QueuePeek, Most: 1},
		`"x" is not a receipt; send the one that the message came with`: {Method: wire.QueueNack, Receipts: []string{"x"}},
		"invalid request": {Method: 99},
	} {
		if _, err := q.askOnce(t.Context(), &request, tryTimeout); !errors.Is(err, kv.ErrInvalid) || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if err := q.conn.Publish(wire.LeaveSubject("default"), []byte("x")); err != nil {
		t.Error(err)
	}
	if _, err := q.ask(t.Context(), wire.QueueSubject("nobody-knows-it"), wire.EncodeFind(), whole); errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("a message of another kind: %v, want an answer", err)
	}
}
