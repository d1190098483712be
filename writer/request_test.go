package writer_test

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kv/v8"
	"github.com/millpondkv/millpond/projection"
	"github.com/millpondkv/millpond/writer"
)

// A repeat gets its first answer: from the table, from its own record, and after a restart. A new request with the same
// contents does not.
func TestRepeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		letBuntDBEnd(t)
		log := &events.MemoryLog{}
		h := hold(log)
		r := start(t, h)
		request := requestOf(increment(key("n")))
		repeat := request
		repeat.Repeat = true

		blocker := r.later(requestOf())
		first, second := r.later(request), r.later(repeat)
		h.goOn <- nil
		<-blocker
		h.goOn <- nil
		want := (<-first).result.Versionstamp
		if got := <-second; got.err != nil || got.result.Versionstamp != want {
			t.Errorf("in one record: %+v, %v; want %v", got.result, got.err, want)
		}
		if got := <-r.later(repeat); got.err != nil || got.result.Versionstamp != want {
			t.Errorf("later: %+v, %v; want %v", got.result, got.err, want)
		}
		r.stop()
		r = start(t, log)
		if got := <-r.later(repeat); got.err != nil || got.result.Versionstamp != want {
			t.Errorf("after a restart: %+v, %v; want %v", got.result, got.err, want)
		}
		if got := r.get(key("n")).Value.Data[0]; got != 1 {
			t.Errorf("n = %d; want 1", got)
		}
		sameAsReplay(t, r.projection, log)
	})
}

// A repeat whose first try is not in the table was never committed if the table reaches back to what the client had seen;
// otherwise its outcome stays unknown.
func TestRepeatOfUnknown(t *testing.T) {
	r := startWith(t, &events.MemoryLog{}, nil, projection.Options{RecentCommits: 2})
	for range 5 {
		r.mustCommit(increment(key("n"))) // at positions 2 to 6: the table has the last two
	}
	for _, test := range []struct {
		seen kv.Position
		want error
	}{{0, kv.ErrUnknownOutcome}, {3, kv.ErrUnknownOutcome}, {4, nil}} {
		request := requestOf(set(key(test.seen.String()), ""))
		request.Repeat, request.Seen = true, test.seen
		_, err := r.Sequencer.Commit(t.Context(), request)
		if !errors.Is(err, test.want) {
			t.Errorf("seen %d: %v; want %v", test.seen, err, test.want)
		}
		if got := r.get(request.Atomic.Mutations[0].Key).Exists(); got != (test.want == nil) {
			t.Errorf("seen %d: committed: %v; want the contrary", test.seen, got)
		}
	}
}

// An atomic that is not taken up in its time is never committed, and says so; a repeat that is not has an unknown outcome.
func TestContextEndsBeforeDecision(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		letBuntDBEnd(t)
		h := hold(&events.MemoryLog{})
		r := start(t, h)
		flying := r.later(requestOf(increment(key("n"))))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		request := requestOf(increment(key("n")))
		if _, err := r.Sequencer.Commit(ctx, request); !errors.Is(err, kv.ErrUnavailable) {
			t.Errorf("got %v; want ErrUnavailable", err)
		}
		request.Repeat = true
		if _, err := r.Sequencer.Commit(ctx, request); !errors.Is(err, kv.ErrUnknownOutcome) {
			t.Errorf("the repeat: %v; want ErrUnknownOutcome", err)
		}
		h.goOn <- nil
		<-flying
		r.stop()
		if got := r.get(key("n")).Value.Data[0]; got != 1 {
			t.Errorf("n = %d; want 1", got)
		}
	})
}

// What does not fit into a record goes into the next ones, in the order in which it came, and everything is answered.
func TestFullRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		letBuntDBEnd(t)
		log := &events.MemoryLog{}
		h := hold(log)
		r := start(t, h)
		answers := []<-chan try{r.later(requestOf())}
		big := strings.Repeat("x", kv.MaxValueSize)
		for i := range 40 {
			answers = append(answers, r.later(requestOf(set(key("first"), fmt.Sprint(i)), set(key("big", i), big))))
		}
		go func() {
			for range h.arrived {
				h.goOn <- nil
			}
		}()
		last := kv.Versionstamp{}
		for i, answer := range answers {
			try := <-answer
			if try.err != nil || string(try.result.Versionstamp[:]) <= string(last[:]) {
				t.Fatalf("answer %d: %v, %v; want one after %v", i, try.result, try.err, last)
			}
			last = try.result.Versionstamp
		}
		r.stop()
		close(h.arrived)
		if got := string(r.get(key("first")).Value.Data); got != "39" {
			t.Errorf("got %q; want the last one's, 39", got)
		}
		if n := len(records(t, log)); n < 5 {
			t.Errorf("%d records; want several", n)
		}
		sameAsReplay(t, r.projection, log)
	})
}

// Sums whose results do not fit into a record are refused, and nothing of them is seen.
func TestSumsBeyondARecord(t *testing.T) {
	r := start(t, &events.MemoryLog{})
	huge, err := v8.Encode(new(big.Int).Lsh(big.NewInt(1), 8*60_000))
	if err != nil {
		t.Fatal(err)
	}
	one, err := v8.Encode(big.NewInt(1))
	if err != nil {
		t.Fatal(err)
	}
	a := &kv.Atomic{}
	for i := range 16 {
		r.mustCommit(kv.Mutation{Type: kv.MutationSet, Key: key("n", i), Value: kv.Value{Encoding: kv.EncodingV8, Data: huge}})
		a.Mutations = append(a.Mutations, kv.Mutation{Type: kv.MutationSum, Key: key("n", i), Value: kv.Value{Encoding: kv.EncodingV8, Data: one}})
	}
	before := r.get(key("n", 0))
	if _, err := r.Commit(t.Context(), a); !errors.Is(err, kv.ErrInvalid) || !strings.Contains(err.Error(), "900000") {
		t.Errorf("got %v; want ErrInvalid that names the limit", err)
	}
	if got := r.get(key("n", 0)); got.Versionstamp != before.Versionstamp {
		t.Errorf("changed at %v; want it as at %v", got.Versionstamp, before.Versionstamp)
	}
	r.mustCommit(increment(key("other")))
}

// Requests beyond what may wait are refused at once, with nothing changed.
func TestTooMuchWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		letBuntDBEnd(t)
		r := start(t, hold(&events.MemoryLog{}))
		defer r.kill()
		r.later(requestOf())
		a := &kv.Atomic{}
		for i := range 12 {
			a.Mutations = append(a.Mutations, set(key(i), strings.Repeat("x", kv.MaxValueSize)))
		}
		for range (256 << 20) / (12 * kv.MaxValueSize) {
			r.later(writer.Request{ID: newID(), Atomic: a})
		}
		if _, err := r.Commit(t.Context(), a); !errors.Is(err, kv.ErrUnavailable) {
			t.Errorf("got %v; want ErrUnavailable", err)
		}
	})
}
