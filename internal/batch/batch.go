// Package batch sends what many goroutines ask in few messages: group commit on the side of those who ask.
package batch

import (
	"context"
	"runtime"
	"sync"
	"time"
)

// Batcher gathers requests while others are in flight. Nobody waits for a timer: what comes when a lane is free leaves at once.
type Batcher[Q, A any] struct {
	// Send makes one flight: it answers every request of the batch, with Answer, before it returns. It must return in bounded
	// time. It is called by as many goroutines as there are lanes.
	Send func(batch []*Request[Q, A])
	// Size is what a question counts towards Most.
	Size  func(*Q) int
	Most  int // size of a batch; a question that is larger flies alone
	Count int // questions of a batch, at most
	Lanes int // batches in flight, at most
	// A flight that takes longer than Patience may have been lost: for each such flight one more may leave meanwhile, but never more
	// than Spare.
	Patience time.Duration
	Spare    int

	mu      sync.Mutex
	waiting []*Request[Q, A] // in the order of their coming
	flying  int              // flights
	late    int              // flights that have taken longer than Patience
	idle    sync.WaitGroup   // flights
}

// Request is one request on its way.
type Request[Q, A any] struct {
	Question Q
	left     bool          // it is in flight; guarded by the batcher's lock
	done     chan struct{} // closed once the rest is set
	answer   A
	err      error
}

// Answer answers the request. It is called once.
func (r *Request[Q, A]) Answer(a A, err error) {
	r.answer, r.err = a, err
	close(r.done)
}

// Ask blocks until the question is answered, or ctx ends; then the error is context.Cause(ctx), and sent says whether the
// question may have left.
func (b *Batcher[Q, A]) Ask(ctx context.Context, q Q) (answer A, sent bool, err error) {
	r := &Request[Q, A]{Question: q, done: make(chan struct{})}
	b.board(r)
	select {
	case <-r.done:
		return r.answer, true, r.err
	case <-ctx.Done():
		return answer, b.leave(r), context.Cause(ctx)
	}
}

// Wait blocks until no flight is left. Nobody may ask any more.
func (b *Batcher[Q, A]) Wait() { b.idle.Wait() }

func (b *Batcher[Q, A]) board(r *Request[Q, A]) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting = append(b.waiting, r)
	b.launch()
}

// leave takes back a request that has not been sent, and reports whether it has.
func (b *Batcher[Q, A]) leave(r *Request[Q, A]) (sent bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r.left {
		return true
	}
	for i, w := range b.waiting {
		if w == r {
			b.waiting = append(b.waiting[:i], b.waiting[i+1:]...)
			break
		}
	}
	return false
}

// fly makes one flight after the other until nobody waits.
func (b *Batcher[Q, A]) fly() {
	for {
		b.gather()
		batch := b.depart()
		if len(batch) == 0 {
			return
		}
		patience := time.AfterFunc(b.Patience, func() { b.isLate(1) })
		b.Send(batch)
		if !patience.Stop() {
			b.isLate(-1)
		}
	}
}

// isLate notes that so many flights more are late, and lets another one leave if that is due.
func (b *Batcher[Q, A]) isLate(more int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.late += more
	b.launch()
}

// launch starts a flight if somebody waits and a lane is free. The caller holds the lock.
func (b *Batcher[Q, A]) launch() {
	if len(b.waiting) > 0 && b.flying < b.allowed() {
		b.flying++
		b.idle.Go(b.fly)
	}
}

// allowed returns how many flights there may be now. The caller holds the lock.
func (b *Batcher[Q, A]) allowed() int { return b.Lanes + min(max(b.late, 0), b.Spare) }

// gather lets goroutines run that are ready to, for as long as each round brings an eighth more questions: those that were woken
// together, by the answer to what they had asked together, leave together again. It does not wait for anybody, and a steady
// stream of questions does not hold it up.
func (b *Batcher[Q, A]) gather() {
	for before := 0; ; {
		runtime.Gosched()
		b.mu.Lock()
		n := len(b.waiting)
		b.mu.Unlock()
		if n >= b.Count || n-before <= before/8 {
			return
		}
		before = n
	}
}

// depart returns those that leave now; none: the flight is over.
func (b *Batcher[Q, A]) depart() []*Request[Q, A] {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, size := 0, 0
	for n < len(b.waiting) && n < b.Count && b.flying <= b.allowed() {
		if size += b.Size(&b.waiting[n].Question); n > 0 && size > b.Most {
			break
		}
		b.waiting[n].left = true
		n++
	}
	batch := b.waiting[:n:n]
	b.waiting = b.waiting[n:]
	if len(b.waiting) == 0 {
		b.waiting = nil
	}
	if n == 0 {
		b.flying--
	}
	return batch
}
