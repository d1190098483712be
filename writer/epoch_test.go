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
	"github.com/oklog/ulid/v2"
)

// standby runs a sequencer that is one of several on the log.
func standby(t *testing.T, log events.Log) *rig {
	t.Helper()
	return startWith(t, log, func(c *writer.Config) { c.Exclusive = false }, projection.Options{})
}

// held is a log that holds each append of commits until the test lets it go on.
type held struct {
	*faultyLog
	arrived chan events.Append // each append, when it comes
	goOn    chan error         // for each append: nil to forward it, or the error that it ends with
}

func hold(log events.Log) *held {
	h := &held{faultyLog: &faultyLog{Log: log}, arrived: make(chan events.Append, 100), goOn: make(chan error)}
	h.onAppend = func(ctx context.Context, a events.Append) (kv.Position, error) {
		if a.Kind == events.KindEpoch {
			return log.Append(ctx, a)
		}
		h.arrived <- a
		select {
		case err := <-h.goOn:
			if err != nil {
				return 0, err
			}
			return log.Append(ctx, a)
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	return h
}

// later hands in a request and returns where its answer will be.
func (r *rig) later(request writer.Request) <-chan try {
	answer := make(chan try, 1)
	go func() {
		result, err := r.Sequencer.Commit(context.Background(), request)
		answer <- try{request.ID, request.Atomic, result, err}
	}()
	synctest.Wait() // it waits now, after those before it
	return answer
}

func requestOf(mutations ...kv.Mutation) writer.Request {
	return writer.Request{ID: newID(), Atomic: &kv.Atomic{Mutations: mutations}}
}

// A record whose append fails is found out about, whether it was kept or lost: its commit is answered, and there once.
func TestUnknownOutcomeIsFoundOut(t *testing.T) {
	for name, keep := range map[string]bool{"kept": true, "lost": false} {
		t.Run(name, func(t *testing.T) {
			log := &events.MemoryLog{}
			r := start(t, once(log, keep))
			first := r.mustCommit(increment(key("n")))
			second := r.mustCommit(increment(key("n")))
			if got := r.get(key("n")); got.Versionstamp != second || got.Value.Data[0] != 2 {
				t.Errorf("got %v; want 2 at %v", got, second)
			}
			if want := map[bool]kv.Position{true: 2, false: 3}[keep]; first.Position() != want {
				t.Errorf("committed at %v; want position %d", first, want)
			}
			sameAsReplay(t, r.projection, log)
		})
	}
}

// Another leader commits a request that was in a lost record too. Nothing of that record is taken for committed, and the
// request is not committed again.
func TestRequestCommittedElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		letBuntDBEnd(t)
		log := &events.MemoryLog{}
		h := hold(log)
		a := standby(t, h)
		blocker, x, y := requestOf(increment(key("n"))), requestOf(increment(key("x"))), requestOf(increment(key("y")))
		answers := []<-chan try{a.later(blocker), a.later(x), a.later(y)}
		h.goOn <- nil
		synctest.Wait() // x and y are in one record now

		b := standby(t, log)
		repeat := x
		repeat.Repeat = true
		answers = append(answers, b.later(repeat))
		h.goOn <- errFault // it has not reached the log
		go func() {        // from here on nothing is held
			for range h.arrived {
				h.goOn <- nil
			}
		}()
		<-h.arrived
		<-h.arrived
		var tries []try
		for _, answer := range answers {
			tries = append(tries, <-answer)
		}
		failed := writer.Request{ID: newID(), Atomic: &kv.Atomic{Mutations: []kv.Mutation{set(key("k"), ""), increment(key("k"))}}}
		tries = append(tries, <-a.later(failed)) // so that verify has one
		a.stop()
		close(h.arrived)
		verify(t, log, tries)
		for _, try := range tries[:4] {
			if try.err != nil {
				t.Errorf("%v: %v", try.id, try.err)
			}
		}
	})
}

