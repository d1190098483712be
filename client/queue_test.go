package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/internal/fakeserver"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kv/v8"
)

func message(t *testing.T, payload any) kv.Value {
	t.Helper()
	value, err := client.V8(payload)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func send(t *testing.T, db *client.DB, payload any, opts client.EnqueueOptions) {
	t.Helper()
	if _, err := db.Enqueue(t.Context(), message(t, payload), opts); err != nil {
		t.Fatal(err)
	}
}

// listening is a ListenQueue in the background.
type listening struct {
	cancel context.CancelFunc
	ended  chan error

	mu      sync.Mutex
	handled []string // payloads, once for each attempt
}

func listen(t *testing.T, db *client.DB, opts client.ListenOptions, handle func(context.Context, kv.Message) error) *listening {
	t.Helper()
	l := &listening{ended: make(chan error, 1)}
	var ctx context.Context
	ctx, l.cancel = context.WithCancel(context.Background())
	go func() {
		l.ended <- db.ListenQueue(ctx, func(ctx context.Context, m kv.Message) error {
			payload, err := v8.Decode(m.Payload)
			if err != nil {
				return err
			}
			l.mu.Lock()
			l.handled = append(l.handled, fmt.Sprintf("%v %d", payload, m.Attempt))
			l.mu.Unlock()
			if handle == nil {
				return nil
			}
			return handle(ctx, m)
		}, opts)
	}()
	t.Cleanup(l.cancel)
	return l
}

func (l *listening) has() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string{}, l.handled...)
}

// until polls for up to ten seconds.
func until(t *testing.T, what string, yes func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !yes(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited too long until %s", what)
		}
		<-time.After(time.Millisecond)
	}
}

func empty(t *testing.T, db *client.DB) func() bool {
	return func() bool {
		s, err := db.QueueStats(t.Context())
		return err == nil && s == kv.QueueStats{}
	}
}

// Messages are handled in their order and acked; when the context ends, ListenQueue waits for its handlers, and what they have
// said is sent.
func TestListenQueue(t *testing.T) {
	everywhere(t, testListenQueue)
}

func testListenQueue(t *testing.T, db *client.DB, _ bool) {
	finish := make(chan struct{})
	last := message(t, 2.0).Data
	l := listen(t, db, client.ListenOptions{Concurrency: 1}, func(_ context.Context, m kv.Message) error {
		if bytes.Equal(m.Payload, last) {
			<-finish
		}
		return nil
	})
	for i := range 3 {
		send(t, db, float64(i), client.EnqueueOptions{})
	}
	until(t, "the third is being handled", func() bool { return len(l.has()) == 3 })
	l.cancel()
	select {
	case err := <-l.ended:
		t.Fatalf("it returned %v before its handler", err)
	case <-time.After(2 * fakeserver.AckWait): // so long that the message would have gone to another one
	}
	close(finish)
	if err := <-l.ended; !errors.Is(err, context.Canceled) {
		t.Errorf("it returned %v, want the context's error", err)
	}
	if diff := cmp.Diff([]string{"0 1", "1 1", "2 1"}, l.has()); diff != "" || !empty(t, db)() {
		t.Errorf("handled (-want +got):\n%s", diff)
	}
}

// Errors and panics are failed attempts.
func TestListenQueueFailures(t *testing.T) { everywhere(t, testListenQueueFailures) }

func testListenQueueFailures(t *testing.T, db *client.DB, _ bool) {
	l := listen(t, db, client.ListenOptions{}, func(_ context.Context, m kv.Message) error {
		switch m.Attempt {
		case 1:
			return errors.New("once more")
		case 2:
			panic("once more")
		}
		return nil
	})
	send(t, db, "x", client.EnqueueOptions{Backoff: []time.Duration{time.Millisecond, time.Millisecond}})
	until(t, "it is handled", func() bool { return len(l.has()) == 3 && empty(t, db)() })
	if diff := cmp.Diff([]string{"x 1", "x 2", "x 3"}, l.has()); diff != "" {
		t.Errorf("attempts (-want +got):\n%s", diff)
	}
}

// No more handlers run at once than are wanted, and no fewer if there are messages.
func TestListenQueueConcurrency(t *testing.T) { everywhere(t, testListenQueueConcurrency) }

