package writer_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
	"github.com/millpondkv/millpond/writer"
)

const (
	testLease   = time.Second
	testSilence = 2 * time.Second
)

// candidate is a standby in a bubble of synctest, whose clock is the bubble's.
type candidate struct {
	leads chan *writer.Sequencer // each sequencer, when its reign begins
	over  chan struct{}          // one for each reign that has ended
	stop  func()                 // ends it gracefully
}

func stand(t *testing.T, log events.Log, beats <-chan writer.Heartbeat) *candidate {
	c := &candidate{leads: make(chan *writer.Sequencer, 10), over: make(chan struct{}, 10)}
	p := projection.New(projection.Options{})
	s := writer.NewStandby(writer.StandbyConfig{
		Config: writer.Config{
			Log: log, Projection: p, NewID: newID, Logger: discard, Lease: testLease,
			Now: func() kv.Millis { return kv.MillisOf(time.Now()) },
		},
		Silence: testSilence, Heartbeats: beats,
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.Run(ctx, func(reign context.Context, q *writer.Sequencer) {
			c.leads <- q
			<-reign.Done()
			c.over <- struct{}{}
		})
	}()
	c.stop = func() { cancel(); <-ended }
	t.Cleanup(func() { c.stop(); p.Close() })
	return c
}

func commitOn(t *testing.T, q *writer.Sequencer, part string) {
	t.Helper()
	if result, err := q.Commit(t.Context(), requestOf(increment(key(part)))); err != nil || !result.OK() {
		t.Fatalf("Commit: %+v, %v", result, err)
	}
}

// The first standby leads an empty log at once; the second follows, and leads at once when the first resigns.
func TestStandbyAfterResignation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		letBuntDBEnd(t)
		log := &events.MemoryLog{}
		first := stand(t, log, nil)
		commitOn(t, <-first.leads, "a")
		second := stand(t, log, nil)
		time.Sleep(testSilence / 2)
		began := time.Now()
		first.stop()
		commitOn(t, <-second.leads, "b")
		if waited := time.Since(began); waited > testSilence/4 {
			t.Errorf("the second leads %v after a resignation; want at once", waited)
		}
	})
}

// A leader whose log does not answer any more is replaced after the silence, and not before. When its log answers again
// it finds itself deposed, commits nothing, and stands by.
func TestStandbyAfterSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		letBuntDBEnd(t)
		log := &events.MemoryLog{}
		var cutOff atomic.Bool
		bent := &faultyLog{Log: log}
		bent.onAppend = func(ctx context.Context, a events.Append) (kv.Position, error) {
			if cutOff.Load() {
				return 0, errFault
			}
			return log.Append(ctx, a)
		}
		bent.onBounds = func(first, last kv.Position) (kv.Position, kv.Position, error) {
			if cutOff.Load() {
				return 0, 0, errFault
			}
			return first, last, nil
		}
		first := stand(t, bent, nil)
		old := <-first.leads
		commitOn(t, old, "a")
		second := stand(t, log, nil)
		synctest.Wait()
		cutOff.Store(true)
		began := time.Now()
		answer := make(chan error, 1)
		go func() {
			_, err := old.Commit(context.Background(), requestOf(increment(key("lost"))))
			answer <- err
		}()
		q := <-second.leads
		if waited := time.Since(began); waited < testSilence || waited > 2*testSilence {
			t.Errorf("the second leads after %v; want about %v", waited, testSilence)
		}
		commitOn(t, q, "b")
		cutOff.Store(false)
		if err := <-answer; !errors.Is(err, kv.ErrUnavailable) {
			t.Errorf("the request to the old leader: %v; want ErrUnavailable", err)
		}
		<-first.over
		commitOn(t, q, "c")
		if len(first.leads) > 0 || len(second.over) > 0 {
			t.Error("the old leader fights; want it to stand by")
		}
	})
}

// A leader that has nothing to write is left alone as long as its heartbeats come.
func TestStandbyHearsHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		letBuntDBEnd(t)
		log := &events.MemoryLog{}
		first := stand(t, log, nil)
		<-first.leads
		beats := make(chan writer.Heartbeat)
		second := stand(t, log, beats)
		for range 20 {
			time.Sleep(testSilence / 2)
			beats <- writer.Heartbeat{Epoch: 1}
		}
		if len(second.leads) > 0 {
			t.Fatal("the second leads although the first is heard")
		}
		<-second.leads // now that no more come
	})
}

// While the lease holds a read index costs no record; after it, and without a lease, each takes one.
func TestReadIndex(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		letBuntDBEnd(t)
		log := &events.MemoryLog{}
		q := <-stand(t, log, nil).leads
		commitOn(t, q, "a")
		index := func() writer.ReadIndex {
			t.Helper()
			i, err := q.ReadIndex(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return i
		}
		if got := index(); got.Position != 2 {
			t.Errorf("under the lease: position %d; want 2", got.Position)
		}
		time.Sleep(testLease)
		if got := index(); got.Position != 3 || got.Now != kv.MillisOf(time.Now()) {
			t.Errorf("after the lease: %+v; want position 3, now", got)
		}
		if got := index(); got.Position != 3 {
			t.Errorf("the record renewed the lease: position %d; want 3", got.Position)
		}
	})
}

// A read index that is asked for while a record is in flight waits for it: a reader elsewhere may have shown it already.
func TestReadIndexWaitsForFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		letBuntDBEnd(t)
		h := hold(&events.MemoryLog{})
		q := <-stand(t, h, nil).leads
		go q.Commit(context.Background(), requestOf(increment(key("a"))))
		<-h.arrived
		got := make(chan writer.ReadIndex, 1)
		go func() {
			i, _ := q.ReadIndex(context.Background())
			got <- i
		}()
		synctest.Wait()
		if len(got) > 0 {
			t.Fatalf("answered with %+v while a record is in flight", <-got)
		}
		h.goOn <- nil
		if i := <-got; i.Position != 2 {
			t.Errorf("position %d; want 2, the record that was in flight", i.Position)
		}
	})
}
