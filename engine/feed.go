package engine

import (
	"context"
	"errors"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
)

// Feed is the commits of a database behind a place of its log, as they come. It is for one goroutine.
type Feed struct {
	d     *Database
	feed  *events.Feed
	begun bool // Next has said where it begins
	after kv.Versionstamp
}

// Feed returns a feed, which must be closed. It fails with kv.ErrInvalid if the log ends before f.After.
func (d *Database) Feed(f kv.Feed) (*Feed, error) {
	chain := d.projection.Chain()
	switch {
	case f.Latest:
		f.After = kv.EndOf(chain.Counted)
	case f.After.Position() > chain.Applied:
		return nil, kv.Invalidf("the versionstamp %s names no commit of this database: its log ends at position %d", f.After, chain.Applied)
	}
	return &Feed{d: d, feed: events.NewFeed(d.log, f), after: f.After}, nil
}

const feedAgain = 100 * time.Millisecond // after the log could not be read

// Next blocks until there is more; the first time it says at once where the feed begins. What it returns, reads see. It fails with
// kv.ErrGone, kv.ErrInvalid or kv.ErrUnavailable, or when ctx ends.
func (f *Feed) Next(ctx context.Context) (kv.Changes, error) {
	if !f.begun {
		f.begun = true
		return kv.Changes{Through: f.after}, nil
	}
	for {
		c, err := f.feed.Next(ctx)
		if err == nil {
			return c, f.d.projection.Wait(ctx, c.Through.Position())
		}
		switch {
		case ctx.Err() != nil:
			return c, ctx.Err()
		case errors.Is(err, kv.ErrGone), errors.Is(err, kv.ErrInvalid):
			return c, err
		case f.d.stopped():
			return c, errStopping
		}
		f.d.engine.config.Logger.Warn("a feed cannot read the log; trying again", "database", f.d.name, "error", err)
		select {
		case <-time.After(feedAgain):
		case <-ctx.Done():
			return c, ctx.Err()
		}
	}
}

// Close ends the feed.
func (f *Feed) Close() { f.feed.Close() }

func (d *Database) stopped() bool {
	select {
	case <-d.led:
		return true
	case <-d.engine.closing:
		return true
	default:
		return false
	}
}
