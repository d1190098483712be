package writer

import (
	"context"
	"errors"
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
	// Single says that an error is to be about this try alone: the caller remembers what may have become of earlier ones.
	Single bool
}

// request is a Request on its way.
type request struct {
	id     ulid.ULID
	atomic *kv.Atomic
	repeat bool
	seen   kv.Position
	size   int

	// The sequencer takes the request and decides it, and may put it back. Its caller gives it up, at any time: a request that
	// is given up when it is taken, or put back, is never decided.
	state  atomic.Uint32
	answer answer        // set by the sequencer before done is closed
	done   chan struct{} // closed when answered
}

const (
	stateWaiting = 0
	stateTaken   = 1
	stateGivenUp = 2
)

type answer struct {
	result kv.CommitResult
	err    error
}

var (
	errClosed         = kv.Errorf(kv.ErrUnavailable, "the database is closing or has no leader; nothing was changed, try again")
	errDamaged        = kv.Errorf(kv.ErrWritesDisabled, "the log of this database is damaged and takes no writes; what its program logs says where")
	errBusy           = kv.Errorf(kv.ErrUnavailable, "too many atomic writes wait already; nothing was changed, try again")
	errNotDecided     = kv.Errorf(kv.ErrUnavailable, "the atomic write was not decided in time; nothing was changed, try again")
	errUnknownOutcome = kv.Errorf(kv.ErrUnknownOutcome, "it is not known whether the atomic write was committed; read its keys before trying again")
)

// Commit hands in a request and blocks until it is answered or ctx ends. Its errors are ErrInvalid; ErrUnavailable and
// ErrWritesDisabled, when certainly nothing was changed; and ErrUnknownOutcome, when ctx ended after the request was taken up, or
// when a repeat comes too late to tell or, unless Single, is not decided. After ErrUnknownOutcome the request can be sent again, as
// a repeat.
func (s *Sequencer) Commit(ctx context.Context, r Request) (kv.CommitResult, error) {
	result, err := s.commit(ctx, r)
	return result, r.outcome(err)
}

// outcome is the error for the client of a request.
func (r *Request) outcome(err error) error {
	refused := errors.Is(err, kv.ErrUnavailable) || errors.Is(err, kv.ErrWritesDisabled)
	if r.Repeat && !r.Single && refused { // this try has changed nothing; an earlier one may have
		return errUnknownOutcome
	}
	return err
}

func (s *Sequencer) commit(ctx context.Context, r Request) (kv.CommitResult, error) {
	waiting := newRequest(&r)
	if err := s.enqueue(waiting); err != nil {
		return kv.CommitResult{}, err
	}
	return waiting.wait(ctx)
}

func newRequest(r *Request) *request {
	return &request{id: r.ID, atomic: r.Atomic, repeat: r.Repeat, seen: r.Seen, size: sizeOf(r.Atomic), done: make(chan struct{})}
}

// wait blocks until the request is answered, or gives it up when ctx ends.
func (r *request) wait(ctx context.Context) (kv.CommitResult, error) {
	select {
	case <-r.done:
	case <-ctx.Done():
		if r.state.Swap(stateGivenUp) == stateWaiting {
			return kv.CommitResult{}, errNotDecided
		}
		select {
		case <-r.done: // at the same moment
		default:
			return kv.CommitResult{}, errUnknownOutcome
		}
	}
	return r.answer.result, r.answer.err
}

func (s *Sequencer) enqueue(r *request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.enqueueLocked(r)
}

func (s *Sequencer) enqueueLocked(r *request) error {
	switch {
	case s.closed:
		return s.closedError()
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
		if r.state.CompareAndSwap(stateWaiting, stateTaken) {
			taken = append(taken, r)
		}
	}
	return taken
}

// putBack makes requests that were taken wait again, before those that came later, unless their callers have gone.
func (s *Sequencer) putBack(requests []*request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := make([]*request, 0, len(requests)+len(s.waiting))
	for _, r := range requests {
		if r.state.CompareAndSwap(stateTaken, stateWaiting) {
			first = append(first, r)
			s.waitingBytes += r.size
		}
	}
	s.waiting = append(first, s.waiting...)
}

// again makes the request a repeat: a try at that position has failed, and meanwhile its client may have got another writer
// to commit it.
func (r *request) again(position kv.Position) {
	if !r.repeat {
		r.repeat, r.seen = true, position-1
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
	n := 200 + a.Size() + 50*len(a.Checks) + 100*len(a.Mutations) + 100*len(a.Enqueues)
	for i := range a.Mutations {
		n += len(a.Mutations[i].SumMin) + len(a.Mutations[i].SumMax)
	}
	return n
}
