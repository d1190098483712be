package client

import (
	"context"
	"errors"
	"iter"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/service/wire"
)

// Feed has one reader after the other serve the feed, each from where the last one was.
func (t *natsTransport) Feed(ctx context.Context, f kv.Feed) iter.Seq2[kv.Changes, error] {
	return func(yield func(kv.Changes, error) bool) {
		pause, lost := newPause(t.now, -1, maxWatchPause), loss{what: "a feed"}
		for begun := false; ; {
			w := &natsFeed{t: t, feed: f, begun: begun, wake: make(chan struct{}, 1), came: func() { lost.end(ctx, t.log) }}
			err := w.run(ctx, yield)
			if w.begun {
				f, begun = w.feed, true
			}
			if w.shown {
				pause = newPause(t.now, -1, maxWatchPause)
			}
			switch {
			case err == nil: // the loop was left
				return
			case ctx.Err() != nil:
				yield(kv.Changes{}, gaveUp(ctx, err))
				return
			case errors.Is(err, kv.ErrInvalid), errors.Is(err, kv.ErrNoDatabase), errors.Is(err, kv.ErrGone):
				yield(kv.Changes{}, err)
				return
			}
			lost.note(ctx, t.log, err)
			if !pause.wait(ctx) {
				yield(kv.Changes{}, gaveUp(ctx, err))
				return
			}
		}
	}
}

// natsFeed is a feed that one reader serves.
type natsFeed struct {
	t     *natsTransport
	feed  kv.Feed // its After is the Through of what was shown last
	begun bool    // the loop was told where the feed begins
	shown bool    // something has come of this reader
	wake  chan struct{}
	came  func() // called for each piece

	mu     sync.Mutex
	number uint64      // of the last piece that has come
	next   *wire.Piece // it, until it is shown
	reader string      // the subject that the reader listens on; "" before its first piece
	heard  time.Time   // when the reader was heard of last
	failed error       // why it serves no longer
}

// run shows what comes. A nil error says that the loop was left.
func (w *natsFeed) run(ctx context.Context, yield func(kv.Changes, error) bool) error {
	w.heard = w.t.now()
	inbox, forget := w.t.inbox.open(w.take)
	defer w.leave()
	defer forget()
	request := wire.Feed{Least: kv.Position(w.t.seen.Load()), Feed: w.feed}
	if err := w.t.conn.PublishRequest(wire.FeedSubject(w.t.database), inbox, request.Encode()); err != nil {
		return errNoReader
	}
	silence := time.NewTicker(w.t.silence / 4)
	defer silence.Stop()
	for {
		piece, err := w.latest()
		if err != nil {
			return err
		}
		if piece == nil {
			select {
			case <-w.wake:
			case <-silence.C:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			continue
		}
		first := !w.begun
		w.begun, w.shown = true, true
		w.came()
		w.feed.After, w.feed.Latest = piece.Through, false
		w.t.saw(piece.Through.Position())
		if (first || len(piece.Commits) > 0 || piece.Number > 1) && !yield(piece.Changes, nil) {
			return nil
		}
	}
}

// latest takes the piece that is to be shown, if there is one, and lets the reader send the next.
func (w *natsFeed) latest() (*wire.Piece, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if piece := w.next; piece != nil {
		w.next = nil
		if err := w.follows(piece); err != nil {
			return nil, err
		}
		w.say(wire.Watching{Number: w.number})
		return piece, nil
	}
	if w.failed == nil && w.t.now().Sub(w.heard) > w.t.silence {
		return nil, errSilent
	}
	return nil, w.failed
}

// follows makes sure that nothing is shown twice, whatever a reader sends.
func (w *natsFeed) follows(piece *wire.Piece) error {
	last := w.feed.After
	for i := range piece.Commits {
		if v := piece.Commits[i].Versionstamp; !last.Before(v) {
			return kv.Errorf(kv.ErrUnavailable, "a reader sent the commit %s, which was to come after %s", v, last)
		}
		last = piece.Commits[i].Versionstamp
	}
	if piece.Through.Before(last) {
		return kv.Errorf(kv.ErrUnavailable, "a reader sent a feed through %s, which was at %s", piece.Through, last)
	}
	return nil
}

// take takes a message of the reader. A piece is held until it is shown: the reader sends none beyond it, and learns that somebody
// is still there.
func (w *natsFeed) take(m *nats.Msg) {
	w.mu.Lock()
	defer w.mu.Unlock()
	piece, err := wire.DecodePiece(m.Data)
	switch {
	case noResponders(m):
		w.failed = errNoReader
	case err != nil:
		w.failed = err
	default:
		w.heard, w.reader = w.t.now(), m.Reply
		if !piece.Alive && piece.Number == w.number+1 && w.next == nil && w.failed == nil {
			w.number, w.next = piece.Number, &piece
		}
		w.say(wire.Watching{Number: w.number, Holds: w.next != nil})
	}
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *natsFeed) leave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.reader != "" {
		w.say(wire.Watching{Number: w.number, Leaves: true})
	}
}

func (w *natsFeed) say(what wire.Watching) {
	if err := w.t.conn.Publish(w.reader, what.Encode()); err != nil {
		w.t.log.Debug("could not answer the reader of a feed", "error", err)
	}
}
