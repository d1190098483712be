package queue_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/millpondkv/millpond/engine"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kv/v8"
	"github.com/millpondkv/millpond/queue"
)

// ackWait is short enough to wait for, and long enough for a busy machine to settle a message in.
const ackWait = 2 * time.Second

// wait bounds what has to happen.
const wait = 30 * time.Second

// rig is a database in an engine.
type rig struct {
	t      testing.TB
	dir    string
	engine *engine.Engine
	*engine.Database
	queue *queue.Queue
}

func start(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir()}
	t.Cleanup(func() { r.close() })
	r.open()
	return r
}

func (r *rig) open() {
	r.t.Helper()
	var err error
	r.engine, err = engine.Open(context.Background(), engine.Config{Dir: r.dir, Logger: slog.New(slog.DiscardHandler), AckWait: ackWait})
	if err != nil {
		r.t.Fatal(err)
	}
	if r.Database, err = r.engine.Create(context.Background(), "orders"); err != nil {
		r.t.Fatal(err)
	}
	r.queue = r.Database.Queue()
	r.await("the queue is there", func() bool { _, err := r.queue.Stats(context.Background()); return err == nil })
}

func (r *rig) close() {
	r.t.Helper()
	if err := r.engine.Close(context.Background()); err != nil {
		r.t.Error(err)
	}
}

func (r *rig) await(what string, yes func() bool) {
	r.t.Helper()
	r.awaitFor(wait, what, yes)
}

func (r *rig) awaitFor(wait time.Duration, what string, yes func() bool) {
	r.t.Helper()
	deadline := time.After(wait)
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for !yes() {
		select {
		case <-ticker.C:
		case <-deadline:
			r.t.Fatalf("waited %v until %s", wait, what)
		}
	}
}

func payload(v any) []byte {
	data, err := v8.Encode(v)
	if err != nil {
		panic(err)
	}
	return data
}

func (r *rig) enqueue(messages ...kv.Enqueue) kv.Versionstamp {
	r.t.Helper()
	result, err := r.Commit(context.Background(), &kv.Atomic{Enqueues: messages})
	if err != nil {
		r.t.Fatal(err)
	}
	return result.Versionstamp
}

// receive returns the next message.
func (r *rig) receive() kv.Message {
	r.t.Helper()
	got, err := r.queue.Receive(context.Background(), 1, wait)
	if err != nil || len(got) != 1 {
		r.t.Fatalf("Receive: %v, %v; want a message", got, err)
	}
	return got[0]
}

func (r *rig) receiveNone(d time.Duration) {
	r.t.Helper()
	if got, err := r.queue.Receive(context.Background(), 1, d); err != nil || len(got) != 0 {
		r.t.Errorf("Receive: %v, %v; want nothing", got, err)
	}
}

func (r *rig) settle(v kv.Verdict, messages ...kv.Message) {
	r.t.Helper()
	var receipts []string
	for _, m := range messages {
		receipts = append(receipts, m.Receipt)
	}
	if err := r.queue.Settle(context.Background(), v, receipts); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) get(key kv.Key) kv.Entry {
	r.t.Helper()
	k := key.MustEncode()
	found, err := r.Read(context.Background(), []kv.Range{{Start: k, End: k + "\x00", Limit: 1}})
	if err != nil {
		r.t.Fatal(err)
	}
	if len(found[0]) == 0 {
		return kv.Entry{}
	}
	return found[0][0]
}

func (r *rig) now() kv.Millis { return kv.MillisOf(time.Now()) }

// A message that was handled is delivered once, and messages come in the order of their commits.
func TestDelivery(t *testing.T) {
	r := start(t)
	r.enqueue(kv.Enqueue{Payload: payload("a")}, kv.Enqueue{Payload: payload("b")})
	r.enqueue(kv.Enqueue{Payload: payload("c")})
	for _, want := range []string{"a", "b", "c"} {
		m := r.receive()
		if diff := cmp.Diff(payload(want), m.Payload); diff != "" || m.Attempt != 1 {
			t.Errorf("attempt %d, payload (-want +got):\n%s", m.Attempt, diff)
		}
		r.settle(kv.VerdictAck, m)
	}
	r.receiveNone(ackWait + ackWait/4)
	r.await("nothing is left", func() bool { s, err := r.queue.Stats(t.Context()); return err == nil && s == kv.QueueStats{} })
}

