package events

import (
	"context"
	"errors"

	"github.com/millpondkv/millpond/kv"
)

// losses is how often in a row, without a message between, what delivers a log may be lost.
const losses = 3

// Resume reads a log from a position, for somebody who does not come back by himself when Next fails: what delivers a log can be lost on
// the way, also before its first message, and then another reader goes on behind the last message. Next fails when that was lost
// for the third time without a message between, when ctx ends, and with ErrGap. A follower that comes back by itself reads the Log.
func Resume(log interface {
	Read(ctx context.Context, from kv.Position) (Reader, error)
}, from kv.Position) Reader {
	return &resumed{open: log.Read, next: max(from, 1)}
}

type resumed struct {
	open   func(ctx context.Context, from kv.Position) (Reader, error)
	reader Reader // nil: there is none yet, or none any more
	next   kv.Position
}

func (r *resumed) Next(ctx context.Context) (Message, error) {
	var m Message
	var err error
	for range losses {
		if m, err = r.read(ctx); err == nil {
			r.next = m.Position + 1
			return m, nil
		}
		r.Close()
		if ctx.Err() != nil || errors.Is(err, ErrGap) {
			break
		}
	}
	return m, err
}

func (r *resumed) read(ctx context.Context) (m Message, err error) {
	if r.reader == nil {
		if r.reader, err = r.open(ctx, r.next); err != nil {
			return m, err
		}
	}
	return r.reader.Next(ctx)
}

func (r *resumed) Close() {
	if r.reader != nil {
		r.reader.Close()
		r.reader = nil
	}
}
