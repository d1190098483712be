package writer

import (
	"context"
	"sync/atomic"

	"github.com/millpondkv/millpond/kv"
	"github.com/oklog/ulid/v2"
)

// Request is an atomic to be decided. It must be valid (kv.Atomic.Validate).
type Request struct {
	ID     ulid.ULID // unique to this request; a repeat has that of the first try
	Atomic *kv.Atomic
	// Of a repeat: the highest position that the client had seen before it sent the first try. If the recent commits reach
	// back that far and do not have the id, the first try was not committed.
	Repeat bool
	Seen   kv.Position
}

// request is a Request on its way.
type request struct {
	id     ulid.ULID
	atomic *kv.Atomic
	repeat bool
	seen   kv.Position
	size   int

	// Whoever moves it on from 0 decides what becomes of the request: the sequencer takes it, or its caller gives it up.
	state  atomic.Uint32
	answer answer        // set by the sequencer before done is closed
	done   chan struct{} // closed when answered
}

const (
	stateTaken   = 1
	stateGivenUp = 2
)

type answer struct {
	result kv.CommitResult
	err    error
}

var (
	errClosed         = kv.Errorf(kv.ErrUnavailable, "The database is closing or has no leader; nothing was changed, try again.")
	errBusy           = kv.Errorf(kv.ErrUnavailable, "Too many atomic writes wait already; nothing was changed, try again.")
	errNotDecided     = kv.Errorf(kv.ErrUnavailable, "The atomic write was not decided in time; nothing was changed, try again.")
	errUnknownOutcome = kv.Errorf(kv.ErrUnknownOutcome, "It is not known whether the atomic write was committed; read its keys before trying again.")
)

// Commit hands in a request and blocks until it is answered or ctx ends. Its errors are ErrInvalid; ErrUnavailable, when
// certainly nothing was changed; and ErrUnknownOutcome, when ctx ended after the request was taken up, or a repeat comes
// too late to tell.
func (s *Sequencer) Commit(ctx context.Context, r Request) (kv.CommitResult, error) {
	waiting := &request{id: r.ID, atomic: r.Atomic, repeat: r.Repeat, seen: r.Seen, size: sizeOf(r.Atomic), done: make(chan struct{})}
	if err := s.enqueue(waiting); err != nil {
		return kv.CommitResult{}, err
	}
	select {
	case <-waiting.done:
	case <-ctx.Done():
		if waiting.state.CompareAndSwap(0, stateGivenUp) {
			return kv.CommitResult{}, errNotDecided
		}
		select {
		case <-waiting.done: // at the same moment
		default:
			return kv.CommitResult{}, errUnknownOutcome
		}
	}
	return waiting.answer.result, waiting.answer.err
}

func (s *Sequencer) enqueue(r *request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return errClosed
	case len(s.waiting) >= maxWaiting || s.waitingBytes+r.size > maxWaitingBytes:
		return errBusy
	}
	s.waiting = append(s.waiting, r)
	s.waitingBytes += r.size
	s.signal()
	return nil
}

// signal wakes the sequencer's goroutine. The caller holds the lock.
func (s *Sequencer) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// take returns all requests that wait and have not been given up.
func (s *Sequencer) take() []*request {
	s.mu.Lock()
	waiting := s.waiting
	s.waiting, s.waitingBytes = nil, 0
	s.mu.Unlock()
	taken := waiting[:0]
	for _, r := range waiting {
		if r.state.CompareAndSwap(0, stateTaken) {
			taken = append(taken, r)
		}
	}
	return taken
}

// putBack makes requests that were taken wait again, before those that came later.
func (s *Sequencer) putBack(requests []*request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = append(append([]*request(nil), requests...), s.waiting...)
	for _, r := range requests {
		r.state.Store(0) // its caller may give it up again
		s.waitingBytes += r.size
	}
}

func (s *Sequencer) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting) == 0
}

// answer sends the answers that the group has set.
func (s *Sequencer) answer(requests []*request) {
	for _, r := range requests {
		if !r.answer.result.OK() {
			s.c.Metrics.Conflict()
		}
		close(r.done)
	}
}

func (s *Sequencer) refuse(requests []*request, err error) {
	for _, r := range requests {
		r.answer = answer{err: err}
		close(r.done)
	}
}

// sizeOf returns about what an atomic takes in memory, in bytes.
func sizeOf(a *kv.Atomic) int {
	n := 200
	for i := range a.Mutations {
		n += 100 + len(a.Mutations[i].Key) + len(a.Mutations[i].Value.Data)
	}
	for i := range a.Checks {
		n += 50 + len(a.Checks[i].Key)
	}
	for i := range a.Enqueues {
		n += 100 + len(a.Enqueues[i].Payload)
	}
	return n
}
