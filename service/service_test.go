package service

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/events/natslog"
	"github.com/millpondkv/millpond/internal/natsserver"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kv/kvtest"
	"github.com/millpondkv/millpond/service/wire"
	"github.com/millpondkv/millpond/writer"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
)

// rig is a NATS server, for writers and readers in this process.
type rig struct {
	t    *testing.T
	nats *natsserver.Server
	now  atomic.Int64 // the clock of all; 0: the real one

	registry *prometheus.Registry // of the reader that was made last
}

func newRig(t *testing.T) *rig {
	t.Helper()
	server, err := natsserver.Start(t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	return &rig{t: t, nats: server}
}

func (r *rig) clock() kv.Millis {
	if now := r.now.Load(); now != 0 {
		return kv.Millis(now)
	}
	return kv.MillisOf(time.Now())
}

func (r *rig) connect() *nats.Conn {
	r.t.Helper()
	conn, err := r.nats.Connect()
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(conn.Close)
	return conn
}

func randomID() ulid.ULID { return ulid.MustNew(ulid.Now(), rand.Reader) }

// writers runs the writers of a process until stop is called.
func (r *rig) writers() (stop func()) {
	r.t.Helper()
	_, stop = r.runWriters(WritersConfig{
		AllowUnsafe: true, Lease: time.Second, Now: r.clock, NewID: randomID, Process: "w", Logger: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry(),
	})
	return stop
}

func (r *rig) runWriters(c WritersConfig) (w *Writers, stop func()) {
	r.t.Helper()
	w, err := NewWriters(r.connect(), c)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := w.Run(ctx); err != nil {
			r.t.Error(err)
		}
	}()
	stop = func() { cancel(); <-ended }
	r.t.Cleanup(stop)
	return w, stop
}

// reader returns the replica that a reader process has of the database "default".
func (r *rig) reader() *Database {
	r.t.Helper()
	d, err := r.databases().find(r.t.Context(), "default", true)
	if err != nil {
		r.t.Fatal(err)
	}
	return d
}

