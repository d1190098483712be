package checkpoints_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/events/natslog"
	"github.com/millpondkv/millpond/internal/checkpoints"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
	"github.com/millpondkv/millpond/queue"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/oklog/ulid/v2"
)

// rig is a database with a leader that takes checkpoints, in a log time that the test moves.
type rig struct {
	*testing.T
	js     jetstream.JetStream
	log    *natslog.Log
	state  *projection.Projection
	now    kv.Millis
	keeper *checkpoints.Keeper
	failed int
	stale  bool // a new epoch is asked for
}

const history = 800 * time.Millisecond

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{T: t, js: startNATS(t), now: 1_000_000, state: projection.New(projection.Options{})}
	t.Cleanup(func() { r.state.Close() })
	var err error
	if r.log, err = natslog.Create(t.Context(), r.js, "d", natslog.Config{}); err != nil {
		t.Fatal(err)
	}
	r.add(&events.Record{Kind: events.KindEpoch, Writer: [16]byte{1}})
	r.keeper = r.newKeeper()
	return r
}

func (r *rig) newKeeper() *checkpoints.Keeper {
	return checkpoints.NewKeeper(checkpoints.KeeperConfig{
		Log: r.log, Projection: r.state, History: history, Bytes: 1, Now: func() kv.Millis { return r.now }, Metrics: r,
		Logger: slog.New(slog.NewTextHandler(r.Output(), nil)),
	})
}

func (r *rig) Kept(checkpoints.Info, uint64, kv.Position) {}
func (r *rig) Failed()                                    { r.failed++ }

func (r *rig) add(record *events.Record) {
	r.Helper()
	chain := r.state.Chain()
	record.Epoch, record.Previous, record.Time = chain.Epoch, chain.Hash, r.now
	s, data := events.Seal(chain.Applied+1, record)
	if _, err := r.log.Append(r.Context(), events.Append{Kind: record.Kind, Data: data, Last: chain.Applied, Epoch: chain.Epoch}); err != nil {
		r.Fatal(err)
	}
	if err := r.state.Apply(s); err != nil {
		r.Fatal(err)
	}
}

// set overwrites one key, and others now and then.
func (r *rig) set() {
	r.Helper()
	value := kv.Value{Encoding: kv.EncodingBytes, Data: []byte(strings.Repeat("value", 40))}
	key := kv.Key{int(r.state.Chain().Applied % 7)}.MustEncode()
	r.add(&events.Record{Kind: events.KindCommits, Commits: []events.Commit{{Effects: []events.Effect{{Key: key, Value: value}}}}})
}

// feed moves the queue's cursor to the end of the log, with a message so that it does so at once.
func (r *rig) feed() {
	r.Helper()
	message := kv.Enqueue{Payload: []byte("message"), Deadline: r.now}
	r.add(&events.Record{Kind: events.KindCommits, Commits: []events.Commit{{ID: ulid.Make(), Enqueues: []kv.Enqueue{message}}}})
	ctx, cancel := context.WithTimeout(r.Context(), time.Minute)
	defer cancel()
	q := queue.New(queue.Config{
		Conn: r.js.Conn(), JS: r.js, Database: "d", ID: r.log.ID(), Rest: checkpoints.Rest(r.js, r.log.ID()), Now: func() kv.Millis { return r.now }, Logger: slog.New(slog.DiscardHandler),
	})
	done := make(chan struct{})
	go func() { defer close(done); q.Feed(ctx, r.log, 1, false) }()
	for end := r.state.Chain().Applied; ; {
		if at, err := queue.Copied(ctx, r.js, "d"); err != nil {
			r.Fatal(err)
		} else if at == end {
			break
		}
	}
	cancel()
	<-done
}

// steps lets so many steps of the window pass, with some commits and a look of the keeper in each.
func (r *rig) steps(n int) {
	r.Helper()
	for range n {
		r.now += kv.Millis(history.Milliseconds() / 8)
		for range 3 {
			r.set()
		}
		r.step()
	}
}

// step lets the keeper look until it has taken a checkpoint of this time: it takes a rest after each.
func (r *rig) step() {
	r.Helper()
	for r.keeper.Newest() == nil || r.keeper.Newest().Time < r.state.Chain().Time || r.stale {
		if err := r.look(); err != nil {
			r.Fatal(err)
		}
	}
}

func (r *rig) look() error {
	r.Helper()
	if r.stale {
		r.stale = false
		r.add(&events.Record{Kind: events.KindEpoch, Writer: [16]byte{1}})
	}
	return r.keeper.Look(r.Context(), func() { r.stale = true })
}

