package writer

import (
	"context"
	"errors"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/internal/trouble"
	"github.com/millpondkv/millpond/kv"
)

const (
	damageTries  = 5               // readings of a record that cannot be accepted: the next one may be of another server of the log
	trimmedPause = 2 * time.Second // until there may be a checkpoint to go on from
)

// patience decides whether whoever reads a log goes on after a failure, and pauses before that.
type patience struct {
	trouble trouble.Trouble
	bad     int // readings in a row that have ended with damage at one place
	at      kv.Position
}

// goesOn pauses, and reports false once ctx has ended, or once the log has been found damaged in the same place again and
// again.
func (p *patience) goesOn(ctx context.Context, applied kv.Position, err error) bool {
	switch {
	case !isDamage(err):
		p.bad = 0
	case applied != p.at:
		p.bad, p.at = 1, applied
	default:
		p.bad++
	}
	if p.bad == damageTries || ctx.Err() != nil {
		return false
	}
	if !errors.Is(err, events.ErrFenced) { // somebody else was faster
		p.trouble.Fails(err)
	}
	again := retryPause
	if errors.Is(err, events.ErrTrimmed) {
		again = trimmedPause
	}
	pause(ctx, again)
	return ctx.Err() == nil
}
