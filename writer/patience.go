package writer

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
)

const (
	damageTries = 5                // readings of a record that cannot be accepted: the next one may be of another server of the log
	sayAgain    = 10 * time.Second // a failure that goes on is logged so often

	trimmedPause = 2 * time.Second // until there may be a checkpoint to go on from
)

// patience decides whether whoever reads a log goes on after a failure, and pauses before that.
type patience struct {
	logger *slog.Logger
	what   string // failed
	bad    int    // readings in a row that have ended with damage at one place
	at     kv.Position
	said   time.Time
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
	if now := time.Now(); now.Sub(p.said) >= sayAgain {
		p.said = now
		p.logger.Warn(p.what+"; trying again", "error", err)
	}
	again := retryPause
	if errors.Is(err, events.ErrTrimmed) {
		again = trimmedPause
	}
	pause(ctx, again)
	return ctx.Err() == nil
}
