package queue_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/internal/natsserver"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/queue"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/oklog/ulid/v2"
)

// source is a log in memory with commits that a test appends.
type source struct {
	events.MemoryLog
	t     *testing.T
	chain events.Chain
	ids   uint64
}

func (s *source) Verify(_ context.Context, c events.Chain) error {
	if c.Applied > s.chain.Applied {
		return events.ErrGap
	}
	return nil
}

func (s *source) InUse(context.Context) error { return nil }

// append adds a record as it is.
func (s *source) append(r *events.Record) {
	s.t.Helper()
	sealed, data := events.Seal(s.chain.Applied+1, r)
	if _, err := s.Append(context.Background(), events.Append{Kind: r.Kind, Data: data, Last: s.chain.Applied, Epoch: s.chain.Epoch}); err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.chain.Accept(sealed); err != nil {
		s.t.Fatal(err)
	}
}

func (s *source) epoch() {
	s.append(&events.Record{Kind: events.KindEpoch, Epoch: s.chain.Epoch, Previous: s.chain.Hash, Time: s.chain.Time, Writer: ulid.MustNew(1, nil)})
}

// commit appends a record with one commit for each list of messages.
func (s *source) commit(at kv.Millis, lists ...[]kv.Enqueue) {
	r := &events.Record{Kind: events.KindCommits, Epoch: s.chain.Epoch, Previous: s.chain.Hash, Time: at}
	for _, messages := range lists {
		s.ids++
		r.Commits = append(r.Commits, events.Commit{ID: ulid.MustNew(s.ids, nil), Enqueues: messages})
	}
	s.append(r)
}

func texts(format string, n int) (list []kv.Enqueue) {
	for i := range n {
		list = append(list, kv.Enqueue{Payload: payload(fmt.Sprintf(format, i))})
	}
	return list
}

// newQueue returns a queue on a NATS server in this process.
func newQueue(t *testing.T) (q *queue.Queue, js jetstream.JetStream, config queue.Config) {
	t.Helper()
	s, err := natsserver.Start(t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	conn, err := s.Connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	if js, err = jetstream.New(conn); err != nil {
		t.Fatal(err)
	}
	config = queue.Config{
		Conn: conn, JS: js, Database: "orders", ID: "11111111-2222-4333-8444-555555555555", AckWait: ackWait,
		Now: func() kv.Millis { return kv.MillisOf(time.Now()) }, Logger: slog.New(slog.DiscardHandler),
	}
	return queue.New(config), js, config
}

// feed feeds the queue until stop is called or the test ends.
func feed(t *testing.T, q *queue.Queue, log queue.Source) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var feeding sync.WaitGroup
	feeding.Go(func() { q.Feed(ctx, log, 1, true) })
	stop = func() { cancel(); feeding.Wait() }
	t.Cleanup(stop)
	return stop
}

// take receives and acks n messages and returns their payloads.
func take(t *testing.T, q *queue.Queue, n int) (got []string) {
	t.Helper()
	for deadline := time.Now().Add(wait); len(got) < n; {
		messages, err := q.Receive(t.Context(), 100, time.Second)
		if err != nil && !errors.Is(err, kv.ErrUnavailable) || time.Now().After(deadline) {
			t.Fatalf("after %d messages: %v", len(got), err)
		}
		var receipts []string
		for _, m := range messages {
			got, receipts = append(got, string(m.Payload)), append(receipts, m.Receipt)
		}
		if len(receipts) > 0 {
			if err := q.Settle(t.Context(), kv.VerdictAck, receipts); err != nil {
				t.Fatal(err)
			}
		}
	}
	return got
}

