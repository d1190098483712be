package service

import (
	"errors"
	"testing"
	"time"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/service/wire"
	"github.com/nats-io/nats.go"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// served is a reader that serves over NATS, and a connection to ask it on.
type served struct {
	*rig
	databases *Databases
	d         *Database
	conn      *nats.Conn
}

func newServed(t *testing.T) *served {
	t.Helper()
	r := newRig(t)
	databases := r.databases()
	if err := errors.Join(databases.OpenAll(t.Context(), "default"), databases.Serve()); err != nil {
		t.Fatal(err)
	}
	d, err := databases.find(t.Context(), "default", false)
	if err != nil {
		t.Fatal(err)
	}
	return &served{rig: r, databases: databases, d: d, conn: r.connect()}
}

func (s *served) request(subject string, data []byte) []byte {
	s.t.Helper()
	m, err := s.conn.Request(subject, data, 10*time.Second)
	if err != nil {
		s.t.Fatal(err)
	}
	return m.Data
}

// read returns the answer to one read of a key, which is small enough for a single part.
func (s *served) read(reads wire.Reads) (kv.Position, [][]kv.Entry, error) {
	s.t.Helper()
	key := kv.Key{"k"}.MustEncode()
	reads.Requests = [][]byte{wire.EncodeRanges([]kv.Range{{Start: key, End: key + "\x00", Limit: 1}})}
	body, whole, err := new(wire.Parts).Add(s.request(wire.ReadSubject("default"), reads.Encode()))
	if err != nil || !whole {
		s.t.Fatalf("the answer is not whole: %v", err)
	}
	position, members, err := wire.DecodeReadReplies(body, 1)
	if err != nil {
		return position, nil, err
	}
	ranges, err := wire.DecodeReadReply(members[0], 1)
	return position, ranges, err
}

// An eventual read is answered without a leader, and waits for the position that its client has seen; a strong one says that
// it is safe to try again.
func TestServedReads(t *testing.T) {
	s := newServed(t)
	if position, ranges, err := s.read(wire.Reads{Mode: wire.ReadEventual}); err != nil || position != 0 || len(ranges[0]) != 0 {
		t.Errorf("of an empty log: %v, %v, %v", position, ranges, err)
	}
	if _, _, err := s.read(wire.Reads{}); !kv.SafeToRetry(err) {
		t.Errorf("a strong read without a leader: %v; want an error that says to try again", err)
	}
	if _, _, err := s.read(wire.Reads{Mode: wire.ReadEventual, Least: 1_000_000}); !kv.SafeToRetry(err) {
		t.Errorf("a position that does not come: %v; want an error that says to try again", err)
	}
	s.writers()
	result, err := s.d.Commit(t.Context(), putting("k", "v"))
	if err != nil {
		t.Fatal(err)
	}
	for _, reads := range []wire.Reads{{}, {Mode: wire.ReadEventual}, {Mode: wire.ReadIndexed, Leader: s.d.projection.Chain().Writer}} {
		reads.Least = result.Versionstamp.Position()
		position, ranges, err := s.read(reads)
		if err != nil || position < result.Versionstamp.Position() || len(ranges[0]) != 1 || ranges[0][0].Versionstamp != result.Versionstamp {
			t.Errorf("mode %v: %v, %v, %v; want what was committed at %v", reads.Mode, position, ranges, err, result.Versionstamp)
		}
	}
}

// Who has an index of its own gets what has expired since the last record too; but nothing if its leader is not the one that the
// reader's log names, as when the reader still has a log that was replaced.
func TestServedIndexedReads(t *testing.T) {
	s := newServed(t)
	s.writers()
	if _, err := s.d.Commit(t.Context(), putting("other", "v")); err != nil { // there is a leader
		t.Fatal(err)
	}
	const soon = 200 * time.Millisecond // the log says that it has expired a second later
	expiring := putting("k", "v")
	expiring.Mutations[0].ExpireAt = kv.MillisOf(time.Now().Add(soon))
	if _, err := s.d.Commit(t.Context(), expiring); err != nil {
		t.Fatal(err)
	}
	leader := s.d.projection.Chain().Writer
	for deadline := time.Now().Add(10 * time.Second); ; {
		if _, ranges, err := s.read(wire.Reads{Mode: wire.ReadEventual}); err == nil && len(ranges[0]) == 0 {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("the entry does not expire: %v, %v", ranges, err)
		}
	}
	if _, ranges, err := s.read(wire.Reads{Mode: wire.ReadIndexed, Leader: leader}); err != nil || len(ranges[0]) != 1 {
		t.Errorf("with an index of its own: %v, %v; want the entry, which the log still has", ranges, err)
	}
	leader[0]++
	if _, _, err := s.read(wire.Reads{Mode: wire.ReadIndexed, Leader: leader}); !kv.SafeToRetry(err) {
		t.Errorf("with an index of another leader: %v; want ErrUnavailable", err)
	}
}

// What was committed under an id is answered as it was then, and not committed again.
func TestCommitOnce(t *testing.T) {
	s := newServed(t)
	s.writers()
	id := ulid.MustNew(1, nil)
	first, err := s.d.CommitOnce(t.Context(), id, putting("k", "once"))
	if err != nil {
		t.Fatal(err)
	}
	later, err := s.d.Commit(t.Context(), putting("k", "later"))
	if err != nil {
		t.Fatal(err)
	}
	if again, err := s.d.CommitOnce(t.Context(), id, putting("k", "once")); err != nil || again.Versionstamp != first.Versionstamp {
		t.Errorf("again: %v, %v; want %v", again, err, first)
	}
	if _, ranges, err := s.read(wire.Reads{}); err != nil || len(ranges[0]) != 1 || ranges[0][0].Versionstamp != later.Versionstamp {
		t.Errorf("the key is %v, %v; want what was set later", ranges, err)
	}
}

// A replica whose log is damaged answers nothing, not even eventual reads or watches.
func TestDamagedReplicaRefuses(t *testing.T) {
	s := newServed(t)
	s.d.broke(kv.Errorf(kv.ErrUnavailable, "damaged"))
	for mode := wire.ReadStrong; mode <= wire.ReadIndexed; mode++ {
		if _, _, err := s.read(wire.Reads{Mode: mode}); !kv.SafeToRetry(err) {
			t.Errorf("mode %v: %v; want ErrUnavailable", mode, err)
		}
	}
	watch := wire.Watch{Keys: []kv.EncodedKey{"k"}}
	if _, err := wire.DecodeFrame(s.request(wire.WatchSubject("default"), watch.Encode()), 1); !kv.SafeToRetry(err) {
		t.Errorf("watch: %v; want ErrUnavailable", err)
	}
	if _, err := wire.DecodeFindReply(s.request(wire.FindSubject("default"), wire.EncodeFind())); !kv.SafeToRetry(err) {
		t.Errorf("find: %v; want ErrUnavailable", err)
	}
}

// What does not decode, or asks for too much, is refused with a sentence and counted; a malformed read does not harm those that
// came with it.
func TestMalformedMessagesToReaders(t *testing.T) {
	s := newServed(t)
	body := func(data []byte) []byte {
		t.Helper()
		body, whole, err := new(wire.Parts).Add(s.request(wire.ReadSubject("default"), data))
		if err != nil || !whole {
			t.Fatalf("the answer is not whole: %v", err)
		}
		return body
	}
	all := []kv.Range{{Start: "", End: "\xff", Limit: kv.MaxReadEntries}}
	one := wire.EncodeRanges(all)
	tooMuch := wire.Reads{Mode: wire.ReadEventual, Requests: [][]byte{one, one}}
	for name, data := range map[string][]byte{"empty": nil, "noise": []byte("noise"), "too much": tooMuch.Encode()} {
		if _, _, err := wire.DecodeReadReplies(body(data), 1); !errors.Is(err, kv.ErrInvalid) {
			t.Errorf("%s: %v; want ErrInvalid", name, err)
		}
	}
	mixed := wire.Reads{Mode: wire.ReadEventual, Requests: [][]byte{one, {1, 99}, wire.EncodeRanges([]kv.Range{{Limit: 0}})}}
	_, members, err := wire.DecodeReadReplies(body(mixed.Encode()), 3)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []error{nil, kv.ErrInvalid, kv.ErrInvalid} {
		if _, err := wire.DecodeReadReply(members[i], 1); !errors.Is(err, want) {
			t.Errorf("read %d: %v; want %v", i, err, want)
		}
	}
	for _, subject := range []string{wire.WatchSubject("default"), wire.FindSubject("default")} {
		s.request(subject, []byte("noise"))
	}
	if _, err := wire.DecodeFindReply(s.request(wire.FindSubject("UPPER"), wire.EncodeFind())); !errors.Is(err, kv.ErrNoDatabase) {
		t.Errorf("a name that cannot be: %v; want ErrNoDatabase", err)
	}
	if n := testutil.ToFloat64(s.databases.refused); n != 6 {
		t.Errorf("%v messages were counted as refused, want 6", n)
	}
}

// watching opens a watch and returns its first frame and the subject on which the reader wants to hear from the client.
func (s *served) watching(inbox string) (first wire.Frame, answer string, frames *nats.Subscription) {
	s.t.Helper()
	frames, err := s.conn.SubscribeSync(inbox)
	if err != nil {
		s.t.Fatal(err)
	}
	watch := wire.Watch{Keys: []kv.EncodedKey{kv.Key{"k"}.MustEncode()}}
	if err := s.conn.PublishRequest(wire.WatchSubject("default"), inbox, watch.Encode()); err != nil {
		s.t.Fatal(err)
	}
	first, answer = s.frame(frames)
	return first, answer, frames
}

func (s *served) frame(frames *nats.Subscription) (wire.Frame, string) {
	s.t.Helper()
	m, err := frames.NextMsg(10 * time.Second)
	if err != nil {
		s.t.Fatal(err)
	}
	f, err := wire.DecodeFrame(m.Data, 1)
	if err != nil {
		s.t.Fatal(err)
	}
	return f, m.Reply
}

func (s *served) watches() int {
	ws := s.databases.served.watches
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return len(ws.byKey)
}

func (s *served) awaitNoWatch() {
	s.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); s.watches() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatal("the reader still serves a watch whose client is gone")
		}
	}
}

