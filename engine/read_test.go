package engine

import (
	"context"
	"crypto/rand"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
	"github.com/millpondkv/millpond/writer"
	"github.com/oklog/ulid/v2"
)

// heldLog holds each append of commits until the test lets it go on.
type heldLog struct {
	events.MemoryLog
	goOn chan struct{}
}

func (l *heldLog) Append(ctx context.Context, a events.Append) (kv.Position, error) {
	if a.Kind == events.KindCommits {
		<-l.goOn
	}
	return l.MemoryLog.Append(ctx, a)
}

// A record is in flight that still saw an entry; the entry expires; a read that leaves it out waits for the record. If it
// did not, the counter would be gone and then be back, one higher.
func TestReadWaitsForTheFlightThatSawMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, p := &heldLog{goOn: make(chan struct{})}, projection.New(projection.Options{})
		var now atomic.Int64
		now.Store(1000)
		d := &Database{projection: p, sequencer: writer.New(writer.Config{
			Log: log, Projection: p, Exclusive: true, Logger: slog.New(slog.DiscardHandler),
			Now:   func() kv.Millis { return kv.Millis(now.Load()) },
			NewID: func() ulid.ULID { return ulid.MustNew(ulid.Now(), rand.Reader) },
		})}
		ended := make(chan error)
		go func() { ended <- d.sequencer.Run(context.Background()) }()

		n, other := kv.Key{"n"}.MustEncode(), kv.Key{"other"}.MustEncode()
		one := kv.Value{Encoding: kv.EncodingLE64, Data: []byte{1, 0, 0, 0, 0, 0, 0, 0}}
		commit := func(m kv.Mutation) {
			if _, err := d.Commit(context.Background(), &kv.Atomic{Mutations: []kv.Mutation{m}}); err != nil {
				t.Error(err)
			}
		}
		read := func(k kv.EncodedKey) <-chan []kv.Entry {
			answer := make(chan []kv.Entry, 1)
			go func() {
				found, err := d.Read(context.Background(), []kv.Range{{Start: k, End: k + "\x00", Limit: 1}})
				if err != nil {
					t.Error(err)
				}
				answer <- found[0]
			}()
			synctest.Wait()
			return answer
		}
		go commit(kv.Mutation{Type: kv.MutationSet, Key: n, Value: one, ExpireAt: 1500})
		log.goOn <- struct{}{}
		synctest.Wait()
		go commit(kv.Mutation{Type: kv.MutationSum, Key: n, Value: one}) // takes the expiry away
		synctest.Wait()
		if got := <-read(n); len(got) != 1 || got[0].Value.Data[0] != 1 {
			t.Errorf("before the expiry: %v; want 1, at once", got)
		}
		now.Store(1500)
		waiting := read(n)
		if len(waiting) > 0 {
			t.Errorf("after it, with the record in flight: %v; want to wait", <-waiting)
		}
		if got := <-read(other); len(got) != 0 {
			t.Errorf("another key: %v; want none, at once", got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if found, err := d.Read(ctx, []kv.Range{{Start: n, End: n + "\x00", Limit: 1}}); !kv.SafeToRetry(err) {
			t.Errorf("with little time: %v, %v; want ErrUnavailable", found, err)
		}
		log.goOn <- struct{}{}
		if got := <-waiting; len(got) != 1 || got[0].Value.Data[0] != 2 {
			t.Errorf("once it has landed: %v; want 2", got)
		}
		d.sequencer.Close()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		p.Close()
		time.Sleep(2 * time.Second) // BuntDB's own goroutine looks once a second whether it may end
	})
}

// A database that Close came to before anybody had opened it is not opened any more: nobody would close it.
func TestClosedBeforeOpened(t *testing.T) {
	d := newDatabase(&Engine{}, "orders")
	if err := d.close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := d.open(t.Context(), true); !kv.SafeToRetry(err) {
		t.Errorf("open: %v; want ErrUnavailable", err)
	}
}
