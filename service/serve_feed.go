package service

import (
	"context"
	"errors"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/service/wire"
	"github.com/nats-io/nats.go"
)

// feed serves a feed until its client is gone, the reader stops, or the log cannot be read.
func (v *server) feed(m *nats.Msg) {
	request, err := wire.DecodeFeed(m.Data)
	if err != nil {
		v.refuse(m, err)
	} else {
		err = kv.ValidateFeed(request.Feed)
	}
	if err != nil {
		v.respond(m, wire.EncodeFeedError(err))
		return
	}
	ctx, cancel := context.WithTimeout(v.ending, readTimeout)
	defer cancel()
	d, err := v.database(ctx, m, false)
	if err == nil {
		err = d.place(ctx, &request)
	}
	if err != nil {
		v.respond(m, wire.EncodeFeedError(err))
		return
	}
	v.requests.Go(func() { v.serveFeed(d, m, request.Feed) }) // in no slot: it may be there for long
}

// place finds where the feed begins, and waits until this replica has got there.
func (d *Database) place(ctx context.Context, f *wire.Feed) error {
	if err := d.broken(); err != nil {
		return err
	}
	after := f.After.Position()
	if !f.Latest && d.projection.Applied() >= after {
		return nil
	}
	index, err := d.index(ctx)
	switch {
	case err != nil:
		return err
	case f.Latest:
		err = d.wait(ctx, max(f.Least, index.Position))
		f.After = kv.EndOf(d.projection.Chain().Counted)
		return err
	case after > index.Position:
		return kv.Invalidf("the versionstamp %s names no commit of this database: its log ends at position %d", f.After, index.Position)
	}
	return d.wait(ctx, after)
}

func (v *server) serveFeed(d *Database, m *nats.Msg, want kv.Feed) {
	ctx, cancel := context.WithCancel(v.ending)
	defer cancel()
	w, token := v.watches.add(cancel)
	if w == nil {
		v.respond(m, wire.EncodeFeedError(kv.Errorf(kv.ErrUnavailable, "The reader serves too many watches and feeds; try again.")))
		return
	}
	defer v.watches.remove(token)
	defer context.AfterFunc(d.whole(), cancel)()
	w.inbox, w.subject = m.Reply, wire.WatchingSubject(d.log.Database(), v.id, token)
	s := servedFeed{v: v, d: d, w: w, feed: events.NewFeed(d.log, want), piece: wire.Piece{Number: 1, Changes: kv.Changes{Through: want.After}}}
	defer s.feed.Close()
	err := s.run(ctx)
	switch {
	case d.broken() != nil:
		err = d.broken()
	case v.ending.Err() != nil:
		err = errStopping
	case ctx.Err() != nil, err == nil: // the client has left, or is lost
		return
	case !errors.Is(err, kv.ErrGone) && !errors.Is(err, kv.ErrInvalid):
		v.databases.config.Logger.Warn("a feed cannot read the log; its client asks another reader", "database", d.log.Database(), "error", err)
		err = kv.Errorf(kv.ErrUnavailable, "This reader cannot read the log now; try again.")
	}
	v.respond(m, wire.EncodeFeedError(err))
}

// servedFeed is a feed that a reader serves.
type servedFeed struct {
	v     *server
	d     *Database
	w     *servedWatch
	feed  *events.Feed
	piece wire.Piece // the next one
	moved bool       // its Through is another one than that which was sent last
	sent  time.Time  // when the last one was
}

// run sends piece after piece. The first one is sent at once, and says where the feed begins. It returns nil when the client is lost.
func (s *servedFeed) run(ctx context.Context) error {
	for {
		if !s.v.deliver(ctx, s.w, s.piece.Number, s.piece.Encode(), (&wire.Piece{Number: s.piece.Number, Alive: true}).Encode()) {
			return nil
		}
		s.piece = wire.Piece{Number: s.piece.Number + 1, Changes: kv.Changes{Through: s.piece.Through}}
		s.moved, s.sent = false, time.Now()
		if err := s.gather(ctx); err != nil {
			return err
		}
	}
}

// gather waits until there is something to send: commits, or after a while the news that others were none of this feed.
func (s *servedFeed) gather(ctx context.Context) error {
	for {
		wait := watchSilence
		if s.moved {
			wait = feedPace
		}
		quiet, cancel := context.WithDeadline(ctx, s.sent.Add(wait))
		changes, err := s.feed.Next(quiet)
		over := quiet.Err() != nil
		cancel()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && over:
			return nil
		case err != nil:
			return err
		}
		s.moved = s.moved || changes.Through != s.piece.Through
		s.piece.Changes = changes
		if len(changes.Commits) > 0 {
			return s.d.wait(ctx, changes.Through.Position()) // who is shown a commit can read it here
		}
	}
}