// An atomic that was not committed enqueues nothing.
func TestAtomic(t *testing.T) {
	r := start(t)
	never := kv.NewVersionstamp(1, 1)
	result, err := r.Commit(t.Context(), &kv.Atomic{
		Checks:   []kv.Check{{Key: kv.Key{"a"}.MustEncode(), Versionstamp: &never}},
		Enqueues: []kv.Enqueue{{Payload: payload("not this")}},
	})
	if err != nil || result.OK() {
		t.Fatalf("commit: %v, %v; want a failed check", result, err)
	}
	r.enqueue(kv.Enqueue{Payload: payload("this")})
	if m := r.receive(); !cmp.Equal(m.Payload, payload("this")) {
		t.Errorf("got %q", m.Payload)
	}
}

// A delayed message comes when it is due and not before, also if others were enqueued after it.
func TestDelay(t *testing.T) {
	r := start(t)
	due := r.now() + 1500
	r.enqueue(kv.Enqueue{Payload: payload("later"), Deadline: due})
	r.enqueue(kv.Enqueue{Payload: payload("sooner"), Deadline: due - 1000})
	r.enqueue(kv.Enqueue{Payload: payload("now")})
	r.await("two are scheduled", func() bool { s, err := r.queue.Stats(t.Context()); return err == nil && s.Scheduled == 2 })
	for _, want := range []string{"now", "sooner", "later"} {
		m := r.receive()
		if !cmp.Equal(m.Payload, payload(want)) {
			t.Errorf("got %q, want %s", m.Payload, want)
		}
		r.settle(kv.VerdictAck, m)
	}
	if now := r.now(); now < due {
		t.Errorf("it came %d ms too early", due-now)
	}
}

// A failed message comes again after each step of its schedule; after the last its keys are written, and it is dead.
func TestRetries(t *testing.T) {
	r := start(t)
	keys := []kv.Key{{"failed", 1}, {"failed", 2}}
	r.enqueue(kv.Enqueue{Payload: payload("x"), BackoffSchedule: []uint32{50, 200}, KeysIfUndelivered: []kv.EncodedKey{keys[0].MustEncode(), keys[1].MustEncode()}})
	var failed time.Time
	for attempt, pause := range []time.Duration{0, 50 * time.Millisecond, 200 * time.Millisecond} {
		m := r.receive()
		if m.Attempt != attempt+1 || time.Since(failed) < pause {
			t.Errorf("attempt %d after %v; want %d after %v", m.Attempt, time.Since(failed), attempt+1, pause)
		}
		if r.get(keys[0]).Exists() {
			t.Error("a key was written before the last attempt had failed")
		}
		failed = time.Now()
		r.settle(kv.VerdictNack, m)
	}
	for _, key := range keys {
		if e := r.get(key); !cmp.Equal(e.Value, kv.Value{Encoding: kv.EncodingV8, Data: payload("x")}) || e.ExpireAt != 0 {
			t.Errorf("%v has %v", key, e)
		}
	}
	r.receiveNone(ackWait + ackWait/4)
	r.await("it is dead", func() bool {
		s, err := r.queue.Stats(t.Context())
		return err == nil && s == kv.QueueStats{Dead: 1}
	})

	// It can be put back.
	peeked, err := r.queue.Peek(t.Context(), kv.MessageDead, 10)
	if err != nil || len(peeked) != 1 || !cmp.Equal(peeked[0].Payload, payload("x")) {
		t.Errorf("Peek: %v, %v", peeked, err)
	}
	if n, err := r.queue.RetryDead(t.Context()); n != 1 || err != nil {
		t.Errorf("RetryDead: %d, %v", n, err)
	}
	if m := r.receive(); m.Attempt != 1 || !cmp.Equal(m.Payload, payload("x")) {
		t.Errorf("got %+v", m)
	}
}

// An empty schedule is one attempt, and none is the default.
func TestSchedules(t *testing.T) {
	r := start(t)
	r.enqueue(kv.Enqueue{Payload: payload("once"), BackoffSchedule: []uint32{}})
	r.settle(kv.VerdictNack, r.receive())
	r.receiveNone(200 * time.Millisecond)
	r.enqueue(kv.Enqueue{Payload: payload("default")})
	began := time.Now()
	r.settle(kv.VerdictNack, r.receive())
	if m := r.receive(); m.Attempt != 2 || time.Since(began) < 100*time.Millisecond {
		t.Errorf("attempt %d came after %v", m.Attempt, time.Since(began))
	}
}

