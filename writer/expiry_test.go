package writer_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
	"github.com/millpondkv/millpond/writer"
)

func wallClock(c *writer.Config) {
	c.Now = func() kv.Millis { return kv.MillisOf(time.Now()) }
}

// An idle database records that a key has expired, once, so that the key stays gone if the clock has gone back when the
// process starts again.
func TestIdleExpiryIsRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		letBuntDBEnd(t)
		log := &events.MemoryLog{}
		began := kv.MillisOf(time.Now())
		r := startWith(t, log, wallClock, projection.Options{})
		r.mustCommit(setUntil(key("k"), "", began+500))
		time.Sleep(499 * time.Millisecond)
		if n := len(records(t, log)); n != 2 {
			t.Errorf("%d records before the expiry; want 2", n)
		}
		time.Sleep(time.Minute)
		list := records(t, log)
		if last := list[len(list)-1].Record; len(list) != 3 || last.Time < began+500 {
			t.Errorf("%d records, the last at %v; want a third one after %v", len(list), last.Time, began+500)
		}
		r.kill() // no resignation, which would have a time too
		r.stop()

		again := start(t, log)
		again.SetNow(began)
		<-again.Begun()
		if got := again.get(key("k")); got.Exists() {
			t.Errorf("got %v after the clock went back; want none", got)
		}
	})
}

// An expiry further away than a timer reaches costs nothing.
func TestFarExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		letBuntDBEnd(t)
		var asked atomic.Int64
		r := startWith(t, &events.MemoryLog{}, func(c *writer.Config) {
			c.Now = func() kv.Millis {
				if asked.Add(1) > 10_000 {
					panic("the sequencer is spinning")
				}
				return kv.MillisOf(time.Now())
			}
		}, projection.Options{})
		for _, years := range []kv.Millis{100, 250, 293, 400, 600, 1000, 100_000} {
			r.mustCommit(setUntil(key("k"), "", kv.MillisOf(time.Now())+years*365*24*3_600_000))
			time.Sleep(time.Minute)
		}
	})
}

// A flight without a record, since all checks failed, lands too: who waits for it goes on.
func TestReadPointWithoutRecord(t *testing.T) {
	r := start(t, &events.MemoryLog{})
	<-r.Begun()
	absent := kv.NewVersionstamp(9, 9)
	request := &kv.Atomic{Checks: []kv.Check{{Key: key("k"), Versionstamp: &absent}}}
	for range 100 {
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			if result, err := r.Commit(context.Background(), request); err != nil || result.OK() {
				t.Errorf("got %+v, %v; want a failed check", result, err)
			}
		}()
		if landed := r.ReadPoint().Landed; landed != nil {
			<-landed
		}
		<-answered
	}
}

// While a record is in flight, a read that hides an entry which the record still saw is told to wait for the record.
func TestReadPoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		letBuntDBEnd(t)
		h := hold(&events.MemoryLog{})
		r := start(t, h)
		r.SetNow(1000)
		<-r.Begun()
		if got, want := r.ReadPoint(), (writer.ReadPoint{Now: 1000}); got != want {
			t.Errorf("at rest: %+v; want %+v", got, want)
		}
		answer := r.later(requestOf(increment(key("n"))))
		r.SetNow(1500)
		got := r.ReadPoint()
		if want := (writer.ReadPoint{Now: 1500, Flight: 2, FlightTime: 1000, Landed: got.Landed}); got != want || got.Landed == nil {
			t.Errorf("in flight: %+v; want %+v", got, want)
		}
		h.goOn <- nil
		<-answer
		<-got.Landed
		if got, want := r.ReadPoint(), (writer.ReadPoint{Now: 1500}); got != want {
			t.Errorf("landed: %+v; want %+v", got, want)
		}
	})
}
