package backup

import (
	"context"
	"fmt"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
)

// Base is where the states of a database begin that can be had from its log.
type Base struct {
	State  State        // not behind the target; Branch moves it on
	Oldest events.Chain // from which the log goes on; at or before the state

	// Messages calls each with the messages of the queue at Oldest; nil: they are not known.
	Messages func(ctx context.Context, each func(kv.QueuedMessage) error) error
}

// Needs reports whether a state at a place, or one that comes after it, may be that of the target.
func (t Target) Needs(at kv.Position, time kv.Millis) bool {
	return t.needs(Place{Applied: at, Time: time})
}

// Branch makes a database that is as the source was at the target, from the source's log. If to is nil nothing is made: Restored
// says what would be.
func Branch(ctx context.Context, source Source, base Base, t Target, name string, to Maker, now time.Time) (*Restored, error) {
	if to != nil {
		if err := to.Absent(ctx, name); err != nil {
			return nil, err
		}
	}
	_, last, err := source.Bounds(ctx)
	if err != nil {
		return nil, err
	}
	r := replay{target: t, state: base.State, chain: base.State.Chain()}
	after := logged{source: source, after: r.chain, last: last}
	err = after.read(ctx, func(s events.Sealed, _ events.Chain) error {
		if err := r.next(s); err != nil {
			return err
		}
		if r.done {
			return errThrough
		}
		return nil
	})
	if err != nil && err != errThrough {
		return nil, err
	}
	if err := r.finish(); err != nil {
		return nil, err
	}
	if t != (Target{}) && r.state.Chain().Applied == 0 {
		return nil, fmt.Errorf("the database did not exist yet at %s; choose a later moment", t)
	}
	return makeFrom(ctx, r.state, last, &logged{source, base.Oldest, last, base.Messages}, t, name, to, now)
}
