// Package writer decides atomics, in one order, and appends what they did to the log: the sequencer.
//
// DESIGN.md beside this file has the one invariant and what a crash leaves behind.
package writer

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/internal/fault"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
	"github.com/oklog/ulid/v2"
)

// Config is what a sequencer works with.
type Config struct {
	Log        events.Log
	Projection *projection.Projection // only the sequencer applies to it
	Now        func() kv.Millis       // the leader's clock; must not go back while the process lives
	NewID      func() ulid.ULID       // random ids; the first names this writer
	Logger     *slog.Logger
	Metrics    Metrics // may be nil

	// Exclusive says that no other process can lead this database. Then an answer that changes nothing (failed checks, a
	// read index) needs no proof that this process still led when it was given.
	Exclusive bool
	// Lease is for how long an acked record proves that this process leads, counted from when it was sent. Standbys wait
	// longer than that after the last record before they take over. 0: for no time at all, so that each answer that
	// changes nothing takes a record.
	Lease time.Duration
	// Quorum says that the lease proves nothing here, though it may for other writers of the database: each answer that
	// changes nothing takes a record.
	Quorum bool
	// Yields says that Run is to end with ErrDeposed when another writer leads: when the log turns out to have gone on after
	// the record at From, the last one that counted, and not by this writer. Otherwise it takes over wherever the log ends, again and again.
	Yields bool
	From   kv.Position
	// Before is the lease of the leader before, if it is known to be longer than Lease.
	Before time.Duration
}

// ErrDeposed says that another writer leads now.
var ErrDeposed = errors.New("another writer leads")

// Metrics is told what a sequencer does, from its one goroutine.
type Metrics interface {
	// Appended: a record with so many commits and bytes was acked after d.
	Appended(commits, bytes int, d time.Duration)
	// Conflict: an atomic's checks failed.
	Conflict()
	// UnknownOutcome: the outcome of a record had to be found out by a new epoch.
	UnknownOutcome()
	// EpochBegun: this writer leads.
	EpochBegun()
}

// The bounds of what waits, and of how long.
const (
	maxWaiting      = 1 << 16                // requests; a client that is refused here tries again
	maxWaitingBytes = 256 << 20              // of their keys and values: a quarter of a second of the log's best
	appendTimeout   = 2 * time.Second        // then the outcome is unknown and a new epoch finds out
	boundsTimeout   = time.Second            // for asking where the log ends; whoever was asked may be lost
	catchUpTimeout  = time.Minute            // for reading on before a new epoch; then another try reads on from there
	retryPause      = 200 * time.Millisecond // between tries to begin an epoch on a log that does not answer
	expiryDelay     = time.Second            // after an expiry, before an idle database records it
)

// Sequencer leads one database. Run does the work, in one goroutine; Commit hands it requests from any.
type Sequencer struct {
	c       Config
	writer  ulid.ULID
	leading atomic.Bool
	begun   chan struct{} // closed when the first epoch has begun

	mu           sync.Mutex
	waiting      []*request // in the order of their coming
	waitingBytes int
	indexes      []chan ReadIndex // read indexes that wait for a record to be acked
	stale        bool             // a new epoch is to be begun: see Renew
	closed       bool             // no request is taken any more
	failed       bool             // and none ever will be, by any writer: the log is damaged
	wake         chan struct{}    // has room for one; filled when waiting or closed change
	flying       flight
	acked        kv.Position // of the last record that was applied when nothing was in flight
	leaseEnds    time.Time   // monotonic; zero before the first record of the epoch
	leaseTime    kv.Millis   // the end of the lease by the clock that entries expire by
}

// flight is the record that has been decided and not been applied yet.
type flight struct {
	position kv.Position // 0: there is none
	time     kv.Millis
	landed   chan struct{} // closed when it is over: the record is applied, or there will be none at that position
}

// New returns a sequencer, which does nothing until Run.
func New(c Config) *Sequencer {
	if c.Metrics == nil {
		c.Metrics = noMetrics{}
	}
	return &Sequencer{c: c, writer: c.NewID(), begun: make(chan struct{}), wake: make(chan struct{}, 1)}
}

// Run leads the database until Close is called and all that waited is answered, or ctx ends. It returns nil after a
// graceful end, and otherwise why it cannot go on; requests are refused from then on.
func (s *Sequencer) Run(ctx context.Context) error {
	err := s.lead(ctx)
	s.leading.Store(false)
	s.mu.Lock()
	s.closed, s.failed = true, isDamage(err)
	s.mu.Unlock()
	s.refuse(s.take(), s.closedError())
	s.answerIndexes(s.takeIndexes(), ReadIndex{})
	return err
}

// closedError returns why no request is taken any more.
func (s *Sequencer) closedError() error {
	if s.failed {
		return errDamaged
	}
	return errClosed
}

func (s *Sequencer) lead(ctx context.Context) error {
	if err := s.beginEpoch(ctx); err != nil {
		return err
	}
	s.rest()
	close(s.begun)
	for {
		s.leading.Store(true)
		closing := s.wait(ctx)
		if err := ctx.Err(); err != nil {
			return err
		}
		if s.takeStale() && !closing {
			if err := s.beginEpoch(ctx); err != nil {
				return err
			}
			s.rest()
		}
		if closing && s.idle() { // or there may be a record for nothing, on a log that cannot be reached
			return s.resign(ctx)
		}
		if err := s.step(ctx); err != nil {
			return err
		}
		if closing && s.idle() {
			return s.resign(ctx)
		}
	}
}

// Close makes the sequencer refuse new requests, and Run return once those that wait are answered. It does not block.
func (s *Sequencer) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.signal()
}

