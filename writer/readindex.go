package writer

import (
	"context"
	"time"

	"github.com/millpondkv/millpond/kv"
)

// ReadIndex is what a strong read on another process has to keep to: it must have applied the record at Position, and hides
// what has expired by Now.
type ReadIndex struct {
	Position kv.Position
	Now      kv.Millis
}

// ReadIndex returns an index that has every commit that was answered before the call, by this or an earlier leader. It is
// answered at once while the lease holds and nothing is in flight, and otherwise by the next record: the one that gathers
// commits now, or an empty one. It fails with kv.ErrUnavailable if this process does not lead, or ctx ends.
//
// It waits for what is in flight, since a reader elsewhere may have applied that record already, and shown it.
func (s *Sequencer) ReadIndex(ctx context.Context) (ReadIndex, error) {
	s.mu.Lock()
	if s.closed { // the resignation may be in the log already, and the next leader need not wait for the lease to end
		s.mu.Unlock()
		return ReadIndex{}, errClosed
	}
	now := s.c.Now() // before the lease is looked at: after it another leader may decide
	if s.flying.position == 0 && s.leading.Load() && s.leadsLocked(now) {
		index := ReadIndex{Position: s.acked, Now: now}
		s.mu.Unlock()
		return index, nil
	}
	answer := make(chan ReadIndex, 1)
	s.indexes = append(s.indexes, answer)
	s.signal()
	s.mu.Unlock()
	select {
	case index := <-answer:
		if index.Position == 0 {
			return ReadIndex{}, errClosed
		}
		return index, nil
	case <-ctx.Done():
		return ReadIndex{}, errNoIndex
	}
}

var errNoIndex = kv.Errorf(kv.ErrUnavailable, "The leader did not answer in time; try again.")

// leads reports whether it is certain, without a record, that no other process leads, nor will ever decide by a time before
// now.
func (s *Sequencer) leads(now kv.Millis) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.leadsLocked(now)
}

// leadsLocked: the monotonic clock says that nobody has taken over. The other clock, the one that entries expire by, may be
// ahead of that of the next leader; what a read has hidden must not come back. So the lease has an end in log time too,
// where the next leader's log time begins at the earliest (see tryEpoch).
func (s *Sequencer) leadsLocked(now kv.Millis) bool {
	return s.c.Exclusive || !s.c.Quorum && time.Now().Before(s.leaseEnds) && now <= s.leaseTime
}

// renew counts the lease from when the record of that log time, which was acked now, had been sent.
func (s *Sequencer) renew(sent time.Time, logTime kv.Millis) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaseEnds, s.leaseTime = sent.Add(s.c.Lease), logTime+kv.Millis(s.c.Lease.Milliseconds())
}

// index returns the index that holds after a step, which has departed at the time now and then appended a record or had the
// lease. It is of that time and no later one: by now another leader may have decided by what has expired since.
func (s *Sequencer) index(now kv.Millis) ReadIndex {
	s.mu.Lock()
	defer s.mu.Unlock()
	return ReadIndex{Position: s.acked, Now: now}
}

func (s *Sequencer) takeIndexes() []chan ReadIndex {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := s.indexes
	s.indexes = nil
	return taken
}

func (s *Sequencer) putBackIndexes(indexes []chan ReadIndex) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.indexes = append(s.indexes, indexes...)
}

// answerIndexes answers, with the zero index for a refusal.
func (s *Sequencer) answerIndexes(waiting []chan ReadIndex, index ReadIndex) {
	for _, answer := range waiting {
		answer <- index
	}
}