// A listener that says nothing loses its message to another, unless it gives signs of life.
func TestSilentListener(t *testing.T) {
	t.Parallel() // it mostly waits
	r := start(t)
	r.enqueue(kv.Enqueue{Payload: payload("x")})
	first := r.receive()
	for range 4 { // for longer than ackWait
		r.receiveNone(ackWait / 2)
		r.settle(kv.VerdictExtend, first)
	}
	second := r.receive()
	if second.ID != first.ID || second.Attempt != 2 {
		t.Errorf("got %+v after %+v", second, first)
	}
	r.settle(kv.VerdictAck, second)
}

// A message whose listeners all vanish is given up in the end.
func TestPoison(t *testing.T) {
	t.Parallel() // it mostly waits
	r := start(t)
	key := kv.Key{"poison"}
	r.enqueue(kv.Enqueue{Payload: payload("x"), BackoffSchedule: []uint32{}, KeysIfUndelivered: []kv.EncodedKey{key.MustEncode()}})
	for attempt := 1; attempt <= 3; attempt++ {
		if m := r.receive(); m.Attempt != attempt {
			t.Errorf("attempt %d, want %d", m.Attempt, attempt)
		}
	}
	r.await("its key is written", func() bool {
		r.receiveNone(100 * time.Millisecond)
		return r.get(key).Exists()
	})
}

// Many messages, enqueued in large commits, are all delivered, once, in order, to listeners at the same time; a restart in
// the middle loses none and repeats none that was handled.
func TestRestart(t *testing.T) {
	r := start(t)
	const commits, each = 4, 700 // more than fits into one step of the feeder
	due := r.now() + 500
	for i := range commits {
		var messages []kv.Enqueue
		for j := range each {
			e := kv.Enqueue{Payload: payload(fmt.Sprintf("%d.%d", i, j))}
			if j%100 == 99 {
				e.Deadline = due
			}
			messages = append(messages, e)
		}
		r.enqueue(messages...)
	}
	handled := map[string]int{}
	take := func(n int) {
		t.Helper()
		for len(handled) < n {
			got, err := r.queue.Receive(t.Context(), 100, wait)
			if err != nil || len(got) == 0 {
				t.Fatalf("after %d messages: %d, %v", len(handled), len(got), err)
			}
			for _, m := range got {
				handled[string(m.Payload)]++
			}
			r.settle(kv.VerdictAck, got...)
		}
	}
	take(1000)
	inFlight := r.receive()
	r.close()
	r.open()
	take(commits * each)
	r.receiveNone(ackWait + ackWait/4)
	for p, n := range handled {
		if n != 1 && p != string(inFlight.Payload) {
			t.Errorf("%q was delivered %d times", p, n)
		}
	}
}

// Requests that make no sense are refused.
func TestInvalid(t *testing.T) {
	r := start(t)
	for _, text := range []string{"", "1", "a-b-c-d", "0-0-0-0", "1-2-3-4-5", "1.2-3-4-5", "*-1-1-1"} {
		if err := r.queue.Settle(t.Context(), kv.VerdictAck, []string{text}); !errors.Is(err, kv.ErrInvalid) {
			t.Errorf("the receipt %q: %v; want ErrInvalid", text, err)
		}
	}
	if err := r.queue.Settle(t.Context(), "drop", []string{"1-1-1-1"}); !errors.Is(err, kv.ErrInvalid) {
		t.Errorf("an unknown verdict: %v; want ErrInvalid", err)
	}
	if _, err := r.queue.Peek(t.Context(), "lost", 1); !errors.Is(err, kv.ErrInvalid) {
		t.Errorf("an unknown state: %v; want ErrInvalid", err)
	}
}

// A listener that has gone while it waited takes no message with it.
func TestGoneListener(t *testing.T) {
	r := start(t)
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		waiting := make(chan []kv.Message)
		go func() {
			got, err := r.queue.Receive(ctx, 1, wait)
			if err != nil {
				t.Error(err)
			}
			waiting <- got
		}()
		time.AfterFunc(20*time.Millisecond, cancel)
		if got := <-waiting; len(got) > 0 {
			t.Fatalf("got %v from an empty queue", got)
		}
		r.enqueue(kv.Enqueue{Payload: payload("x")})
		m := r.receive()
		if m.Attempt != 1 {
			t.Errorf("the message came with attempt %d", m.Attempt)
		}
		r.settle(kv.VerdictAck, m)
	}
}