// databases returns the replicas of a reader process.
func (r *rig) databases() *Databases {
	r.t.Helper()
	r.registry = prometheus.NewRegistry()
	databases, err := OpenDatabases(r.connect(), Config{
		Create: true, Replicas: 1, AllowUnsafe: true, Process: "r", Now: r.clock, NewID: randomID, Logger: slog.New(slog.DiscardHandler), Registry: r.registry,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { databases.Close() })
	return databases
}

// pair commits through one reader and reads through another.
type pair struct {
	*rig
	commits, reads *Database
}

func (p pair) Commit(ctx context.Context, a *kv.Atomic) (kv.CommitResult, error) {
	return p.commits.Commit(ctx, a)
}

func (p pair) Read(ctx context.Context, ranges []kv.Range) ([][]kv.Entry, error) {
	return p.reads.Read(ctx, ranges)
}

func (p pair) SetNow(now kv.Millis) { p.now.Store(int64(now)) }

func newPair(t *testing.T) pair {
	r := newRig(t)
	r.now.Store(1)
	r.writers()
	return pair{r, r.reader(), r.reader()}
}

// Readers and writers together, real log included, keep Deno KV's rules and do what the model does.
func TestRules(t *testing.T)  { kvtest.Rules(t, newPair(t)) }
func TestRandom(t *testing.T) { kvtest.Random(t, newPair(t), 1, 200) }

func putting(key, value string) *kv.Atomic {
	return &kv.Atomic{Mutations: []kv.Mutation{{
		Type: kv.MutationSet, Key: kv.Key{key}.MustEncode(), Value: kv.Value{Encoding: kv.EncodingBytes, Data: []byte(value)},
	}}}
}

// When writers stop one after the other, commits go on: the last one's leadership is handed over.
func TestHandingOver(t *testing.T) {
	r := newRig(t)
	d := r.reader()
	stop := r.writers()
	for range 3 {
		if result, err := d.Commit(t.Context(), putting("k", "v")); err != nil || !result.OK() {
			t.Fatalf("commit: %+v, %v", result, err)
		}
		if d.projection.Chain().Applied < 2 {
			t.Error("the reader has not applied a commit that it answered")
		}
		next := r.writers()
		stop()
		stop = next
	}
}

// Without a leader, a commit and a read fail when their time ends, and say that it is safe to try again.
func TestNoLeader(t *testing.T) {
	d := newRig(t).reader()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := d.Commit(ctx, putting("k", "v")); !kv.SafeToRetry(err) {
		t.Errorf("commit: %v; want an error that says to try again", err)
	}
	if _, err := d.Read(ctx, nil); !kv.SafeToRetry(err) {
		t.Errorf("read: %v; want an error that says to try again", err)
	}
}

// fakeLeader answers what the test says.
type fakeLeader struct {
	requests chan writer.Request
	commit   func(context.Context, writer.Request) (kv.CommitResult, error)
}

func (f *fakeLeader) CommitAll(ctx context.Context, requests []writer.Request) []writer.Outcome {
	outcomes := make([]writer.Outcome, len(requests))
	for i, r := range requests {
		f.requests <- r
		outcomes[i].Result, outcomes[i].Err = f.commit(ctx, r)
	}
	return outcomes
}

func (f *fakeLeader) ReadIndex(context.Context) (writer.ReadIndex, error) {
	return writer.ReadIndex{Position: 1, Now: 1}, nil
}

func (f *fakeLeader) Leading() bool { return true }

// A strong read that waits for a leader is told when the database is deleted, and does not wait on.
func TestDeletedWhileReadsWait(t *testing.T) {
	r := newRig(t)
	d := r.reader()
	answer := make(chan error, 1)
	go func() {
		_, err := d.Read(t.Context(), nil)
		answer <- err
	}()
	poll(t, "the read asks for a leader", func() bool {
		d.indexer.mu.Lock()
		defer d.indexer.mu.Unlock()
		return d.indexer.flying
	})
	d.broke(errGone("default"))
	if err := <-answer; !errors.Is(err, kv.ErrNoDatabase) {
		t.Errorf("the read fails with %v, want kv.ErrNoDatabase", err)
	}
}

// reign lets a fake lead, by an epoch record in the log, and returns its id.
func (r *rig) reign(d *Database, f *fakeLeader, refused func(string), former ...ulid.ULID) ulid.ULID {
	r.t.Helper()
	id := randomID()
	js, err := jetstream.New(r.connect())
	if err != nil {
		r.t.Fatal(err)
	}
	log, err := natslog.Open(r.t.Context(), js, "default")
	if err != nil {
		r.t.Fatal(err)
	}
	_, data := events.Seal(1, &events.Record{Kind: events.KindEpoch, Writer: id, Time: 1})
	if _, err := log.Append(r.t.Context(), events.Append{Kind: events.KindEpoch, Data: data}); err != nil {
		r.t.Fatal(err)
	}
	if err := d.projection.Wait(r.t.Context(), 1); err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended, conn := make(chan error), r.connect()
	beaten := make(chan wire.Heartbeat, 1)
	if _, err := Heartbeats(conn, "default", slog.New(slog.DiscardHandler), func(h wire.Heartbeat) {
		select {
		case beaten <- h:
		default:
		}
	}); err != nil {
		r.t.Fatal(err)
	}
	go func() {
		ended <- Reign{
			Database: "default", Writer: id, Leader: f, Chain: d.projection.Chain, Now: r.clock, Former: former, Refused: refused,
			Logger: slog.New(slog.DiscardHandler),
		}.Serve(ctx, conn)
	}()
	r.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			r.t.Error(err)
		}
	})
	if h := <-beaten; h.Writer != id || h.Epoch != 1 { // it listens before it sends heartbeats
		r.t.Errorf("got the heartbeat %+v of %v in epoch 1", h, id)
	}
	for d.asker.leaders.now().writer != id { // the projection is ahead of who follows it for the leaders
		runtime.Gosched()
	}
	return id
}

// A leader that says that it does not know is asked again, with the same id, until it does.
func TestAskedAgain(t *testing.T) {
	r := newRig(t)
	d := r.reader()
	asked := 0
	f := &fakeLeader{requests: make(chan writer.Request, 10), commit: func(context.Context, writer.Request) (kv.CommitResult, error) {
		if asked++; asked < 3 {
			return kv.CommitResult{}, kv.Errorf(kv.ErrUnknownOutcome, "not known")
		}
		return kv.CommitResult{FailedChecks: []int{0}}, nil
	}}
	r.reign(d, f, nil)
	result, err := d.Commit(t.Context(), putting("k", "v"))
	if err != nil || result.OK() {
		t.Errorf("got %+v, %v; want a failed check", result, err)
	}
	first, second, third := <-f.requests, <-f.requests, <-f.requests
	if first.ID != second.ID || first.ID != third.ID || !second.Repeat || second.Seen != 1 {
		t.Errorf("got %+v, then %+v; want repeats of one id, that say what had been seen", first, second)
	}
}