// Another leader has committed so much meanwhile that the table of recent commits does not reach back to a record whose
// append failed: its outcome stays unknown, and it is not decided again.
func TestUnknownOutcomeComesTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		letBuntDBEnd(t)
		log := &events.MemoryLog{}
		h := hold(log)
		few := projection.Options{RecentCommits: 2}
		a := startWith(t, h, func(c *writer.Config) { c.Exclusive = false }, few)
		answer := a.later(requestOf(increment(key("n"))))
		b := startWith(t, log, func(c *writer.Config) { c.Exclusive = false }, few)
		for range 5 {
			b.mustCommit(increment(key("other")))
		}
		h.goOn <- errFault
		if try := <-answer; !errors.Is(try.err, kv.ErrUnknownOutcome) {
			t.Errorf("got %+v, %v; want ErrUnknownOutcome", try.result, try.err)
		}
		a.stop()
		if a.get(key("n")).Exists() {
			t.Error("it was committed after it had been answered as unknown")
		}
	})
}

// A caller that has gone while the outcome was unknown does not see its atomic committed later.
func TestGivenUpIsNotDecidedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		letBuntDBEnd(t)
		log := &events.MemoryLog{}
		h := hold(log)
		r := start(t, h)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := r.Commit(ctx, &kv.Atomic{Mutations: []kv.Mutation{increment(key("n"))}}); !errors.Is(err, kv.ErrUnknownOutcome) {
			t.Errorf("got %v; want ErrUnknownOutcome", err)
		}
		h.goOn <- errFault
		close(h.goOn) // were it decided again, it would get through
		if err := r.stop(); err != nil {
			t.Error(err)
		}
		for _, s := range records(t, log) {
			if len(s.Record.Commits) > 0 {
				t.Errorf("record %d has %d commits; want none", s.Position, len(s.Record.Commits))
			}
		}
	})
}

// The record of a sequencer that was replaced is refused; and should a log let it in, it is void to every reader, the
// sequencer that made it included.
func TestZombie(t *testing.T) {
	for name, fenced := range map[string]bool{"refused": true, "void": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				letBuntDBEnd(t)
				log := &events.MemoryLog{}
				h := hold(log)
				old := standby(t, h)
				answer := old.later(requestOf(set(key("k"), "old")))
				record := <-h.arrived

				young := standby(t, log)
				young.mustCommit(set(key("k"), "young"))
				if _, err := log.Append(t.Context(), record); !errors.Is(err, events.ErrFenced) {
					t.Errorf("the late append: %v; want ErrFenced", err)
				}
				if !fenced {
					record.Last, record.Epoch = young.projection.Chain().Applied, young.projection.Chain().Epoch
					if _, err := log.Append(t.Context(), record); err != nil {
						t.Fatal(err)
					}
				}
				old.kill()
				if try := <-answer; !errors.Is(try.err, kv.ErrUnknownOutcome) {
					t.Errorf("the old sequencer answered %+v, %v; want ErrUnknownOutcome", try.result, try.err)
				}
				young.mustCommit(increment(key("n"))) // it gets over the void record
				if got := young.get(key("k")); string(got.Value.Data) != "young" {
					t.Errorf("got %q; want %q", got.Value.Data, "young")
				}
				sameAsReplay(t, young.projection, log)
			})
		})
	}
}

// Two sequencers that believe they lead cannot both commit: of two checks for the same absent key one fails.
func TestTwoLeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		letBuntDBEnd(t)
		log := &events.MemoryLog{}
		a, b := standby(t, log), standby(t, log)
		<-a.Begun()
		<-b.Begun()
		for i := range 20 {
			k := key("lock", i)
			acquire := func() writer.Request {
				return writer.Request{ID: newID(), Atomic: &kv.Atomic{Checks: []kv.Check{{Key: k}}, Mutations: []kv.Mutation{set(k, "")}}}
			}
			x, y := a.later(acquire()), b.later(acquire())
			got := [2]try{<-x, <-y}
			if got[0].err != nil || got[1].err != nil || got[0].result.OK() == got[1].result.OK() {
				t.Fatalf("got %+v; want one to commit and the other's check to fail", got)
			}
		}
	})
}

