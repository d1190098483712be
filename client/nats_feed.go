package client

import (
	"context"
	"errors"
	"iter"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/service/wire"
)

// Feed has one reader after the other serve the feed, each from where the last one was.
func (t *natsTransport) Feed(ctx context.Context, f kv.Feed) iter.Seq2[kv.Changes, error] {
	return func(yield func(kv.Changes, error) bool) {
		pause, lost := newPause(t.now, -1, maxWatchPause), loss{what: "a feed"}
		for begun := false; ; {
			w := &natsFeed{t: t, feed: f, begun: begun, came: func() { lost.end(ctx, t.log) }}
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
	came  func()  // called for each piece
}

// run shows what comes. A nil error says that the loop was left.
func (w *natsFeed) run(ctx context.Context, yield func(kv.Changes, error) bool) error {
	request := wire.Feed{Least: kv.Position(w.t.seen.Load()), Feed: w.feed}
	pieces, leave, err := piecesOf(w.t, wire.FeedSubject(w.t.database), request.Encode(), decodePiece)
	if err != nil {
		return err
	}
	defer leave()
	for {
		piece, err := pieces.wait(ctx, w.follows)
		if err != nil {
			return err
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

func decodePiece(data []byte) (p wire.Piece, number uint64, alive bool, err error) {
	p, err = wire.DecodePiece(data)
	return p, p.Number, p.Alive, err
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
