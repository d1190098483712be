package client

import (
	"context"
	"errors"
	"iter"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/service/wire"
)

// History has one reader after the other answer, each from where the last one was.
func (t *natsTransport) History(ctx context.Context, want kv.HistoryRead) iter.Seq2[kv.HistoryPart, error] {
	pause := newPause(t.now, t.retryTime, maxPause)
	return resumed(want, func(h *historyAsk) error { return t.askHistory(ctx, h) }, func(shown bool, err error) error {
		if shown {
			pause = newPause(t.now, t.retryTime, maxPause)
		}
		switch {
		case ctx.Err() != nil:
			return gaveUp(ctx, err)
		case !errors.Is(err, kv.ErrUnavailable) && !errors.Is(err, errSilent):
			return err
		}
		t.log.DebugContext(ctx, "will ask for the rest of the past", "error", err)
		if !pause.wait(ctx) {
			return gaveUp(ctx, err)
		}
		return nil
	})
}

func (t *natsTransport) askHistory(ctx context.Context, h *historyAsk) error {
	request := wire.History{Least: kv.Position(t.seen.Load()), HistoryRead: h.want}
	parts, leave, err := piecesOf(t, wire.HistorySubject(t.database), request.Encode(), decodePart)
	if err != nil {
		return err
	}
	defer leave()
	for {
		part, err := parts.wait(ctx, func(*wire.HistoryPart) error { return nil })
		if err != nil {
			return err
		}
		if !h.show(part.HistoryPart) || part.Last {
			return nil
		}
	}
}

func decodePart(data []byte) (p wire.HistoryPart, number uint64, alive bool, err error) {
	p, err = wire.DecodeHistoryPart(data)
	return p, p.Number, p.Alive, err
}