func (r *rig) bounds() (first, last kv.Position) {
	r.Helper()
	first, last, err := r.log.Bounds(r.Context())
	if err != nil {
		r.Fatal(err)
	}
	return first, last
}

// wantSame reads the database as a new reader does, and compares the states.
func (r *rig) wantSame() {
	r.Helper()
	p := projection.New(checkpoints.Of(r.js, r.log.ID(), projection.Options{}, slog.New(slog.NewTextHandler(r.Output(), nil))))
	defer p.Close()
	if err := p.CatchUp(r.Context(), r.log, r.state.Chain().Applied); err != nil {
		r.Fatal(err)
	}
	chain, want, err := r.state.Digest(r.Context())
	if err != nil {
		r.Fatal(err)
	}
	got, digest, err := p.Digest(r.Context())
	if err != nil || got != chain || digest != want {
		r.Errorf("a new reader has %x at %v, %v; want %x at %v", digest, got, err, want, chain)
	}
}

// A log that grows for ever stays as long as the window and a step, and a new reader can begin at any time.
func TestKeeper(t *testing.T) {
	r := newRig(t)
	for range 4 {
		r.steps(10)
		r.feed()
		r.steps(1)
		r.wantSame()
	}
	first, last := r.bounds()
	if n := last - first; first == 1 || n > 3*12 {
		t.Errorf("the log has %d records, from %d on; want those of at most twelve steps, three each", n, first)
	}
	b := open(t, r.js)
	list := list(t, b, r.log.ID())
	start := r.now - kv.Millis(history.Milliseconds())
	if len(list) > 12 || list[0].Time > start || list[0].Position != first {
		t.Errorf("the window begins at %v and the log at %d; kept are %v", start, first, list)
	}
	if err := r.log.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// The log is not trimmed beyond what the queue has been fed with, nor beyond what a backup has archived.
func TestHolds(t *testing.T) {
	r := newRig(t)
	r.steps(15)
	if first, _ := r.bounds(); first != 1 {
		t.Errorf("the log begins at %d before anything was copied into the queue; want 1", first)
	}
	_, err := checkpoints.OpenHolds(t.Context(), r.js, checkpoints.Config{})
	if !errors.Is(err, checkpoints.ErrNone) {
		t.Errorf("there are holds: %v; want ErrNone", err)
	}
	holds, err := checkpoints.OpenHolds(t.Context(), r.js, checkpoints.Config{Replicas: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []kv.Position{5, 6} {
		if err := holds.Set(t.Context(), r.log.ID(), checkpoints.Hold{Name: "backup-1", Position: at, Of: "a backup", Moved: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	if err := holds.Set(t.Context(), second, checkpoints.Hold{Name: "other", Position: 1}); err != nil {
		t.Fatal(err)
	}
	r.feed()
	r.steps(1)
	if first, _ := r.bounds(); first != 6 {
		t.Errorf("the log begins at %d; want 6, up to where it is archived", first)
	}
	list, err := holds.List(t.Context(), r.log.ID())
	if err != nil || len(list) != 1 || list[0].Position != 6 {
		t.Errorf("the holds are %v, %v", list, err)
	}
	if err := holds.Remove(t.Context(), r.log.ID(), "nothing"); !errors.Is(err, checkpoints.ErrNone) {
		t.Errorf("remove what is not there: %v; want ErrNone", err)
	}
	if err := holds.Remove(t.Context(), r.log.ID(), "backup-1"); err != nil {
		t.Fatal(err)
	}
	r.steps(1)
	if first, _ := r.bounds(); first < 10 {
		t.Errorf("the log begins at %d when nothing holds it", first)
	}
	r.wantSame()
}

// A queue that was lost, of a log that was trimmed, goes on with what is left of the log.
func TestQueueOfATrimmedLog(t *testing.T) {
	r := newRig(t)
	r.feed()
	r.steps(15)
	r.feed()
	r.steps(1)
	if first, _ := r.bounds(); first == 1 {
		t.Fatal("the log was not trimmed")
	}
	if err := r.js.DeleteStream(t.Context(), "millpond-queue_d"); err != nil {
		t.Fatal(err)
	}
	r.feed()
}

// A checkpoint that cannot be read back does not count: nothing is trimmed behind it, and a reader begins with the one before.
func TestDamagedCheckpoint(t *testing.T) {
	r := newRig(t)
	b := open(t, r.js)
	r.steps(8)
	r.feed()
	damage := func(at kv.Position) {
		t.Helper()
		s, err := r.js.Stream(t.Context(), stream)
		if err != nil {
			t.Fatal(err)
		}
		o, err := r.js.ObjectStore(t.Context(), "millpond_checkpoints")
		if err != nil {
			t.Fatal(err)
		}
		for _, info := range list(t, b, r.log.ID()) {
			if info.Position != at {
				continue
			}
			objects, err := o.List(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, object := range objects {
				if strings.HasSuffix(object.Name, fmt.Sprintf("/%020d", uint64(at))) {
					if err := s.Purge(t.Context(), jetstream.WithPurgeSubject("$O.millpond_checkpoints.C."+object.NUID)); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	}
	for _, info := range list(t, b, r.log.ID())[:3] {
		damage(info.Position)
	}
	for range 4 {
		r.now += kv.Millis(history.Milliseconds() / 8)
		r.set()
		if err := r.look(); err != nil && !errors.Is(err, checkpoints.ErrDamaged) {
			t.Fatal(err)
		}
		if first, _ := r.bounds(); first != 1 {
			all := list(t, b, r.log.ID())
			if first != all[0].Position {
				t.Fatalf("the log begins at %d, the checkpoints at %d", first, all[0].Position)
			}
			if _, err := b.Load(t.Context(), r.log.ID(), first, projection.Options{}); err != nil {
				t.Fatalf("the log was trimmed behind a checkpoint that cannot be loaded: %v", err)
			}
		}
	}
	r.steps(6)
	r.feed()
	r.steps(1)
	if first, _ := r.bounds(); first == 1 {
		t.Error("the log is not trimmed behind the next good one")
	}
	all := list(t, b, r.log.ID())
	damage(all[len(all)-1].Position)
	r.wantSame()
	for _, info := range all {
		damage(info.Position)
	}
	p := projection.New(checkpoints.Of(r.js, r.log.ID(), projection.Options{}, slog.New(slog.DiscardHandler)))
	defer p.Close()
	if err := p.CatchUp(t.Context(), r.log, 1); !errors.Is(err, events.ErrTrimmed) || !strings.Contains(err.Error(), "restore the database from a backup") {
		t.Errorf("without a good checkpoint: %v; want ErrTrimmed, and what to do", err)
	}
}

// A reader whose place was trimmed away while it stood still goes on from a checkpoint, and its watches see what is new.
func TestReaderLeftBehind(t *testing.T) {
	r := newRig(t)
	r.steps(2)
	p := projection.New(checkpoints.Of(r.js, r.log.ID(), projection.Options{}, slog.New(slog.DiscardHandler)))
	defer p.Close()
	if err := p.CatchUp(t.Context(), r.log, r.state.Chain().Applied); err != nil {
		t.Fatal(err)
	}
	left := p.Chain().Applied
	w := p.Watch([]kv.EncodedKey{kv.Key{3}.MustEncode()}, func() kv.Millis { return r.now })
	defer w.Close()
	before, err := w.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r.steps(12)
	r.feed()
	r.steps(1)
	if first, _ := r.bounds(); first <= left+1 {
		t.Fatalf("the log begins at %d, and the reader was at %d", first, left)
	}
	end := r.state.Chain().Applied
	digest := make(chan error, 1)
	go func() { _, err := p.DigestAt(t.Context(), left+1); digest <- err }()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	go p.Follow(ctx, r.log)
	if err := p.Wait(ctx, end); err != nil {
		t.Fatal(err)
	}
	after, err := w.Next(ctx)
	if err != nil || after[0].Versionstamp == before[0].Versionstamp {
		t.Errorf("the watch shows %v, %v; want another version than %v", after, err, before)
	}
	if err := <-digest; !errors.Is(err, projection.ErrPassed) {
		t.Errorf("a digest at a position that was jumped over: %v; want ErrPassed", err)
	}
	_, want, err := r.state.Digest(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, got, err := p.Digest(ctx); err != nil || got != want {
		t.Errorf("the digest is %x, %v; want %x", got, err, want)
	}
}

// A leader that takes over goes on with what the one before has left.
func TestNextKeeper(t *testing.T) {
	r := newRig(t)
	r.steps(12)
	r.feed()
	r.keeper = r.newKeeper()
	r.step()
	first, _ := r.bounds()
	list := list(t, open(t, r.js), r.log.ID())
	if list[0].Position != first || first == 1 {
		t.Errorf("the log begins at %d, the checkpoints at %d", first, list[0].Position)
	}
	r.wantSame()
}