func testListenQueueConcurrency(t *testing.T, db *client.DB, _ bool) {
	const concurrency = 3
	running, finish := make(chan struct{}, 100), make(chan struct{})
	l := listen(t, db, client.ListenOptions{Concurrency: concurrency}, func(context.Context, kv.Message) error {
		running <- struct{}{}
		<-finish
		<-running
		return nil
	})
	for range 2 * concurrency {
		send(t, db, "x", client.EnqueueOptions{})
	}
	until(t, "all slots are taken", func() bool { return len(running) == concurrency })
	<-time.After(2 * fakeserver.AckWait)
	if n := len(running); n != concurrency || len(l.has()) != concurrency {
		t.Errorf("%d handlers run, %d were started; want %d", n, len(l.has()), concurrency)
	}
	close(finish)
	until(t, "all are handled", func() bool { return len(l.has()) == 2*concurrency && empty(t, db)() })
}

// What a server may do wrong for a moment, a listener outlives, and no verdict is lost by it.
func TestListenQueueFaults(t *testing.T) {
	db, server := open(t)
	l := listen(t, db, client.ListenOptions{}, nil)
	send(t, db, "first", client.EnqueueOptions{})
	until(t, "the first is handled", empty(t, db))
	for _, answer := range []struct {
		name, path string
		times      int64
	}{{"receive", "/queue/receive", 2}, {"ack", "/queue/ack", 2}} {
		breakRequests(server, answer.path, answer.times, status(503, "later"))
		server.CutConnections()
		send(t, openAt(t, server.URL), answer.name, client.EnqueueOptions{})
		until(t, "the message is handled in spite of trouble with "+answer.name, empty(t, db))
	}
	breakRequests(server, "/queue/receive", -1, status(401, "not you"))
	server.CutConnections()
	if err := <-l.ended; !errors.Is(err, kv.ErrUnauthorized) {
		t.Errorf("it returned %v, want ErrUnauthorized", err)
	}
}

// Every codec's values go through a queue, and may be left where they could not be delivered.
func TestListenCodecs(t *testing.T) {
	for name, codec := range map[string]client.Codec{"V8": client.V8Codec{}, "JSON": client.JSONCodec{}} {
		t.Run(name, func(t *testing.T) {
			db, _ := open(t, client.WithCodec(codec))
			want := User{"Alice", time.UnixMilli(0).UTC()}
			if _, err := db.Enqueue(t.Context(), want, client.EnqueueOptions{Backoff: []time.Duration{}, KeysIfUndelivered: []kv.Key{{"undelivered"}}}); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			err := client.Listen(ctx, db, func(_ context.Context, u User, m kv.Message) error {
				if u.Joined = u.Joined.UTC(); u != want || m.Attempt != 1 {
					t.Errorf("got %v, attempt %d; want %v", u, m.Attempt, want)
				}
				cancel()
				return nil
			}, client.ListenOptions{})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("it returned %v, want the context's error", err)
			}
		})
	}
	db, _ := open(t, client.WithCodec(client.RawCodec{}))
	payload, err := v8.Encode(v8.Uint8Array([]byte("as it was undelivered")))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Set(t.Context(), kv.Key{"undelivered"}, kv.Value{Encoding: kv.EncodingV8, Data: payload}); err != nil {
		t.Fatal(err)
	}
	if e, err := client.Get[string](t.Context(), db, kv.Key{"undelivered"}); err != nil || e.Value != "as it was undelivered" {
		t.Errorf("got %q, %v", e.Value, err)
	}
}

// A message that is not of the listener's type is a failed attempt; one that cannot be sent says why.
func TestListenBadPayloads(t *testing.T) {
	db, _ := open(t)
	send(t, db, "no user", client.EnqueueOptions{Backoff: []time.Duration{}})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- client.Listen(ctx, db, func(_ context.Context, u User, _ kv.Message) error {
			t.Errorf("got %v", u)
			return nil
		}, client.ListenOptions{})
	}()
	until(t, "it is dead", func() bool { s, err := db.QueueStats(t.Context()); return err == nil && s.Dead == 1 })
	cancel()
	<-ended
	if _, err := db.Enqueue(t.Context(), make(chan int), client.EnqueueOptions{}); !errors.Is(err, kv.ErrInvalid) {
		t.Errorf("a channel: %v, want ErrInvalid", err)
	}
}

