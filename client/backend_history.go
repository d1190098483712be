package client

import (
	"context"
	"io"
	"iter"

	"github.com/millpondkv/millpond/kv"
)

// HistoryBackend is a Backend whose past can be asked for.
type HistoryBackend interface {
	Backend

	// History begins to answer a question, which is valid, of every commit that was answered before the call.
	History(ctx context.Context, want kv.HistoryRead) (BackendHistory, error)
}

// BackendHistory is an answer about the past. It is used by one goroutine.
type BackendHistory interface {
	// Next returns the next part, whose data is the caller's, or io.EOF behind the last one. It fails with kv.ErrGone if the past does
	// not reach back so far, with kv.ErrInvalid, kv.ErrUnavailable, or when ctx ends.
	Next(ctx context.Context) (kv.HistoryPart, error)
}

func (l *local) History(ctx context.Context, want kv.HistoryRead) iter.Seq2[kv.HistoryPart, error] {
	return func(yield func(kv.HistoryPart, error) bool) {
		h, err := l.beginHistory(ctx, want)
		for err == nil {
			var part kv.HistoryPart
			if part, err = h.Next(ctx); err == nil && !yield(part, nil) {
				return
			}
		}
		switch cause := context.Cause(ctx); {
		case err == io.EOF:
			return
		case cause != nil:
			err = cause
		}
		yield(kv.HistoryPart{}, err)
	}
}

func (l *local) beginHistory(ctx context.Context, want kv.HistoryRead) (BackendHistory, error) {
	b, ok := l.backend.(HistoryBackend)
	if !ok {
		return nil, kv.Invalidf("the past cannot be read: the Backend needs to be a HistoryBackend")
	}
	return b.History(ctx, want)
}
