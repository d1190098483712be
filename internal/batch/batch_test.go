package batch

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// Every question gets its own answer, once, whatever goes together and in whatever order a flight answers.
func TestEveryQuestionIsAnswered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sizes := rapid.SliceOfN(rapid.IntRange(1, 20), 1, 200).Draw(t, "sizes")
		most, count, lanes := rapid.IntRange(1, 50).Draw(t, "most"), rapid.IntRange(1, 30).Draw(t, "count"), rapid.IntRange(1, 4).Draw(t, "lanes")
		backwards := rapid.Bool().Draw(t, "backwards")
		var flying, answered atomic.Int64
		b := &Batcher[int, int]{Most: most, Count: count, Lanes: lanes, Size: func(q *int) int { return sizes[*q] }}
		b.Send = func(batch []*Request[int, int]) {
			if n := flying.Add(1); n > int64(lanes) {
				t.Errorf("%d flights in %d lanes", n, lanes)
			}
			size := 0
			for i := range batch {
				r := batch[i]
				if backwards {
					r = batch[len(batch)-1-i]
				}
				size += sizes[r.Question]
				answered.Add(1)
				r.Answer(-r.Question, nil)
			}
			if len(batch) > count || len(batch) > 1 && size > most {
				t.Errorf("%d questions of the size %d; at most %d and %d are allowed", len(batch), size, count, most)
			}
			flying.Add(-1)
		}
		var callers sync.WaitGroup
		for q := range sizes {
			callers.Go(func() {
				if a, sent, err := b.Ask(context.Background(), q); a != -q || !sent || err != nil {
					t.Errorf("question %d: %d, %v, %v", q, a, sent, err)
				}
			})
		}
		callers.Wait()
		b.Wait()
		if n := answered.Load(); n != int64(len(sizes)) {
			t.Errorf("%d answers to %d questions", n, len(sizes))
		}
		if b.flying != 0 || b.waiting != nil {
			t.Errorf("in the end %d flights, %d waiting", b.flying, len(b.waiting))
		}
	})
}

// What comes while all lanes are in use leaves together, and one that gives up before it leaves is never sent.
func TestGathers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		proceed, flights := make(chan struct{}), [][]int{}
		b := &Batcher[int, int]{Most: 100, Count: 100, Lanes: 1, Size: func(*int) int { return 1 }}
		b.Send = func(batch []*Request[int, int]) {
			var questions []int
			for _, r := range batch {
				questions = append(questions, r.Question)
			}
			flights = append(flights, questions)
			<-proceed
			for _, r := range batch {
				r.Answer(0, nil)
			}
		}
		reason := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		given := make(chan bool, 2)
		giveUp := func(q int) {
			_, sent, err := b.Ask(ctx, q)
			if err != reason {
				t.Errorf("question %d: %v; want the cause", q, err)
			}
			given <- sent
		}
		go giveUp(0)
		synctest.Wait()
		for q := 1; q < 4; q++ {
			go b.Ask(t.Context(), q)
			synctest.Wait()
		}
		go giveUp(4)
		synctest.Wait()
		cancel(reason)
		if first, second := <-given, <-given; first == second {
			t.Errorf("of one in flight and one that waited, sent is %v for both", first)
		}
		close(proceed)
		b.Wait()
		if len(flights) != 2 || len(flights[0]) != 1 || len(flights[1]) != 3 {
			t.Errorf("flights: %v; want one of 0 and one of 1, 2 and 3", flights)
		}
	})
}

// While a flight is late, as if its answer were lost, others leave; when it is over there are no more lanes than before.
func TestLateFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lost, flights := make(chan struct{}), atomic.Int64{}
		b := &Batcher[int, int]{Most: 100, Count: 100, Lanes: 1, Size: func(*int) int { return 1 }, Patience: time.Second, Spare: 1}
		b.Send = func(batch []*Request[int, int]) {
			flights.Add(1)
			if batch[0].Question < 0 {
				<-lost
			}
			for _, r := range batch {
				r.Answer(r.Question, nil)
			}
		}
		go b.Ask(t.Context(), -1)
		synctest.Wait()
		if a, _, err := b.Ask(t.Context(), 7); a != 7 || err != nil { // after a second, the next one leaves
			t.Errorf("got %d, %v", a, err)
		}
		go b.Ask(t.Context(), -2) // takes the spare lane
		synctest.Wait()
		go b.Ask(t.Context(), -3)
		<-time.After(time.Minute)
		synctest.Wait()
		if n := flights.Load(); n != 3 {
			t.Errorf("%d flights with a lane and a spare one, want 3", n)
		}
		close(lost)
		b.Wait()
		if b.flying != 0 || b.late != 0 || b.allowed() != 1 {
			t.Errorf("in the end %d flights, %d late", b.flying, b.late)
		}
	})
}