// A damaged log ends the reign: everything is refused, and nothing is appended after the damage.
func TestDamage(t *testing.T) {
	log := &events.MemoryLog{}
	start(t, log).stop()
	if _, err := log.Append(t.Context(), events.Append{Kind: events.KindEpoch, Data: []byte("garbage"), Last: 2}); err != nil {
		t.Fatal(err)
	}
	p := projection.New(projection.Options{})
	defer p.Close()
	s := writer.New(writer.Config{Log: log, Projection: p, NewID: newID, Now: func() kv.Millis { return 0 }, Logger: discard})
	if err := s.Run(t.Context()); !errors.Is(err, events.ErrCorrupt) {
		t.Errorf("Run: %v; want ErrCorrupt", err)
	}
	if _, err := s.Commit(t.Context(), requestOf(increment(key("n")))); !errors.Is(err, kv.ErrWritesDisabled) {
		t.Errorf("Commit: %v; want ErrWritesDisabled", err)
	}
	if _, last, _ := log.Bounds(t.Context()); last != 3 {
		t.Errorf("the log ends at %d; want 3", last)
	}
}

// A log whose bounds lag behind is not asked in a busy loop; once they have caught up the epoch begins.
func TestStaleBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		letBuntDBEnd(t)
		log := &events.MemoryLog{}
		start(t, log).stop()
		var asked atomic.Int64
		began := time.Now()
		stale := &faultyLog{Log: log}
		stale.onBounds = func(first, last kv.Position) (kv.Position, kv.Position, error) {
			if asked.Add(1) > 1000 {
				panic("asked a thousand times")
			}
			if time.Since(began) < 10*time.Second {
				last--
			}
			return first, last, nil
		}
		r := start(t, stale)
		<-r.Begun()
		if n := asked.Load(); n > 100 {
			t.Errorf("asked %d times in ten seconds; want a pause between", n)
		}
	})
}

// A graceful stop answers everything that came before, refuses what comes after, and ends with a resignation, so that
// nobody reigns.
func TestGracefulStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		letBuntDBEnd(t)
		log := &events.MemoryLog{}
		h := hold(log)
		r := start(t, h)
		var answers []<-chan try
		for range 5 {
			answers = append(answers, r.later(requestOf(increment(key("n")))))
		}
		r.Close()
		if _, err := r.Commit(t.Context(), &kv.Atomic{}); !errors.Is(err, kv.ErrUnavailable) {
			t.Errorf("Commit after Close: %v; want ErrUnavailable", err)
		}
		h.goOn <- nil
		h.goOn <- nil
		if err := r.stop(); err != nil {
			t.Error(err)
		}
		for _, answer := range answers {
			if try := <-answer; try.err != nil {
				t.Error(try.err)
			}
		}
		if got := r.get(key("n")).Value.Data[0]; got != 5 {
			t.Errorf("n = %d; want 5", got)
		}
		list := records(t, log)
		if last := list[len(list)-1].Record; last.Kind != events.KindEpoch || last.Writer != (ulid.ULID{}) {
			t.Errorf("the log ends with %+v; want a resignation", last)
		}
	})
}

// When Run's context ends, what is in flight has an unknown outcome and what waits has none.
func TestKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		letBuntDBEnd(t)
		r := start(t, hold(&events.MemoryLog{}))
		flying, waiting := r.later(requestOf(increment(key("n")))), r.later(requestOf(increment(key("n"))))
		r.kill()
		if try := <-flying; !errors.Is(try.err, kv.ErrUnknownOutcome) {
			t.Errorf("in flight: %v; want ErrUnknownOutcome", try.err)
		}
		if try := <-waiting; !errors.Is(try.err, kv.ErrUnavailable) {
			t.Errorf("waiting: %v; want ErrUnavailable", try.err)
		}
		if err := r.stop(); !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v; want context.Canceled", err)
		}
	})
}
