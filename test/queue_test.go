package test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kv/v8"
)

// queueWait bounds how long messages may take, a killed server and the end of its listeners' silence included.
const queueWait = time.Minute

func openClient(t testing.TB, url string) *client.DB {
	t.Helper()
	var db *client.DB
	eventually(t, startWait, "the database can be opened", func() (ok bool) {
		var err error
		db, err = client.Open(t.Context(), url, client.WithAccessToken(accessToken))
		return err == nil
	})
	t.Cleanup(func() { db.Close() })
	return db
}

func enqueue(t testing.TB, db *client.DB, payload any, opts client.EnqueueOptions) {
	t.Helper()
	value, err := client.V8(payload)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Enqueue(t.Context(), value, opts); err != nil {
		t.Fatal(err)
	}
}

// listeners handle messages and count what has come.
type listeners struct {
	t       testing.TB
	mu      sync.Mutex
	handled map[any]int
	stop    func()
}

// listen starts n listeners. A nil handler handles every message.
func listen(t testing.TB, db *client.DB, n int, handle func(ctx context.Context, payload any, m kv.Message) error) *listeners {
	t.Helper()
	l := &listeners{t: t, handled: map[any]int{}}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for range n {
		running.Go(func() {
			err := db.ListenQueue(ctx, func(ctx context.Context, m kv.Message) error {
				payload, err := v8.Decode(m.Payload)
				if err != nil {
					return err
				}
				if handle != nil {
					if err := handle(ctx, payload, m); err != nil {
						return err
					}
				}
				l.mu.Lock()
				defer l.mu.Unlock()
				l.handled[payload]++
				return nil
			}, client.ListenOptions{})
			if !errors.Is(err, context.Canceled) && !errors.Is(err, client.ErrClosed) {
				t.Errorf("ListenQueue: %v", err)
			}
		})
	}
	l.stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(l.stop)
	return l
}

func (l *listeners) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.handled)
}

// await waits until so many different messages have been handled.
func (l *listeners) await(n int) {
	l.t.Helper()
	eventually(l.t, queueWait, fmt.Sprintf("%d messages are handled", n), func() bool { return l.count() >= n })
}

// Queues work from Deno and Node through the module in clients/ts.
func TestQueueModule(t *testing.T) {
	s := startServer(t)
	if got := runDeno(t, "queue.ts", s.url("")); got != "ok" {
		t.Errorf("Deno printed %q, want ok", got)
	}
	if got := runNode(t, "queue.mjs", s.url("node")); got != "ok" {
		t.Errorf("Node printed %q, want ok", got)
	}
}