// Several feeders at once, which come and go at any moment, copy each message once and in order, also those of records that
// are larger than a step.
func TestFeedersCompete(t *testing.T) {
	q, _, config := newQueue(t)
	log := &source{t: t}
	var want []string
	for i := range 12 {
		log.epoch()
		a, b := texts(fmt.Sprint(i, "a%d"), rand.IntN(3)), texts(fmt.Sprint(i, "b%d"), rand.IntN(1000))
		log.commit(config.Now(), a, nil, b)
		for _, m := range append(a, b...) {
			want = append(want, string(m.Payload))
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	var feeding sync.WaitGroup
	for range 3 {
		feeding.Go(func() {
			own := queue.New(config)
			for ctx.Err() == nil {
				part, end := context.WithTimeout(ctx, time.Duration(20+rand.IntN(300))*time.Millisecond)
				own.Feed(part, log, 1, true)
				end()
			}
		})
	}
	got := take(t, q, len(want))
	cancel()
	feeding.Wait()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("messages (-want +got):\n%.2000s", diff)
	}
	more, err := q.Receive(t.Context(), 100, ackWait+ackWait/4)
	if err != nil || len(more) > 0 {
		t.Errorf("%d messages more, %v", len(more), err)
	}
}

// What does not count in the log is not delivered: a record of a reign that had ended.
func TestVoidRecord(t *testing.T) {
	q, _, config := newQueue(t)
	log := &source{t: t}
	log.epoch()
	log.commit(config.Now(), texts("counts %d", 1))
	deposed := log.chain
	log.epoch()
	// In JetStream it is refused; a server that has lost its peers may hold it nevertheless.
	void := &events.Record{Kind: events.KindCommits, Epoch: deposed.Epoch, Previous: deposed.Hash, Commits: []events.Commit{{ID: ulid.MustNew(99, nil), Enqueues: texts("void %d", 1)}}}
	log.append(void)
	log.commit(config.Now(), texts("counts too %d", 1))
	feed(t, q, log)
	want := []string{string(payload("counts 0")), string(payload("counts too 0"))}
	if diff := cmp.Diff(want, take(t, q, 2)); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
}

// A queue that is made for a log with a history delivers what has become due lately or is yet to be, and keeps the rest
// among the dead: it may have been delivered before.
func TestHistory(t *testing.T) {
	q, _, config := newQueue(t)
	log := &source{t: t}
	now := config.Now()
	const hour = 3_600_000
	log.epoch()
	log.commit(now-40*24*hour, texts("forgotten %d", 1))
	scheduled := texts("scheduled %d", 2)
	scheduled[0].Deadline, scheduled[1].Deadline = now-2*hour, now+hour
	log.commit(now-24*hour, texts("old %d", 1), scheduled)
	log.commit(now, texts("new %d", 1))
	feed(t, q, log)
	if got := take(t, q, 1); got[0] != string(payload("new 0")) {
		t.Errorf("got %q, want the new one", got)
	}
	stats, err := q.Stats(t.Context())
	if diff := cmp.Diff(kv.QueueStats{Scheduled: 1, Dead: 2}, stats); err != nil || diff != "" {
		t.Errorf("%v, stats (-want +got):\n%s", err, diff)
	}
	if n, err := q.RetryDead(t.Context()); n != 2 || err != nil {
		t.Errorf("RetryDead: %d, %v", n, err)
	}
	want := []string{string(payload("old 0")), string(payload("scheduled 0"))}
	if diff := cmp.Diff(want, take(t, q, 2)); diff != "" {
		t.Errorf("revived (-want +got):\n%s", diff)
	}
}

// The queue of another database of the same name is left alone, and so is a log that does not hold what was copied from it.
func TestForeignQueue(t *testing.T) {
	_, js, config := newQueue(t)
	log := &source{t: t}
	log.epoch()
	log.commit(config.Now(), texts("%d", 1))
	records := newRecorder()
	config.Logger = slog.New(records)
	stop := feed(t, queue.New(config), log)
	take(t, queue.New(config), 1)
	stop()

	other := config
	other.ID = "99999999-2222-4333-8444-555555555555"
	stop = feed(t, queue.New(other), log)
	records.await(t, "is the queue of the database with the UUID")
	stop()
	feed(t, queue.New(config), &source{t: t}) // an empty log
	records.await(t, "its log is damaged")
	info, err := js.Stream(t.Context(), "millpond-queue_orders")
	if err != nil || info.CachedInfo().State.Msgs != 1 {
		t.Errorf("the stream: %v, %v; want the cursor alone", info.CachedInfo().State, err)
	}
}

// A message that somebody else has put there is taken out, and a cursor that does not decode stops the feeder.
func TestForeignMessages(t *testing.T) {
	q, js, config := newQueue(t)
	log := &source{t: t}
	log.epoch()
	stop := feed(t, q, log)
	log.commit(config.Now(), texts("a%d", 1))
	take(t, q, 1)
	for _, header := range []nats.Header{{}, {"Millpond-Id": {"x"}, "Millpond-Backoff": {"soon"}}, {"Millpond-Id": {"x"}, "Millpond-Deadline": {"soon"}}, {"Millpond-Id": {"x"}, "Millpond-Undelivered": {"?"}}} {
		if _, err := js.PublishMsg(t.Context(), &nats.Msg{Subject: "millpond.orders.queue.ready", Header: header}); err != nil {
			t.Fatal(err)
		}
	}
	log.commit(config.Now(), texts("b%d", 1))
	if got := take(t, q, 1); got[0] != string(payload("b0")) {
		t.Errorf("got %q", got)
	}
	stop()
	if _, err := js.Publish(t.Context(), "millpond.orders.queue.cursor", []byte("x")); err != nil {
		t.Fatal(err)
	}
	records := newRecorder()
	config.Logger = slog.New(records)
	feed(t, queue.New(config), log)
	records.await(t, "the queue's cursor does not decode")
}

// recorder is a slog handler that keeps what is logged.
type recorder struct {
	slog.Handler
	mu   *sync.Mutex
	text *strings.Builder
}

func newRecorder() *recorder {
	r := &recorder{mu: new(sync.Mutex), text: new(strings.Builder)}
	r.Handler = slog.NewTextHandler(lockedWriter{r}, nil)
	return r
}

type lockedWriter struct{ r *recorder }

func (w lockedWriter) Write(p []byte) (int, error) {
	w.r.mu.Lock()
	defer w.r.mu.Unlock()
	return w.r.text.Write(p)
}

func (r *recorder) await(t *testing.T, text string) {
	t.Helper()
	(&rig{t: t}).await("the log says "+text, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return strings.Contains(r.text.String(), text)
	})
}

