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

// bentLog is a log with messages of strangers, one of whose servers has lost a record.
type bentLog struct {
	*events.MemoryLog
	lost  kv.Position   // the server of the first readers does not have it any more
	bad   int32         // so many readers get that server
	reads *atomic.Int32 // readers
}

func newBentLog() bentLog { return bentLog{MemoryLog: &events.MemoryLog{}, reads: new(atomic.Int32)} }

// stray publishes a message that no sequencer has made.
func (l bentLog) stray(ctx context.Context) {
	_, last, _ := l.Bounds(ctx)
	l.Append(ctx, events.Append{Kind: events.KindCommits, Data: []byte("stray"), Last: last, Epoch: 1})
}

func (l bentLog) Read(ctx context.Context, from kv.Position) (events.Reader, error) {
	r, err := l.MemoryLog.Read(ctx, from)
	b := bentReader{Reader: r}
	if l.reads.Add(1) <= l.bad {
		b.lost = l.lost
	}
	return b, err
}

type bentReader struct {
	events.Reader
	lost kv.Position
}

func (r bentReader) Next(ctx context.Context) (events.Message, error) {
	m, err := r.Reader.Next(ctx)
	if err == nil && m.Position == r.lost {
		return r.Reader.Next(ctx)
	}
	m.Foreign = string(m.Data) == "stray"
	return m, err
}

// loseLeader leaves a log with two commits, whose leader is gone without a word.
func loseLeader(t *testing.T, log events.Log) {
	t.Helper()
	r := startWith(t, log, func(c *writer.Config) { c.Exclusive = false }, projection.Options{})
	r.mustCommit(increment(key("a")))
	r.mustCommit(increment(key("a")))
	r.kill()
}

// standBy runs a standby and returns where its sequencers come from when they lead, and how it ends.
func standBy(t *testing.T, log events.Log, change func(*writer.StandbyConfig)) (leads chan *writer.Sequencer, ended chan error) {
	t.Helper()
	p := projection.New(projection.Options{})
	c := writer.StandbyConfig{
		Config: writer.Config{
			Log: log, Projection: p, NewID: newID, Logger: discard, Lease: testLease,
			Now: func() kv.Millis { return kv.MillisOf(time.Now()) },
		},
		Silence: testSilence,
	}
	if change != nil {
		change(&c)
	}
	leads, ended = make(chan *writer.Sequencer, 10), make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		ended <- writer.NewStandby(c).Run(ctx, func(reign context.Context, q *writer.Sequencer) { leads <- q; <-reign.Done() })
		close(ended)
	}()
	t.Cleanup(func() {
		cancel()
		for range ended {
		}
		p.Close()
	})
	return leads, ended
}

// A record that one server of the log has lost does not keep a standby from leading: it reads again, from another server. What
// every server has lost does.
func TestStandbyReadsAgain(t *testing.T) {
	for bad, leads := range map[int32]bool{1: true, 3: true, 1000: false} {
		synctest.Test(t, func(t *testing.T) {
			letBuntDBEnd(t)
			log := newBentLog()
			loseLeader(t, log.MemoryLog)
			log.lost, log.bad = 2, bad
			led, ended := standBy(t, log, nil)
			select {
			case <-led:
				if !leads {
					t.Error("it leads on a log that has lost a record")
				}
			case err := <-ended:
				if leads {
					t.Errorf("after %d bad readings it has given up: %v", bad, err)
				}
			case <-time.After(time.Minute):
				t.Error("it neither leads nor gives up")
			}
		})
	}
}

// Messages of strangers, however many, are no sign of a leader.
func TestStrayMessagesAreNoLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		letBuntDBEnd(t)
		log := newBentLog()
		loseLeader(t, log.MemoryLog)
		leads, _ := standBy(t, log, nil)
		for range 20 {
			time.Sleep(testSilence / 4)
			if len(leads) > 0 {
				return
			}
			log.stray(t.Context())
		}
		t.Error("with a stray message now and then, nobody leads")
	})
}

// A standby waits out the lease that the log says the leader had, though it has never heard of it.
func TestLongerLeaseIsWaitedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		letBuntDBEnd(t)
		const longer = 10 * testLease
		log := &events.MemoryLog{}
		first, _ := standBy(t, log, func(c *writer.StandbyConfig) { c.Lease, c.Silence = longer, 2*longer })
		old := <-first
		began := time.Now()
		second, _ := standBy(t, log, nil)
		<-second
		if waited := time.Since(began); waited < longer {
			t.Errorf("it leads after %v; the other one's lease is %v", waited, longer)
		}
		if index, err := old.ReadIndex(t.Context()); err == nil && index.Position < 2 {
			t.Errorf("the old leader still answers %+v", index)
		}
	})
}

// Who has yielded waits for longer once, not ever after.
func TestYieldedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		letBuntDBEnd(t)
		log, yield := &events.MemoryLog{}, make(chan struct{})
		first, _ := standBy(t, log, func(c *writer.StandbyConfig) { c.Yield = yield })
		<-first
		yield <- struct{}{}
		synctest.Wait()
		loseLeader(t, log) // another one has led, and is lost
		began := time.Now()
		<-first
		if waited := time.Since(began); waited > testSilence+testSilence/2 {
			t.Errorf("it leads after %v; the silence is %v", waited, testSilence)
		}
	})
}

// A log that does not say the lease, as none did at first, is waited for as if it said what was the default.
func TestUnsaidLeaseIsWaitedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		letBuntDBEnd(t)
		log := &events.MemoryLog{}
		_, data := events.Seal(1, &events.Record{Kind: events.KindEpoch, Writer: newID(), Time: 1})
		if _, err := log.Append(t.Context(), events.Append{Kind: events.KindEpoch, Data: data}); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		leads, _ := standBy(t, log, func(c *writer.StandbyConfig) { c.Lease, c.Silence = testLease/10, testLease/5 })
		<-leads
		if waited := time.Since(began); waited < 2*time.Second {
			t.Errorf("it leads after %v; the default lease is 2s", waited)
		}
	})
}

// mute is a log that does not answer: JetStream has no leader.
type mute struct{ *events.MemoryLog }

func (mute) Bounds(ctx context.Context) (first, last kv.Position, err error) {
	<-ctx.Done()
	return 0, 0, ctx.Err()
}

// A standby that is told to end while it begins its first epoch, with nothing to answer and nothing to resign from, ends at once, though the log
// does not answer.
func TestStandbyEndsWhileItBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		letBuntDBEnd(t)
		c := stand(t, mute{&events.MemoryLog{}}, nil)
		time.Sleep(10 * time.Second)
		stopped := make(chan struct{})
		go func() { c.stop(); close(stopped) }()
		select {
		case <-stopped:
		case <-time.After(time.Second):
			t.Fatal("it goes on")
		}
	})
}