// A frame is sent until it is acknowledged, and then the next: what changed meanwhile is shown as one.
func TestServedWatch(t *testing.T) {
	s := newServed(t)
	s.writers()
	first, answer, frames := s.watching(s.conn.NewInbox())
	again, _ := s.frame(frames)
	if first.Number != 1 || again.Number != 1 {
		t.Errorf("without an acknowledgement: frames %d and %d, want 1 twice", first.Number, again.Number)
	}
	var last kv.CommitResult
	for range 3 {
		var err error
		if last, err = s.d.Commit(t.Context(), putting("k", "v")); err != nil {
			t.Fatal(err)
		}
	}
	ack := wire.Watching{Number: 1}
	if err := s.conn.Publish(answer, ack.Encode()); err != nil {
		t.Fatal(err)
	}
	next := again
	for next.Number == 1 { // it may have been sent once more meanwhile
		next, _ = s.frame(frames)
	}
	if next.Number != 2 || next.Entries[0].Versionstamp != last.Versionstamp {
		t.Errorf("got frame %d with %v; want 2 with the last commit, %v", next.Number, next.Entries[0], last.Versionstamp)
	}
	leave := wire.Watching{Leaves: true}
	if err := s.conn.Publish(answer, leave.Encode()); err != nil {
		t.Fatal(err)
	}
	s.awaitNoWatch()
}

// A client that is gone without a word is noticed: nobody listens any more, or nobody answers.
func TestServedWatchOfALostClient(t *testing.T) {
	s := newServed(t)
	_, _, frames := s.watching(s.conn.NewInbox())
	if err := frames.Unsubscribe(); err != nil {
		t.Fatal(err)
	}
	s.awaitNoWatch()
	s.watching(s.conn.NewInbox()) // and never answers
	s.awaitNoWatch()
}
