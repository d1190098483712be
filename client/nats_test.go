package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kv/kvtest"
	"github.com/millpondkv/millpond/service"
	"github.com/millpondkv/millpond/service/wire"
)

// natsRig is a NATS server, with writers and readers in this process.
type natsRig struct {
	t      *testing.T
	url    string
	now    atomic.Int64 // the clock of writers and readers; 0: the real one
	quorum bool         // writers answer no read index by the lease
}

func newNATSRig(t *testing.T) *natsRig {
	t.Helper()
	server, err := natsserver.NewServer(&natsserver.Options{
		Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), SyncAlways: true, NoLog: true, NoSigs: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	server.Start()
	t.Cleanup(func() { server.Shutdown(); server.WaitForShutdown() })
	if !server.ReadyForConnections(10 * time.Second) {
		t.Fatal("the NATS server did not start")
	}
	return &natsRig{t: t, url: server.ClientURL()}
}

func (r *natsRig) SetNow(now kv.Millis) { r.now.Store(int64(now)) }

func (r *natsRig) clock() kv.Millis {
	if now := r.now.Load(); now != 0 {
		return kv.Millis(now)
	}
	return kv.MillisOf(time.Now())
}

func (r *natsRig) dial() *nats.Conn {
	r.t.Helper()
	conn, err := nats.Connect(r.url)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(conn.Close)
	return conn
}

func randomID() ulid.ULID { return ulid.MustNew(ulid.Now(), rand.Reader) }

var quiet = slog.New(slog.DiscardHandler)

// writer runs a writer until stop is called.
func (r *natsRig) writer() (stop func()) {
	r.t.Helper()
	return r.writerOn(r.dial())
}

func (r *natsRig) writerOn(conn *nats.Conn) (stop func()) {
	r.t.Helper()
	w, err := service.NewWriters(conn, service.WritersConfig{
		AllowUnsafe: true, Lease: time.Second, QuorumReads: r.quorum, Now: r.clock, NewID: randomID, Process: "w", Logger: quiet, Registry: prometheus.NewRegistry(),
	})
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
	return stop
}

// reader runs a reader until stop is called.
func (r *natsRig) reader() (stop func()) {
	r.t.Helper()
	return r.readerOn(r.dial())
}

// mortalReader runs a reader that is lost, without a word, when lose is called.
func (r *natsRig) mortalReader() (lose func()) {
	r.t.Helper()
	conn := r.dial()
	r.readerOn(conn)
	return conn.Close
}

func (r *natsRig) readerOn(conn *nats.Conn) (stop func()) {
	r.t.Helper()
	databases, err := service.OpenDatabases(conn, service.Config{
		Create: true, AllowUnsafe: true, Replicas: 1, Process: "r", Now: r.clock, NewID: randomID, Logger: quiet, Registry: prometheus.NewRegistry(),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	if err := errors.Join(databases.OpenAll(r.t.Context(), "default"), databases.Serve()); err != nil {
		r.t.Fatal(err)
	}
	stop = sync.OnceFunc(func() { databases.Close() })
	r.t.Cleanup(stop)
	return stop
}

func (r *natsRig) open(opts ...Option) *DB {
	r.t.Helper()
	db, err := Open(r.t.Context(), r.url, opts...)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { db.Close() })
	return db
}

// startNATS returns a database in a cluster of a writer and two readers.
func startNATS(t *testing.T) (*DB, *natsRig) {
	r := newNATSRig(t)
	return r.start(), r
}

func (r *natsRig) start() *DB {
	r.t.Helper()
	r.reader()
	r.reader()
	r.writer()
	return r.open()
}

func newRules(t *testing.T) underRules {
	r := newNATSRig(t)
	r.SetNow(1) // before there is an epoch, since log time never goes back
	return underRules{r.start().transport, r}
}

// Deno KV's rules hold through NATS, writers and readers, and all of it does what the model does.
func TestNATSRules(t *testing.T)  { kvtest.Rules(t, newRules(t)) }
func TestNATSRandom(t *testing.T) { kvtest.Random(t, newRules(t), 1, 200) }

func mustSet(t *testing.T, db *DB, key kv.Key, value string) kv.Versionstamp {
	t.Helper()
	v, err := db.Set(t.Context(), key, Bytes([]byte(value)))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// A session sees what it has written, however eventual its reads are and whichever reader answers.
func TestNATSSession(t *testing.T) {
	db, _ := startNATS(t)
	eventual := db.WithConsistency(Eventual)
	for i := range 100 {
		want := mustSet(t, db, kv.Key{"a"}, fmt.Sprint(i))
		for range 3 {
			got, err := eventual.Get(t.Context(), kv.Key{"a"})
			if err != nil || got.Versionstamp != want {
				t.Fatalf("after commit %v: got %v, %v", want, got.Versionstamp, err)
			}
		}
	}
}

// What many goroutines ask at once is answered to each: its own answer, once, whatever happens to those that go in one message
// with it.
func TestNATSManyCallers(t *testing.T) {
	db, _ := startNATS(t)
	const callers, rounds = 64, 20
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			key, last := kv.Key{"caller", c}, kv.Versionstamp{}
			for i := range rounds {
				condition := Absent(key)
				if i > 0 {
					condition = At(key, last)
				}
				v, err := db.Atomic().Check(condition).Set(key, Bytes([]byte(fmt.Sprint(c, i)))).Sum(kv.Key{"total"}, 1).Commit(t.Context())
				if err != nil {
					t.Errorf("caller %d, round %d: %v", c, i, err)
					return
				}
				last = v
				if _, err := db.Atomic().Check(Absent(key)).Delete(key).Commit(t.Context()); !errors.Is(err, ErrCheckFailed) {
					t.Errorf("caller %d: a check that does not hold: %v", c, err)
				}
				if _, err := db.Atomic().Sum(key, 1).Commit(t.Context()); !errors.Is(err, kv.ErrInvalid) {
					t.Errorf("caller %d: a sum of bytes: %v", c, err)
				}
				got, err := db.WithConsistency(Consistency(i%2)).Get(t.Context(), key)
				if err != nil || got.Versionstamp != last || string(got.Value.Data) != fmt.Sprint(c, i) {
					t.Errorf("caller %d, round %d: got %v, %v", c, i, got, err)
				}
			}
		})
	}
	wg.Wait()
	if total, err := db.Get(t.Context(), kv.Key{"total"}); err != nil || !bytes.Equal(total.Value.Data, U64(callers*rounds).Data) {
		t.Errorf("total: %v, %v; want %d", total.Value, err, callers*rounds)
	}
}

