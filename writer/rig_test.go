package writer_test

import (
	"context"
	"crypto/rand"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
	"github.com/millpondkv/millpond/writer"
	"github.com/oklog/ulid/v2"
)

// rig is a sequencer at work on a log, with a clock that the test sets.
type rig struct {
	*writer.Sequencer
	t          *testing.T
	log        events.Log
	projection *projection.Projection
	now        atomic.Int64
	kill       context.CancelFunc // ends it as a crash does: with nothing said to the log
	stop       func() error       // ends it gracefully and returns what Run did
}

var discard = slog.New(slog.DiscardHandler)

func newID() ulid.ULID { return ulid.MustNew(ulid.Now(), rand.Reader) }

// start runs a sequencer on log that is alone there.
func start(t *testing.T, log events.Log) *rig { return startWith(t, log, nil, projection.Options{}) }

// startWith runs a sequencer after change has had a look at its config. It ends with the test, and whatever it was
// killed by, it must have answered everything.
func startWith(t *testing.T, log events.Log, change func(*writer.Config), o projection.Options) *rig {
	t.Helper()
	r := &rig{t: t, log: log, projection: projection.New(o)}
	c := writer.Config{
		Log: log, Projection: r.projection, NewID: newID, Logger: discard, Exclusive: true,
		Now: func() kv.Millis { return kv.Millis(r.now.Load()) },
	}
	if change != nil {
		change(&c)
	}
	r.Sequencer = writer.New(c)
	ctx, cancel := context.WithCancel(context.Background())
	r.kill = cancel
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	r.stop = sync.OnceValue(func() error {
		r.Close()
		return <-ended
	})
	t.Cleanup(func() {
		if err := r.stop(); err != nil && ctx.Err() == nil {
			t.Errorf("Run: %v", err)
		}
		cancel()
		r.projection.Close()
	})
	return r
}

// letBuntDBEnd is called first in a bubble of synctest: a closed BuntDB's own goroutine looks once a second whether it
// may end. A goroutine of the sequencer or its projection that does not end fails the bubble.
func letBuntDBEnd(t *testing.T) { t.Cleanup(func() { time.Sleep(2 * time.Second) }) }

// Commit, Read and SetNow make the rig a kvtest.Database.
func (r *rig) Commit(ctx context.Context, a *kv.Atomic) (kv.CommitResult, error) {
	return r.Sequencer.Commit(ctx, writer.Request{ID: newID(), Atomic: a})
}

func (r *rig) Read(_ context.Context, ranges []kv.Range) ([][]kv.Entry, error) {
	s, err := r.projection.Read(ranges, kv.Millis(r.now.Load()))
	return s.Entries, err
}

func (r *rig) SetNow(now kv.Millis) { r.now.Store(int64(now)) }

// mustCommit commits mutations, which must succeed.
func (r *rig) mustCommit(mutations ...kv.Mutation) kv.Versionstamp {
	r.t.Helper()
	result, err := r.Commit(r.t.Context(), &kv.Atomic{Mutations: mutations})
	if err != nil || !result.OK() {
		r.t.Fatalf("commit: %+v, %v; want success", result, err)
	}
	return result.Versionstamp
}

// get returns the entry at key as a read by the rig's clock finds it.
func (r *rig) get(key kv.EncodedKey) kv.Entry {
	r.t.Helper()
	found, err := r.Read(r.t.Context(), []kv.Range{{Start: key, End: key + "\x00", Limit: 1}})
	if err != nil {
		r.t.Fatal(err)
	}
	if len(found[0]) == 0 {
		return kv.Entry{Key: key}
	}
	return found[0][0]
}

func key(parts ...any) kv.EncodedKey { return kv.Key(parts).MustEncode() }

func text(s string) kv.Value { return kv.Value{Encoding: kv.EncodingBytes, Data: []byte(s)} }

func u64(n byte) kv.Value {
	return kv.Value{Encoding: kv.EncodingLE64, Data: []byte{n, 0, 0, 0, 0, 0, 0, 0}}
}

func set(k kv.EncodedKey, s string) kv.Mutation {
	return kv.Mutation{Type: kv.MutationSet, Key: k, Value: text(s)}
}

func setUntil(k kv.EncodedKey, s string, at kv.Millis) kv.Mutation {
	return kv.Mutation{Type: kv.MutationSet, Key: k, Value: text(s), ExpireAt: at}
}

func increment(k kv.EncodedKey) kv.Mutation {
	return kv.Mutation{Type: kv.MutationSum, Key: k, Value: u64(1)}
}