// Renew makes the sequencer begin a new epoch before it decides more, so that the record of the current one may be trimmed away. It does
// not block.
func (s *Sequencer) Renew() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stale = true
	s.signal()
}

func (s *Sequencer) takeStale() (stale bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	stale, s.stale = s.stale, false
	return stale
}

// Begun returns a channel that is closed once the sequencer leads for the first time.
func (s *Sequencer) Begun() <-chan struct{} { return s.begun }

// Writer returns the id that this sequencer's epoch records have.
func (s *Sequencer) Writer() ulid.ULID { return s.writer }

// Leading reports whether the sequencer has begun its epoch and decides requests.
func (s *Sequencer) Leading() bool { return s.leading.Load() }

// wait blocks until there are requests, an expiry is to be recorded, or the end has come, and reports whether it has.
func (s *Sequencer) wait(ctx context.Context) (closing bool) {
	var expiry <-chan time.Time
	if next := s.nextExpiry(); next != 0 {
		timer := time.NewTimer(next.Until(s.c.Now()) + expiryDelay)
		defer timer.Stop()
		expiry = timer.C
	}
	for {
		s.mu.Lock()
		waiting, stale, closed := len(s.waiting)+len(s.indexes), s.stale, s.closed
		s.mu.Unlock()
		if waiting > 0 || stale || closed {
			return closed
		}
		select {
		case <-s.wake:
		case <-expiry:
			return false
		case <-ctx.Done():
			return true
		}
	}
}

func (s *Sequencer) nextExpiry() (at kv.Millis) {
	s.c.Projection.View(func(v projection.View) { at = v.NextExpiry() })
	return at
}

// step decides all that waits, as far as it fits into a record, appends the record, and answers. An error ends the reign
// for good.
func (s *Sequencer) step(ctx context.Context) error {
	requests, indexes := s.take(), s.takeIndexes()
	var g *group
	s.c.Projection.View(func(v projection.View) {
		g = newGroup(v, s.depart(v.Chain()))
		for i, r := range requests {
			if !g.add(r) {
				s.putBack(requests[i:])
				requests = requests[:i]
				break
			}
		}
	})
	err := s.append(ctx, g)
	if err != nil {
		s.c.Logger.Warn("the outcome of a record is unknown; a new epoch will tell", "position", g.position, "commits", len(g.commits), "error", err)
		s.c.Metrics.UnknownOutcome()
		s.putBackIndexes(indexes)
		return s.settle(ctx, g, requests)
	}
	fault.Point("answer")
	s.answer(requests)
	s.answerIndexes(indexes, s.index(g.now))
	return nil
}

// depart begins the flight of the next record and returns its log time. From here on no strong read may show a state
// later than that without the record: see ReadPoint.
func (s *Sequencer) depart(after events.Chain) kv.Millis {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flying = flight{position: after.Applied + 1, time: max(s.c.Now(), after.Time), landed: make(chan struct{})}
	return s.flying.time
}

// land ends the flight.
func (s *Sequencer) land() {
	s.mu.Lock()
	close(s.flying.landed)
	s.mu.Unlock()
	s.rest()
}

// rest says that nothing is in flight: all that is applied by now was acked.
func (s *Sequencer) rest() {
	applied := s.c.Projection.Chain().Applied
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flying, s.acked = flight{}, applied
}

// append puts the group into the log and into the projection. After an error of the log the outcome is unknown. A group
// without commits is appended only if entries have expired since the last record, or to prove that this process leads.
func (s *Sequencer) append(ctx context.Context, g *group) error {
	if len(g.commits) == 0 && !s.nextExpiry().Expired(g.now) && s.leads(g.now) {
		s.land()
		return nil
	}
	chain := s.c.Projection.Chain()
	record := &events.Record{Kind: events.KindCommits, Epoch: chain.Epoch, Previous: chain.Hash, Time: g.now, Commits: g.commits}
	sealed, data := events.Seal(g.position, record)
	sent := time.Now()
	ctx, cancel := context.WithTimeout(ctx, appendTimeout)
	defer cancel()
	if _, err := s.c.Log.Append(ctx, events.Append{Kind: record.Kind, Data: data, Last: chain.Applied, Epoch: chain.Epoch}); err != nil {
		return err
	}
	s.c.Metrics.Appended(len(g.commits), len(data), time.Since(sent))
	if err := s.c.Projection.Apply(sealed); err != nil {
		return err
	}
	s.renew(sent, record.Time)
	s.land()
	return nil
}

// ReadPoint is what a strong read has to keep to. The read happens at Now. If it leaves out an entry because it has expired
// since FlightTime (projection.Snapshot.Hidden), and has not applied the record at Flight, it must wait until Landed is closed
// and begin again: that record was decided while the entry was there.
type ReadPoint struct {
	Now        kv.Millis
	Flight     kv.Position // 0: no record is in flight
	FlightTime kv.Millis
	Landed     <-chan struct{}
}

// ReadPoint returns what a strong read that begins now has to keep to. It is right only where Exclusive is true.
func (s *Sequencer) ReadPoint() ReadPoint {
	s.mu.Lock()
	defer s.mu.Unlock()
	return ReadPoint{Now: s.c.Now(), Flight: s.flying.position, FlightTime: s.flying.time, Landed: s.flying.landed}
}

// noMetrics counts nothing.
type noMetrics struct{}

func (noMetrics) Appended(int, int, time.Duration) {}
func (noMetrics) Conflict()                        {}
func (noMetrics) UnknownOutcome()                  {}
func (noMetrics) EpochBegun()                      {}