// Close ends listeners.
func TestCloseEndsListeners(t *testing.T) { everywhere(t, testCloseEndsListeners) }

func testCloseEndsListeners(t *testing.T, db *client.DB, _ bool) {
	l := listen(t, db, client.ListenOptions{}, nil)
	until(t, "it listens", func() bool { _, err := db.QueueStats(t.Context()); return err == nil })
	db.Close()
	if err := <-l.ended; !errors.Is(err, client.ErrClosed) {
		t.Errorf("it returned %v, want ErrClosed", err)
	}
	if err := db.ListenQueue(t.Context(), nil, client.ListenOptions{}); !errors.Is(err, client.ErrClosed) {
		t.Errorf("after Close: %v, want ErrClosed", err)
	}
}

// The numbers, a look at the messages, and those that were given up.
func TestQueueTools(t *testing.T) { everywhere(t, testQueueTools) }

func testQueueTools(t *testing.T, db *client.DB, _ bool) {
	send(t, db, "now", client.EnqueueOptions{Backoff: []time.Duration{}}) // its only attempt, as it turns out
	send(t, db, "later", client.EnqueueOptions{Delay: time.Hour})
	until(t, "both are in the queue", func() bool {
		stats, err := db.QueueStats(t.Context())
		stats.OldestAge = 0
		return err == nil && stats == kv.QueueStats{Waiting: 1, Scheduled: 1}
	})
	l := listen(t, db, client.ListenOptions{}, func(context.Context, kv.Message) error { return errors.New("never") })
	until(t, "it is dead", func() bool { s, err := db.QueueStats(t.Context()); return err == nil && s.Dead == 1 })
	l.cancel()
	<-l.ended
	for state, want := range map[kv.MessageState]string{kv.MessageDead: "now", kv.MessageScheduled: "later"} {
		got, err := db.PeekQueue(t.Context(), state, 10)
		if err != nil || len(got) != 1 || !cmp.Equal(got[0].Payload, message(t, want).Data) || (got[0].Deadline == 0) != (want == "now") {
			t.Errorf("%s messages: %v, %v", state, got, err)
		}
	}
	if n, err := db.RetryDead(t.Context()); n != 1 || err != nil {
		t.Errorf("RetryDead: %d, %v", n, err)
	}
	for most, want := range map[int]string{0: "max is 0; it must be from 1 to 100", 101: "max is 101; it must be from 1 to 100"} {
		if _, err := db.PeekQueue(t.Context(), kv.MessageDead, most); !errors.Is(err, kv.ErrInvalid) || err.Error() != want {
			t.Errorf("PeekQueue of %d: %v, want %s", most, err, want)
		}
	}
}

// A message is handled by one of all listeners, at least once.
func ExampleDB_ListenQueue() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	db, stop := example(ctx)
	defer stop()

	if _, err := db.Enqueue(ctx, "two pizzas", client.EnqueueOptions{Delay: 10 * time.Millisecond}); err != nil {
		log.Fatal(err)
	}
	err := db.ListenQueue(ctx, func(_ context.Context, m kv.Message) error {
		order, err := v8.Decode(m.Payload)
		if err != nil {
			return err
		}
		fmt.Println("got", order)
		cancel() // enough for an example
		return nil
	}, client.ListenOptions{})
	fmt.Println(errors.Is(err, context.Canceled))
	// Output:
	// got two pizzas
	// true
}

// The payload comes as a Go value.
func ExampleListen() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	db, stop := example(ctx)
	defer stop()

	if _, err := db.Enqueue(ctx, User{"Alice", time.UnixMilli(0)}, client.EnqueueOptions{}); err != nil {
		log.Fatal(err)
	}
	err := client.Listen(ctx, db, func(_ context.Context, u User, m kv.Message) error {
		fmt.Println("got", u.Name, "in attempt", m.Attempt)
		cancel() // enough for an example
		return nil
	}, client.ListenOptions{})
	fmt.Println(errors.Is(err, context.Canceled))
	// Output:
	// got Alice in attempt 1
	// true
}