// An answer that is larger than a message comes whole.
func TestNATSLargeAnswer(t *testing.T) {
	db, _ := startNATS(t)
	const entries = 60
	for i := range entries {
		mustSet(t, db, kv.Key{"large", i}, string(bytes.Repeat([]byte{byte(i)}, kv.MaxValueSize)))
	}
	n := 0
	for e, err := range db.List(t.Context(), Selector{Prefix: kv.Key{"large"}}) {
		if err != nil {
			t.Fatal(err)
		}
		if want := bytes.Repeat([]byte{byte(n)}, kv.MaxValueSize); !bytes.Equal(e.Value.Data, want) {
			t.Errorf("entry %d is not what was written", n)
		}
		n++
	}
	if n != entries {
		t.Errorf("%d entries, want %d", n, entries)
	}
}

// When a part of an answer is lost, the whole is asked for again.
func TestNATSLostPart(t *testing.T) {
	db, r := startNATS(t)
	want := mustSet(t, db, kv.Key{"a"}, "x")
	conn, asked := r.dial(), atomic.Int64{}
	body := wire.EncodeReadReplies(want.Position(), []wire.ReadReply{{Ranges: [][]kv.Entry{{}}}})
	// Another one of the queue group, which loses the first of two parts.
	if _, err := conn.QueueSubscribe(wire.ReadSubject("default"), wire.Readers, func(m *nats.Msg) {
		asked.Add(1)
		parts := wire.Split(append(body, make([]byte, wire.MinPayload)...), wire.MinPayload)
		m.Respond(parts[1])
	}); err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	for asked.Load() == 0 {
		if got, err := db.Get(t.Context(), kv.Key{"a"}); err != nil || got.Versionstamp != want {
			t.Fatalf("got %v, %v", got, err)
		}
	}
}

