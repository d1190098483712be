package writer_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kv/kvtest"
	"github.com/millpondkv/millpond/projection"
	"github.com/millpondkv/millpond/writer"
	"github.com/oklog/ulid/v2"
)

// try is an atomic that was handed in, and its answer.
type try struct {
	id     ulid.ULID
	atomic *kv.Atomic
	result kv.CommitResult
	err    error
}

// Whatever goes wrong with the log, with one sequencer or several that fight for it: what was acked is in the log exactly
// once and where the answer says; what was answered as failed is not there; what is unknown is there once or never. Every
// commit in the log is what the model makes of its atomic at that place.
func TestFaults(t *testing.T) {
	for _, sequencers := range []int{1, 2, 3} {
		for seed := range uint64(12) {
			t.Run(fmt.Sprintf("sequencers=%d/%d", sequencers, seed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					letBuntDBEnd(t)
					log := &events.MemoryLog{}
					tries := fight(t, log, sequencers, seed)
					verify(t, log, tries)
				})
			})
		}
	}
}

// fight runs sequencers on the log with random faults, and callers on each of them.
func fight(t *testing.T, log events.Log, sequencers int, seed uint64) (tries []try) {
	var mu sync.Mutex
	var callers sync.WaitGroup
	var rigs []*rig
	ready := make(chan struct{})
	for i := range sequencers {
		faulty := atRandom(log, seed*10+uint64(i))
		r := startWith(t, faulty, func(c *writer.Config) {
			c.Exclusive = sequencers == 1
			c.Now = func() kv.Millis { return kv.MillisOf(time.Now()) }
		}, projection.Options{})
		rigs = append(rigs, r)
		for j := range 6 {
			random := rand.New(rand.NewPCG(seed, uint64(100*i+j)))
			callers.Go(func() {
				<-ready
				for range 15 {
					done := tryAt(rigs, random)
					mu.Lock()
					tries = append(tries, done...)
					mu.Unlock()
				}
			})
		}
	}
	close(ready)
	callers.Wait()
	for i, r := range rigs {
		if i == 0 {
			r.kill()
		}
		r.stop()
	}
	time.Sleep(time.Second) // for the last appends that are late
	return tries
}

// tryAt hands in a random atomic, with little time now and then, and again with the same id if its outcome is unknown: at
// any of the sequencers.
func tryAt(rigs []*rig, random *rand.Rand) (tries []try) {
	r := rigs[random.IntN(len(rigs))]
	a := r.randomAtomic(random)
	request := writer.Request{ID: newID(), Atomic: a, Seen: r.projection.Chain().Applied}
	for range 3 {
		ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
		if random.IntN(3) == 0 {
			ctx, cancel = context.WithTimeout(r.t.Context(), time.Duration(random.IntN(20))*time.Millisecond)
		}
		result, err := r.Sequencer.Commit(ctx, request)
		cancel()
		tries = append(tries, try{request.ID, a, result, err})
		if !errors.Is(err, kv.ErrUnknownOutcome) {
			break
		}
		request.Repeat = true
		r = rigs[random.IntN(len(rigs))]
	}
	return tries
}

// randomAtomic increments, compares and sets, sets for a while, deletes, or cannot be done; always on few keys.
func (r *rig) randomAtomic(random *rand.Rand) *kv.Atomic {
	k, n := key("k", random.IntN(4)), key("n", random.IntN(2))
	a := &kv.Atomic{Mutations: []kv.Mutation{increment(n)}}
	switch random.IntN(5) {
	case 0:
		check := kv.Check{Key: k}
		r.projection.View(func(v projection.View) {
			if e, ok := v.Get(k); ok {
				check.Versionstamp = &e.Versionstamp
			}
		})
		a.Checks = append(a.Checks, check)
		a.Mutations = append(a.Mutations, set(k, fmt.Sprint(random.Uint32())))
	case 1:
		at := kv.MillisOf(time.Now()) + kv.Millis(random.IntN(300))
		a.Mutations = append(a.Mutations, setUntil(k, "for a while", at))
	case 2:
		a.Mutations = append(a.Mutations, kv.Mutation{Type: kv.MutationDelete, Key: k})
	case 3:
		a.Mutations = append(a.Mutations, set(k, "text"), increment(k)) // fails
	}
	return a
}

// verify holds the answers to the log, and the log to the model.
func verify(t *testing.T, log events.Log, tries []try) {
	t.Helper()
	atomics := map[ulid.ULID]*kv.Atomic{}
	for _, try := range tries {
		atomics[try.id] = try.atomic
	}
	model, committed, chain := replay(t, log, atomics)
	acked := map[ulid.ULID]bool{}
	for _, try := range tries {
		stamps := committed[try.id]
		if len(stamps) > 1 {
			t.Errorf("%v was committed at %v; want once", try.id, stamps)
		}
		if try.err == nil && try.result.OK() {
			acked[try.id] = true
			if len(stamps) != 1 || stamps[0] != try.result.Versionstamp {
				t.Errorf("%v was acked at %v and is at %v", try.id, try.result.Versionstamp, stamps)
			}
		}
	}
	for _, try := range tries { // whoever was told that it failed has not been told anything else
		failed := try.err == nil && !try.result.OK() || try.err != nil && !errors.Is(try.err, kv.ErrUnknownOutcome)
		if stamps := committed[try.id]; failed && len(stamps) > 0 {
			t.Errorf("%v was answered %+v, %v and is at %v", try.id, try.result, try.err, stamps)
		}
	}
	if len(acked) == 0 || len(acked) == len(atomics) {
		t.Errorf("%d of %d were acked; want some", len(acked), len(atomics))
	}
	p := projection.New(projection.Options{})
	defer p.Close()
	if err := p.CatchUp(t.Context(), log, chain.Applied); err != nil {
		t.Fatal(err)
	}
	s, err := p.Read([]kv.Range{{Start: "", End: "\xff", Limit: kv.MaxReadEntries}}, 0)
	if diff := cmp.Diff(s.Entries[0], model.Entries(chain.Time)); diff != "" || err != nil {
		t.Errorf("the projection differs (%v), got (-), want (+):\n%s", err, diff)
	}
}

// replay gives all commits of the log to the model, as their atomics, and returns where each is.
func replay(t *testing.T, log events.Log, atomics map[ulid.ULID]*kv.Atomic) (*kvtest.Model, map[ulid.ULID][]kv.Versionstamp, events.Chain) {
	t.Helper()
	model, committed, chain := kvtest.New(), map[ulid.ULID][]kv.Versionstamp{}, events.Chain{}
	for _, s := range records(t, log) {
		counts, err := chain.Accept(s)
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range s.Record.Commits {
			if !counts {
				break
			}
			stamp := kv.NewVersionstamp(s.Position, uint16(i))
			committed[c.ID] = append(committed[c.ID], stamp)
			if result, err := model.Commit(atomics[c.ID], s.Record.Time, stamp); err != nil || !result.OK() {
				t.Errorf("the commit at %v is %+v, %v to the model", stamp, result, err)
			}
		}
	}
	return model, committed, chain
}

// records returns everything in the log.
func records(t *testing.T, log events.Log) (list []events.Sealed) {
	t.Helper()
	_, last, err := log.Bounds(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r, err := log.Read(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for len(list) < int(last) {
		m, err := r.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s, err := events.Open(m)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, s)
	}
	return list
}