// The cursor moves over records without messages too, so that a start does not read them all again.
func TestCursorMoves(t *testing.T) {
	t.Parallel() // it mostly waits
	q, js, config := newQueue(t)
	log := &source{t: t}
	log.epoch()
	feed(t, q, log)
	cursor := func() uint64 {
		stream, err := js.Stream(t.Context(), "millpond-queue_orders")
		if err != nil {
			return 0
		}
		m, err := stream.GetLastMsgForSubject(t.Context(), "millpond.orders.queue.cursor")
		if err != nil {
			return 0
		}
		return m.Sequence
	}
	r := &rig{t: t}
	r.await("the cursor is behind the epoch", func() bool { return cursor() > 0 })
	before := cursor()
	log.commit(config.Now(), nil)
	r.await("the cursor has moved", func() bool { return cursor() > before })
}

// A batch without an end is forgotten: a feeder that is killed in the middle of a step leaves nothing.
func TestHalfAStep(t *testing.T) {
	q, _, config := newQueue(t)
	log := &source{t: t}
	log.epoch()
	log.commit(config.Now(), texts("first %d", 1))
	feed(t, q, log)
	take(t, q, 1)
	half := nats.NewMsg("millpond.orders.queue.ready")
	half.Header = nats.Header{"Millpond-Id": {"half"}, "Nats-Batch-Id": {"half"}, "Nats-Batch-Sequence": {"1"}}
	if err := config.Conn.PublishMsg(half); err != nil {
		t.Fatal(err)
	}
	log.commit(config.Now(), texts("second %d", 1))
	if got := take(t, q, 1); got[0] != string(payload("second 0")) {
		t.Errorf("got %q, want the second", got)
	}
	if more, err := q.Receive(t.Context(), 1, ackWait); len(more) > 0 || err != nil {
		t.Errorf("got %v, %v; want nothing more", more, err)
	}
}