// When the time ends and a leader may have got the request, the outcome is unknown.
func TestUnknownOutcome(t *testing.T) {
	r := newRig(t)
	d := r.reader()
	hold := make(chan struct{})
	f := &fakeLeader{requests: make(chan writer.Request, 10), commit: func(context.Context, writer.Request) (kv.CommitResult, error) {
		<-hold
		return kv.CommitResult{}, kv.Errorf(kv.ErrUnavailable, "too late")
	}}
	r.reign(d, f, nil)
	t.Cleanup(func() { close(hold) })
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-f.requests; cancel() }()
	if _, err := d.Commit(ctx, putting("k", "v")); !errors.Is(err, kv.ErrUnknownOutcome) {
		t.Errorf("got %v, want an unknown outcome", err)
	}
}

// A malformed message is refused with a sentence, and counted, and nothing else is disturbed.
func TestMalformedMessages(t *testing.T) {
	r := newRig(t)
	d := r.reader()
	var refused atomic.Int64
	f := &fakeLeader{requests: make(chan writer.Request, 1), commit: func(context.Context, writer.Request) (kv.CommitResult, error) {
		return kv.CommitResult{FailedChecks: []int{0}}, nil
	}}
	id := r.reign(d, f, func(string) { refused.Add(1) })
	tooLarge := putting("k", string(make([]byte, kv.MaxValueSize+1)))
	one := func(member []byte) []byte { return wire.EncodeCommits([][]byte{member}) }
	for name, data := range map[string][]byte{
		"empty": nil, "newer": {wire.FormatVersion + 1, 1}, "no requests": wire.EncodeCommits(nil), "cut off": one([]byte{1, 2, 3}),
		"too large a value": one((&wire.CommitRequest{ID: randomID(), Try: 1, Atomic: tooLarge}).Encode()),
	} {
		reply, err := d.asker.ask(t.Context(), wire.CommitSubject, data)
		var members [][]byte
		if err == nil {
			members, err = wire.DecodeCommitReplies(reply, 1)
		}
		if err == nil {
			_, err = wire.DecodeCommitReply(members[0])
		}
		if !errors.Is(err, kv.ErrInvalid) {
			t.Errorf("%s: %v; want ErrInvalid", name, err)
		}
	}
	if err := r.connect().Publish(wire.HeartbeatSubject("default"), []byte("noise")); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Commit(t.Context(), putting("k", "v")); err != nil {
		t.Errorf("after that, a commit to %v: %v", id, err)
	}
	if refused.Load() != 5 {
		t.Errorf("%d messages were counted as refused, want 5", refused.Load())
	}
}

// Every process says what it is, and where it is in each log.
func TestStatus(t *testing.T) {
	r := newRig(t)
	d := r.reader()
	r.writers()
	result, err := d.Commit(t.Context(), putting("k", "v"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := AskStatus(t.Context(), r.connect(), 500*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	at, epoch := result.Versionstamp.Position(), d.projection.Chain().Epoch
	want := []Status{
		{Process: "r", Role: "reader", Databases: []DatabaseStatus{{Name: "default", Epoch: epoch, Position: at}}},
		{Process: "w", Role: "writer", Databases: []DatabaseStatus{{Name: "default", Epoch: epoch, Position: at, Leading: true}}},
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("got (-), want (+):\n%s", diff)
	}
}

// What somebody publishes past the fence stops nobody: writers and readers pass over it, and count it.
func TestForeignMessages(t *testing.T) {
	r := newRig(t)
	r.writers()
	databases := r.databases()
	d, err := databases.find(t.Context(), "default", true)
	if err != nil {
		t.Fatal(err)
	}
	conn := r.connect()
	for i, subject := range []string{"millpond.default.log.commits", "millpond.default.log.epoch"} {
		commit := func(value string) {
			t.Helper()
			if result, err := d.Commit(t.Context(), putting("k", value)); err != nil || !result.OK() {
				t.Fatalf("commit: %+v, %v", result, err)
			}
		}
		commit("before")
		if _, err := conn.Request(subject, []byte("noise"), 5*time.Second); err != nil {
			t.Fatal(err)
		}
		commit("after")
		if got := r.counted("millpond_foreign_messages_total"); got != float64(i+1) {
			t.Errorf("the reader has counted %v foreign messages, want %d", got, i+1)
		}
		entries, err := d.Read(t.Context(), []kv.Range{{Start: "", End: "\xff", Limit: 10}})
		if err != nil || len(entries[0]) != 1 || string(entries[0][0].Value.Data) != "after" {
			t.Errorf("read %v, %v; want what was committed after the message", entries, err)
		}
	}
}

// counted returns what a counter of the reader that was made last says.
func (r *rig) counted(name string) float64 {
	r.t.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			m := f.GetMetric()[0]
			return m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return 0
}
