package writer_test

import (
	"context"
	"crypto/rand"
	"log/slog"
	"sync/atomic"
	"testing"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
	"github.com/millpondkv/millpond/writer"
	"github.com/oklog/ulid/v2"
)

// rig is a sequencer at work on a log, with a clock that the test sets.
type rig struct {
	*writer.Sequencer
	log        events.Log
	projection *projection.Projection
	now        atomic.Int64
	stop       func() error // ends it gracefully and returns what Run did
}

func newID() ulid.ULID { return ulid.MustNew(ulid.Now(), rand.Reader) }

// start runs a sequencer on log.
func start(t *testing.T, log events.Log) *rig {
	t.Helper()
	r := &rig{log: log, projection: projection.New(projection.Options{})}
	r.Sequencer = writer.New(writer.Config{
		Log: log, Projection: r.projection, NewID: newID, Logger: slog.New(slog.DiscardHandler), Exclusive: true,
		Now: func() kv.Millis { return kv.Millis(r.now.Load()) },
	})
	ended := make(chan error, 1)
	go func() { ended <- r.Run(context.Background()) }()
	r.stop = func() error {
		r.Close()
		err := <-ended
		ended <- err
		return err
	}
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return r
}

// Commit, Read and SetNow make the rig a kvtest.Database.
func (r *rig) Commit(ctx context.Context, a *kv.Atomic) (kv.CommitResult, error) {
	return r.Sequencer.Commit(ctx, writer.Request{ID: newID(), Atomic: a})
}

func (r *rig) Read(_ context.Context, ranges []kv.Range) ([][]kv.Entry, error) {
	s, err := r.projection.Read(ranges, kv.Millis(r.now.Load()))
	return s.Entries, err
}

func (r *rig) SetNow(now kv.Millis) { r.now.Store(int64(now)) }