// Giving a message up once more, after its keys were written, is the same commit; it is another one once the message was put back.
func TestGivenUpOnce(t *testing.T) {
	_, _, config := newQueue(t)
	var ids []ulid.ULID
	lost := errors.New("the answer is lost")
	config.Commit = func(_ context.Context, id ulid.ULID, _ *kv.Atomic) (kv.CommitResult, error) {
		ids = append(ids, id)
		if len(ids) == 1 {
			return kv.CommitResult{}, lost
		}
		return kv.CommitResult{}, nil
	}
	q := queue.New(config)
	log := &source{t: t}
	log.epoch()
	log.commit(1, []kv.Enqueue{{Payload: payload("x"), BackoffSchedule: []uint32{}, Deadline: config.Now(), KeysIfUndelivered: []kv.EncodedKey{"k"}}})
	feed(t, q, log)
	giveUp := func() error {
		t.Helper()
		var got []kv.Message
		for deadline := time.Now().Add(wait); len(got) == 0 && time.Now().Before(deadline); {
			got, _ = q.Receive(t.Context(), 1, time.Second)
		}
		if len(got) == 0 {
			t.Fatal("no message has come")
		}
		return q.Settle(t.Context(), kv.VerdictNack, []string{got[0].Receipt})
	}
	if err := giveUp(); !errors.Is(err, kv.ErrUnavailable) {
		t.Errorf("without an answer: %v, want ErrUnavailable", err)
	}
	if err := giveUp(); err != nil { // it comes again
		t.Error(err)
	}
	if n, err := q.RetryDead(t.Context()); n != 1 || err != nil {
		t.Errorf("RetryDead: %d, %v", n, err)
	}
	if err := giveUp(); err != nil {
		t.Error(err)
	}
	if len(ids) != 3 || ids[0] != ids[1] || ids[1] == ids[2] {
		t.Errorf("the commits have the ids %v; want one for the first two, and another", ids)
	}
}

// Many dead messages, large ones too, are put back in the order in which they died, each once.
func TestRetryManyDead(t *testing.T) {
	q, _, config := newQueue(t)
	log := &source{t: t}
	log.epoch()
	const small, large = 600, 40 // more than fit into one step, by number and by size
	filler := strings.Repeat("x", kv.MaxValueSize-100)
	log.commit(config.Now()-kv.Millis(time.Hour.Milliseconds()), texts("small %d", small), texts("large %d"+filler, large)) // due long ago: dead at once
	feed(t, q, log)
	for deadline := time.Now().Add(wait); ; <-time.After(time.Millisecond) {
		if s, err := q.Stats(t.Context()); err == nil && s.Dead == small+large {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the messages are not among the dead")
		}
	}
	if n, err := q.RetryDead(t.Context()); n != small+large || err != nil {
		t.Fatalf("RetryDead: %d, %v; want %d", n, err, small+large)
	}
	got := take(t, q, small+large)
	for i, p := range got[:small] {
		if want := string(payload(fmt.Sprintf("small %d", i))); p != want {
			t.Fatalf("message %d is %q, want %q", i, p, want)
		}
	}
	if s, err := q.Stats(t.Context()); err != nil || s != (kv.QueueStats{}) {
		t.Errorf("stats: %+v, %v; want none", s, err)
	}
}

// A message that comes when its listener has just gone goes to the next one at once, and not only when nobody has said anything of it
// for long.
func TestMessageMeetsGoneListener(t *testing.T) {
	_, _, config := newQueue(t)
	config.AckWait = time.Hour
	q := queue.New(config)
	log := &source{t: t}
	log.epoch()
	feed(t, q, log)
	log.commit(config.Now(), texts("first%d", 1))
	take(t, q, 1)
	for i := range 100 {
		ctx, cancel := context.WithCancel(t.Context())
		waiting := make(chan []kv.Message, 1)
		go func() {
			got, err := q.Receive(ctx, 1, wait)
			if err != nil {
				t.Error(err)
			}
			waiting <- got
		}()
		log.commit(config.Now(), texts(fmt.Sprint(i, "x%d"), 1))
		time.AfterFunc(time.Duration(rand.IntN(8000))*time.Microsecond, cancel)
		if got := <-waiting; len(got) == 0 {
			take(t, q, 1)
		} else if err := q.Settle(t.Context(), kv.VerdictAck, []string{got[0].Receipt}); err != nil {
			t.Fatal(err)
		}
		cancel()
	}
}
