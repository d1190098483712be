package writer

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/internal/trouble"
	"github.com/millpondkv/millpond/kv"
	"github.com/oklog/ulid/v2"
)

// Heartbeat says that a writer leads in an epoch.
type Heartbeat struct {
	Writer ulid.ULID
	Epoch  kv.Position
}

// StandbyConfig is how a Standby works.
type StandbyConfig struct {
	// Config is that of the sequencers it starts. Its Exclusive, Yields and From are not used.
	Config

	// Silence is for how long there must have been neither a record nor a heartbeat before the leader is taken for lost. It is
	// waited for longer where that is less than the leader's lease and a quarter of it, by which clocks may drift apart.
	Silence time.Duration

	// Heartbeats are those of the database's leaders; nil if there are none.
	Heartbeats <-chan Heartbeat

	// Yield asks the standby to resign if it leads, and then to let others go first; nil: nobody asks.
	Yield <-chan struct{}

	// Handicap is how much longer than others this writer waits before it leads, for instance because it leads many other
	// databases already; nil: not at all.
	Handicap func() time.Duration
}

// ErrGone, as the cause with which the context of Standby.Run ends, says that the database is there no more: nothing can be decided, and
// what is in flight stays unknown.
var ErrGone = errors.New("the database is gone")

// Standby follows a database's log, and leads when nobody else does.
//
// Leadership is for speed, and the fence in the log for safety: should two writers believe that they lead, only one of them
// can append. But a leader answers read indexes from its lease. That is right because a standby waits for longer than the
// lease after it has seen the last record, and then begins its epoch at exactly that place.
type Standby struct {
	c       StandbyConfig
	former  []ulid.ULID // who has led, as far as it has seen, the last one last; belongs to the goroutine of Run, but while serve runs
	yielded bool        // its last reign has ended because it was asked to yield; belongs to the goroutine of Run
}

// NewStandby returns a standby, which does nothing until Run.
func NewStandby(c StandbyConfig) *Standby {
	c.Exclusive, c.Yields = false, true
	return &Standby{c: c}
}

// Run stands by, leads, and stands by again, until ctx ends or the log is damaged; it returns why. It is called once. Whenever it leads it runs
// serve, with a context that ends when its reign does, and waits for it to return. When ctx ends while it leads, it
// answers what waits and resigns, so that the next writer starts at once.
func (s *Standby) Run(ctx context.Context, serve func(context.Context, *Sequencer)) error {
	for {
		from, err := s.await(ctx)
		if err != nil {
			return err
		}
		err = s.reign(ctx, from, serve)
		switch {
		case isDamage(err):
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && !errors.Is(err, ErrDeposed):
			s.c.Logger.Warn("the reign has ended", "error", err)
		}
	}
}

// mostFormer bounds the former leaders that are remembered: requests go to the last one, or to whom a slow reader takes for it.
const mostFormer = 8

// Former returns those who led before; serve may ask. The epochs of all of them have ended before its own has begun.
func (s *Standby) Former() []ulid.ULID { return slices.Clone(s.former) }

// led notes who has led.
func (s *Standby) led(w ulid.ULID) {
	if w.IsZero() || slices.Contains(s.former, w) {
		return
	}
	s.former = append(s.former[max(0, len(s.former)+1-mostFormer):], w)
}

// reign leads after the given record, the last one that counts.
func (s *Standby) reign(ctx context.Context, from kv.Position, serve func(context.Context, *Sequencer)) error {
	c := s.c.Config
	c.From = from
	q := New(c)
	defer context.AfterFunc(ctx, q.Close)()
	reign, end := context.WithCancel(context.WithoutCancel(ctx))
	defer context.AfterFunc(ctx, func() {
		if errors.Is(context.Cause(ctx), ErrGone) || !hasBegun(q) { // there is no log to resign in, or nothing to resign from
			end()
		}
	})()
	s.yielded = false
	var serving sync.WaitGroup
	serving.Go(func() {
		select {
		case <-s.c.Yield:
			s.yielded = true
			q.Close()
		case <-reign.Done():
		}
	})
	serving.Go(func() {
		select {
		case <-q.Begun():
			serve(reign, q)
		case <-reign.Done():
		}
	})
	err := q.Run(reign)
	end()
	serving.Wait()
	s.led(q.Writer())
	return err
}

func hasBegun(q *Sequencer) bool {
	select {
	case <-q.Begun():
		return true
	default:
		return false
	}
}

const (
	checkEvery = 50 * time.Millisecond // how often a standby looks whether there is a leader
	yieldFor   = 2 * time.Second       // how much longer it waits after it has yielded
)

// await follows the log until it has no leader, and returns the last record that counts.
func (s *Standby) await(ctx context.Context) (kv.Position, error) {
	for {
		following, stop := context.WithCancel(ctx)
		ended := make(chan error, 1)
		go func() { ended <- s.follow(following) }()
		at, err := s.watch(ctx, ended)
		stop()
		if err == nil {
			err = <-ended
		}
		switch {
		case ctx.Err() != nil:
			return 0, ctx.Err()
		case isDamage(err):
			return 0, err
		}
		if chain := s.c.Projection.Chain(); chain == at { // nothing came while the follower was stopping
			return at.Counted, nil
		}
	}
}

// follow applies the log's records as they come until ctx ends or the log is damaged, as several readings say. A reader that
// fails otherwise is opened again.
func (s *Standby) follow(ctx context.Context) error {
	p := patience{trouble: trouble.Trouble{Logger: s.c.Logger, What: "cannot follow the log"}}
	for {
		err := s.c.Projection.Follow(ctx, s.c.Log)
		if !p.goesOn(ctx, s.c.Projection.Chain().Applied, err) {
			return err
		}
	}
}

// watch blocks until the database has had no leader for long enough, and returns how far the log had been read then; or
// until the follower has ended, and returns why.
func (s *Standby) watch(ctx context.Context, ended <-chan error) (at events.Chain, err error) {
	ticker := time.NewTicker(checkEvery)
	defer ticker.Stop()
	alive := time.Now() // when the leader was last heard of, or this began
	for {
		select {
		case err := <-ended:
			return at, errors.Join(err, errStoppedFollowing)
		case beat := <-s.c.Heartbeats:
			if beat.Epoch >= at.Epoch {
				alive = time.Now()
			}
		case <-ticker.C:
			chain := s.c.Projection.Chain()
			now := time.Now()               // after the look: what was seen had been sent before
			if s.c.Projection.TakesOver() { // and knows nothing of leaders before it has
				alive = now
			}
			if chain.Counted != at.Counted { // what is void is no sign of a leader
				alive = now
				s.yielded = s.yielded && chain.Writer == (ulid.ULID{}) // somebody else leads, or did
			}
			if chain.Epoch != at.Epoch && chain.Lease > s.c.Lease {
				s.c.Logger.Warn("the leader has a longer lease, which is waited out; give all writers the same one", "leader", chain.Lease, "here", s.c.Lease)
			}
			s.led(chain.Writer)
			at = chain
			if now.Sub(alive) >= s.wait(chain) {
				return at, nil
			}
		}
	}
}

var errStoppedFollowing = errors.New("the log is not followed any more")

// wait returns how long nothing must have been heard of a leader. After a resignation, and on an empty log, there is none.
func (s *Standby) wait(chain events.Chain) (d time.Duration) {
	if chain.Writer != (ulid.ULID{}) {
		lease := leaseOf(chain, s.c.Lease)
		d = max(s.c.Silence, lease+lease/4)
	}
	if s.c.Handicap != nil {
		d += s.c.Handicap()
	}
	if s.yielded {
		d += yieldFor
	}
	return d
}