// Without a leader, commits and strong reads fail when the time for tries ends, and say that it is safe to try again; eventual
// reads are answered.
func TestNATSNoLeader(t *testing.T) {
	r := newNATSRig(t)
	r.reader()
	stop := r.writer()
	want := mustSet(t, r.open(), kv.Key{"a"}, "x")
	db := r.open(WithRetryTime(100 * time.Millisecond))
	stop()
	subject := wire.CommitSubject("default", db.transport.(*natsTransport).leader.current().writer)
	for conn := r.dial(); ; { // until NATS knows that nobody listens there
		if _, err := conn.Request(subject, nil, time.Second); errors.Is(err, nats.ErrNoResponders) {
			break
		}
	}
	if _, err := db.Set(t.Context(), kv.Key{"a"}, Bytes(nil)); !kv.SafeToRetry(err) {
		t.Errorf("commit: %v; want an error that says to try again", err)
	}
	if _, err := db.Get(t.Context(), kv.Key{"a"}); !kv.SafeToRetry(err) {
		t.Errorf("strong read: %v; want an error that says to try again", err)
	}
	if got, err := db.WithConsistency(Eventual).Get(t.Context(), kv.Key{"a"}); err != nil || got.Versionstamp != want {
		t.Errorf("eventual read: %v, %v", got, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := db.Get(ctx, kv.Key{"a"}); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
}

// When leadership is handed over, commits go on.
func TestNATSHandingOver(t *testing.T) {
	r := newNATSRig(t)
	r.reader()
	stop := r.writer()
	db := r.open()
	for i := range 3 {
		mustSet(t, db, kv.Key{"a"}, fmt.Sprint(i))
		next := r.writer()
		stop()
		stop = next
	}
	mustSet(t, db, kv.Key{"a"}, "last")
}

// lead lets a fake lead, in the eyes of db, that answers the first try of each message as it says; nil: not at all.
func (r *natsRig) lead(db *DB, answer func(*wire.CommitRequest) []byte) {
	r.t.Helper()
	conn, leader := r.dial(), randomID()
	if _, err := conn.Subscribe(wire.CommitSubject("default", leader), func(m *nats.Msg) {
		members, err := wire.DecodeCommits(m.Data)
		if err != nil {
			r.t.Error(err)
			return
		}
		request, err := wire.DecodeCommit(members[0])
		if err != nil {
			r.t.Error(err)
			return
		}
		if reply := answer(request); reply != nil {
			m.Respond(wire.EncodeCommitReplies([][]byte{reply}))
		}
	}); err != nil {
		r.t.Fatal(err)
	}
	beat := wire.Heartbeat{Writer: leader, Epoch: 1 << 40, Position: 1}
	for deadline := time.Now().Add(10 * time.Second); db.transport.(*natsTransport).leader.current().writer != leader; {
		if time.Now().After(deadline) {
			r.t.Fatal("the heartbeat has not come")
		}
		if err := errors.Join(conn.Publish(wire.HeartbeatSubject("default"), beat.Encode()), conn.Flush()); err != nil {
			r.t.Fatal(err)
		}
	}
}

// A leader that does not know is asked again, with the same id; if it never does, the outcome is unknown.
func TestNATSUnknownOutcome(t *testing.T) {
	r := newNATSRig(t)
	r.reader()
	db := r.open(WithRetryTime(200 * time.Millisecond))
	ids := make(chan ulid.ULID, 100)
	r.lead(db, func(request *wire.CommitRequest) []byte {
		ids <- request.ID
		return wire.EncodeCommitReply(kv.CommitResult{}, kv.Errorf(kv.ErrUnknownOutcome, "who knows"))
	})
	if _, err := db.Set(t.Context(), kv.Key{"a"}, Bytes(nil)); !errors.Is(err, kv.ErrUnknownOutcome) {
		t.Errorf("got %v, want an unknown outcome", err)
	}
	if first, second := <-ids, <-ids; first != second {
		t.Errorf("the tries have the ids %v and %v", first, second)
	}
}

// What is lost on the way there, and an answer that is lost on the way back: either way the atomic is committed once, and its own
// versionstamp is answered.
func TestNATSWriteOnce(t *testing.T) {
	for name, reaches := range map[string]bool{"request lost": false, "answer lost": true} {
		t.Run(name, func(t *testing.T) {
			r := newNATSRig(t)
			r.reader()
			r.writer()
			db, conn := r.open(), r.dial()
			mustSet(t, db, kv.Key{"a"}, "x") // somebody leads
			leads := db.transport.(*natsTransport).leader.current().writer
			r.lead(db, func(request *wire.CommitRequest) []byte {
				var reply []byte
				if request.Try > 1 || reaches {
					m, err := conn.Request(wire.CommitSubject("default", leads), wire.EncodeCommits([][]byte{request.Encode()}), 10*time.Second)
					if err != nil {
						t.Error(err)
						return nil
					}
					members, err := wire.DecodeCommitReplies(m.Data, 1)
					if err != nil {
						t.Error(err)
						return nil
					}
					reply = members[0]
				}
				if request.Try > 1 {
					return reply
				}
				if err := db.transport.(*natsTransport).conn.ForceReconnect(); err != nil {
					t.Error(err)
				}
				return nil
			})
			v, err := db.Atomic().Sum(kv.Key{"n"}, 1).Commit(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if n, err := db.Get(t.Context(), kv.Key{"n"}); err != nil || n.Versionstamp != v || !bytes.Equal(n.Value.Data, U64(1).Data) {
				t.Errorf("got %v, %v; want 1 at %v", n, err, v)
			}
		})
	}
}

// When the connection is lost with an answer, the same request is sent again as soon as there is another connection.
func TestNATSLostConnection(t *testing.T) {
	r := newNATSRig(t)
	r.reader()
	db := r.open(WithRetryTime(tryTimeout / 2)) // nobody waits for the answer that is lost
	want, tries := kv.NewVersionstamp(7, 0), make(chan *wire.CommitRequest, 10)
	r.lead(db, func(request *wire.CommitRequest) []byte {
		tries <- request
		if request.Try > 1 {
			return wire.EncodeCommitReply(kv.CommitResult{Versionstamp: want}, nil)
		}
		if err := db.transport.(*natsTransport).conn.ForceReconnect(); err != nil {
			t.Error(err)
		}
		return nil
	})
	if got, err := db.Set(t.Context(), kv.Key{"a"}, Bytes(nil)); err != nil || got != want {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	if first, second := <-tries, <-tries; first.ID != second.ID {
		t.Errorf("the tries have the ids %v and %v", first.ID, second.ID)
	}
}

// next returns what the watch shows next.
func next(t *testing.T, shown <-chan string) string {
	t.Helper()
	select {
	case value := <-shown:
		return value
	case <-time.After(20 * time.Second):
		t.Fatal("the watch shows nothing")
		return ""
	}
}

// watchValue sends the values of a key to the channel that it returns, until the test ends or stop is called.
func watchValue(t *testing.T, db *DB, key kv.Key) (shown <-chan string, stop func()) {
	values, ended := make(chan string, 100), make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer close(ended)
		for entries, err := range db.Watch(ctx, key) {
			if err != nil {
				if ctx.Err() == nil {
					t.Error(err)
				}
				return
			}
			values <- string(entries[0].Value.Data)
		}
	}()
	stop = sync.OnceFunc(func() { cancel(); <-ended })
	t.Cleanup(stop)
	return values, stop
}

// A watch shows what is there and what changes, and goes on at another reader when its own one stops.
func TestNATSWatch(t *testing.T) {
	r := newNATSRig(t)
	stopReader := r.reader()
	r.writer()
	db := r.open()
	mustSet(t, db, kv.Key{"a"}, "0")
	shown, stop := watchValue(t, db, kv.Key{"a"})
	if got := next(t, shown); got != "0" {
		t.Errorf("first %s, want 0", got)
	}
	for i := 1; i < 4; i++ {
		want := fmt.Sprint(i)
		mustSet(t, db, kv.Key{"a"}, want)
		for next(t, shown) != want {
		}
		r.reader()
		stopReader()
		stopReader = func() {} // the first only
	}
	stop()
}

// A client asks another reader when the one that served its watch says that it stops, or is silent for too long.
func TestNATSWatchSilence(t *testing.T) {
	r := newNATSRig(t)
	stop := r.reader() // to be found, and no more
	db := r.open()
	stop()
	db.transport.(*natsTransport).silence = 50 * time.Millisecond
	watches := make(chan *nats.Msg, 100)
	conn := r.dial()
	if _, err := conn.QueueSubscribe(wire.WatchSubject("default"), wire.Readers, func(m *nats.Msg) { watches <- m }); err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	shown, _ := watchValue(t, db, kv.Key{"a"})
	answer := func(data []byte) {
		t.Helper()
		if err := (<-watches).Respond(data); err != nil {
			t.Fatal(err)
		}
	}
	for i, value := range []string{"x", "y"} {
		answer(wire.EncodeWatchError(kv.Errorf(kv.ErrUnavailable, "stopping")))
		entry := kv.Entry{Value: Bytes([]byte(value)), Versionstamp: kv.NewVersionstamp(kv.Position(i+1), 0)}
		frame := wire.Frame{Number: 1, Position: kv.Position(i + 1), Entries: []kv.Entry{entry}}
		answer(frame.Encode()) // and nothing after it
		if got := next(t, shown); got != value {
			t.Errorf("got %s, want %s", got, value)
		}
	}
}

// awaitFeeder returns once a message is in the queue of the database.
func (r *natsRig) awaitFeeder(db *DB) {
	r.t.Helper()
	if _, err := db.Atomic().Enqueue("x", EnqueueOptions{}).Commit(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	js, err := jetstream.New(r.dial())
	if err != nil {
		r.t.Fatal(err)
	}
	const cursorAndMessage = 2
	for deadline := time.Now().Add(30 * time.Second); ; <-time.After(10 * time.Millisecond) {
		stream, err := js.Stream(r.t.Context(), "millpond-queue_default")
		if err == nil && stream.CachedInfo().State.Msgs == cursorAndMessage {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("the message does not come into the queue: %v", err)
		}
	}
}

// After Close nothing is left of a database that was read, written and watched.
func TestNATSCloseLeavesNothing(t *testing.T) {
	other, r := startNATS(t)
	r.awaitFeeder(other) // once a writer leads and feeds the queue, it starts nothing more
	before := goleak.IgnoreCurrent()
	db, err := Open(t.Context(), r.url)
	if err != nil {
		t.Fatal(err)
	}
	mustSet(t, db, kv.Key{"a"}, "x")
	shown, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		for entries, err := range db.Watch(context.Background(), kv.Key{"a"}) {
			if err != nil {
				ended <- err
				return
			}
			shown <- string(entries[0].Value.Data)
		}
	}()
	next(t, shown) // the reader is told when a watch that it serves ends
	if _, err := db.Get(t.Context(), kv.Key{"a"}); err != nil {
		t.Error(err)
	}
	db.Close()
	if err := <-ended; !errors.Is(err, ErrClosed) {
		t.Errorf("the watch ended with %v, want ErrClosed", err)
	}
	goleak.VerifyNone(t, before)
}

// What a reader cannot read is refused and counted, and each side says what is wrong with a URL or a name.
func TestNATSOpenFaults(t *testing.T) {
	r := newNATSRig(t)
	for url, kind := range map[string]error{
		"nats://127.0.0.1:1":      kv.ErrUnavailable,
		"nats://127.0.0.1,/x":     kv.ErrInvalid,
		"nats:///x":               kv.ErrInvalid,
		r.url + "/UPPER":          kv.ErrInvalid,
		r.url + "/a.b":            kv.ErrInvalid,
		r.url + "/no-reader-here": kv.ErrUnavailable,
	} {
		if _, err := Open(t.Context(), url); !errors.Is(err, kind) {
			t.Errorf("%s: %v; want %v", url, err, kind)
		}
	}
}

// The user and the scheme hold for all servers of a URL.
func TestParseNATS(t *testing.T) {
	for url, want := range map[string][]string{
		"nats://a":                    {"nats://a", "default"},
		"nats://a:4222,b/orders":      {"nats://a:4222,nats://b", "orders"},
		"tls://me:s@cret@a,b:1/":      {"tls://me:s@cret@a,tls://me:s@cret@b:1", "default"},
		"nats://[::1]:4222,[::2]/x_1": {"nats://[::1]:4222,nats://[::2]", "x_1"},
	} {
		servers, database, err := parseNATS(url)
		if diff := cmp.Diff([]string{servers, database}, want); diff != "" || err != nil {
			t.Errorf("%s: %v, got (-), want (+):\n%s", url, err, diff)
		}
	}
}

// A heartbeat of an earlier epoch, which may be late or forged, changes nothing.
func TestNATSLeader(t *testing.T) {
	now := time.Now()
	l := newLeader(func() time.Time { return now })
	a, b := randomID(), randomID()
	l.heard(a, 5, 10, "")
	first := l.current()
	l.heard(b, 4, 100, "")
	if got := l.current(); got.writer != a || got.position != 10 {
		t.Errorf("after a heartbeat of an earlier epoch: %v", got)
	}
	l.heard(b, 11, 12, "")
	if got := l.current(); got.writer != b || first.over.Err() == nil {
		t.Errorf("after a heartbeat of a later epoch: %v; the first reign is over: %v", got, first.over.Err())
	}
	now = now.Add(leaderForgotten + 1)
	if got := l.current(); !got.writer.IsZero() {
		t.Errorf("after a long silence there is still a leader: %v", got)
	}
}