// Messages that wait, are in flight and are delayed when the server is killed are all delivered, and those that were
// handled do not come again.
func TestQueueSurvivesKill(t *testing.T) {
	const waiting, delayed = 300, 50
	s := startServer(t)
	db := openClient(t, s.url(""))
	for i := range waiting {
		enqueue(t, db, fmt.Sprint("waiting ", i), client.EnqueueOptions{})
	}
	for i := range delayed {
		enqueue(t, db, fmt.Sprint("delayed ", i), client.EnqueueOptions{Delay: 4 * time.Second})
	}
	block := make(chan struct{})
	var begun atomic.Int64
	l := listen(t, db, 2, func(ctx context.Context, payload any, _ kv.Message) error {
		if begun.Add(1) > waiting/2 { // the others are in flight
			select {
			case <-block:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	l.await(waiting / 2)
	eventually(t, queueWait, "messages are in flight", func() bool { return begun.Load() > waiting/2+10 })
	eventually(t, queueWait, "what was handled is acked", func() bool {
		stats, err := db.QueueStats(t.Context())
		return err == nil && stats.Waiting+stats.InFlight <= waiting/2 && stats.Scheduled == delayed
	})
	s.kill()
	close(block)
	s.start()
	l.await(waiting + delayed)
	eventually(t, queueWait, "the queue is empty", func() bool {
		stats, err := db.QueueStats(t.Context())
		return err == nil && stats == kv.QueueStats{}
	})
	s.kill() // once more, with nothing left
	s.start()
	enqueue(t, db, "last", client.EnqueueOptions{})
	l.await(waiting + delayed + 1)
	again := 0
	for _, n := range l.handled {
		again += n - 1
	}
	if most := waiting / 2; again > most { // only what was in flight may come twice
		t.Errorf("%d messages were handled twice; at most %d were in flight", again, most)
	}
}

// A handler's error, its panic and its endless silence are failed attempts or none, and the others go on meanwhile.
func TestQueueHandlers(t *testing.T) {
	t.Run("HTTP", func(t *testing.T) { testQueueHandlers(t, openClient(t, startServer(t).url(""))) })
	t.Run("NATS", func(t *testing.T) { testQueueHandlers(t, openClient(t, startCluster(t).natsURL())) })
}

func testQueueHandlers(t *testing.T, db *client.DB) {
	undelivered := kv.Key{"undelivered"}
	var mu sync.Mutex
	attempts := map[any]int{}
	l := listen(t, db, 1, func(ctx context.Context, payload any, m kv.Message) error {
		mu.Lock()
		attempts[payload]++
		n := attempts[payload]
		mu.Unlock()
		if n != m.Attempt {
			t.Errorf("%v: attempt %d has the number %d", payload, n, m.Attempt)
		}
		switch {
		case payload == "fails" && n < 3:
			return errors.New("not yet")
		case payload == "panics" && n < 3:
			panic("not yet")
		case payload == "always fails":
			return errors.New("never")
		case payload == "takes long": // much longer than a silent listener would be waited for
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	})
	fast := client.EnqueueOptions{Backoff: []time.Duration{10 * time.Millisecond, 20 * time.Millisecond}}
	enqueue(t, db, "takes long", fast)
	enqueue(t, db, "fails", fast)
	enqueue(t, db, "panics", fast)
	enqueue(t, db, "always fails", client.EnqueueOptions{Backoff: []time.Duration{}, KeysIfUndelivered: []kv.Key{undelivered}})
	enqueue(t, db, "is fine", fast)
	l.await(3)
	eventually(t, queueWait, "the message is given up", func() bool {
		e, err := db.Get(t.Context(), undelivered)
		return err == nil && e.Exists()
	})
	if diff := cmp.Diff(map[any]int{"takes long": 1, "fails": 3, "panics": 3, "always fails": 1, "is fine": 1}, attempts); diff != "" {
		t.Errorf("attempts (-want +got):\n%s", diff)
	}
	// It is kept for its handler by signs of life, for longer than a silent one is waited for (10 s).
	later := time.Now().Add(13 * time.Second)
	eventually(t, queueWait, "time has passed", func() bool { return time.Now().After(later) })
	mu.Lock()
	if n := attempts["takes long"]; n != 1 {
		t.Errorf("the message that takes long was delivered %d times", n)
	}
	mu.Unlock()
}

// Bad messages are refused, in Deno's words where it has some.
func TestQueueBadInput(t *testing.T) {
	s := startServer(t)
	db := openClient(t, s.url(""))
	small, err := client.V8("x")
	if err != nil {
		t.Fatal(err)
	}
	large, err := client.V8(string(make([]byte, kv.MaxValueSize)))
	if err != nil {
		t.Fatal(err)
	}
	for want, e := range map[string]struct {
		payload kv.Value
		opts    client.EnqueueOptions
	}{
		"enqueue 0: Delay must be >= 0":                                                   {small, client.EnqueueOptions{Delay: -1}},
		"enqueue 0: Delay cannot be greater than 30 days: received 720h0m0.001s":          {small, client.EnqueueOptions{Delay: 30*24*time.Hour + time.Millisecond}},
		"enqueue 0: the backoff 1h0m0.001s is not from 0 to 1h0m0s":                       {small, client.EnqueueOptions{Backoff: []time.Duration{time.Hour + time.Millisecond}}},
		"enqueue 0: the payload is LE64; it must be V8 or bytes":                          {client.U64(1), client.EnqueueOptions{}},
		"enqueue 0: the payload is 65542 bytes and exceeds the value size limit of 65536": {large, client.EnqueueOptions{}},
	} {
		if _, err := db.Enqueue(t.Context(), e.payload, e.opts); !errors.Is(err, kv.ErrInvalid) || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// In a cluster, each message is handled by one of the listeners at both readers, or over NATS, whichever process is killed
// meanwhile; a delayed message comes as well.
func TestClusterQueue(t *testing.T) {
	const each = 200
	c := startCluster(t)
	a, b := openClient(t, c.urls[0]), openClient(t, c.urls[1])
	all := []*listeners{listen(t, a, 2, nil), listen(t, b, 2, nil), listen(t, openClient(t, c.natsURL()), 2, nil)}
	sent := 0
	send := func() {
		t.Helper()
		for range each {
			db, opts := a, client.EnqueueOptions{}
			if sent%2 == 0 {
				db = b
			}
			if sent%20 == 0 {
				opts.Delay = 2 * time.Second
			}
			enqueue(t, db, fmt.Sprint(sent), opts)
			sent++
		}
	}
	handled := func() int {
		together := map[any]bool{}
		for _, l := range all {
			l.mu.Lock()
			for payload := range l.handled {
				together[payload] = true
			}
			l.mu.Unlock()
		}
		return len(together)
	}
	awaitAll := func(after string) {
		t.Helper()
		began := time.Now()
		eventually(t, queueWait, fmt.Sprintf("%d messages are handled %s", sent, after), func() bool { return handled() == sent })
		t.Logf("%d messages were handled %s, %v after the last was sent", sent, after, time.Since(began).Round(time.Millisecond))
	}
	send()
	awaitAll("at first")
	lose := func(p *process, what string) {
		t.Helper()
		sending := make(chan struct{})
		go func() { defer close(sending); send() }()
		p.end(syscall.SIGKILL)
		<-sending
		p.run()
		p.await(startWait)
		awaitAll("after the loss of " + what)
	}
	lose(c.leader(), "the leader")
	for i, p := range c.nats {
		lose(p, fmt.Sprint("NATS server ", i))
	}
	for i, l := range all {
		if l.count() == 0 {
			t.Errorf("the listeners %d handled none of %d messages", i, sent)
		}
	}
	eventually(t, queueWait, "the queue is empty", func() bool {
		stats, err := a.QueueStats(t.Context())
		return err == nil && stats == kv.QueueStats{}
	})
}
