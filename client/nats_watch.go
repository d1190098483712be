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

// Watch has one reader after the other serve the watch, for as long as each is there.
func (t *natsTransport) Watch(ctx context.Context, keys []kv.EncodedKey, f freshness) iter.Seq2[[]kv.Entry, error] {
	return func(yield func([]kv.Entry, error) bool) {
		pause, lost := newPause(t.now, -1, maxWatchPause), loss{what: "a watch"}
		for {
			w := &natsWatch{t: t, keys: keys, least: f.least, wake: make(chan struct{}, 1)}
			shown, err := w.run(ctx, func(entries []kv.Entry, err error) bool {
				lost.end(ctx, t.log)
				return yield(entries, err)
			})
			if shown {
				pause = newPause(t.now, -1, maxWatchPause)
			}
			switch {
			case err == nil: // the loop was left
				return
			case ctx.Err() != nil:
				yield(nil, gaveUp(ctx, err))
				return
			case errors.Is(err, kv.ErrInvalid), errors.Is(err, kv.ErrNoDatabase):
				yield(nil, err)
				return
			}
			lost.note(ctx, t.log, err)
			if !pause.wait(ctx) {
				yield(nil, gaveUp(ctx, err))
				return
			}
		}
	}
}

// natsWatch is a watch that one reader serves.
type natsWatch struct {
	t     *natsTransport
	keys  []kv.EncodedKey
	least kv.Position
	wake  chan struct{} // has room for one; filled when what follows has changed

	mu     sync.Mutex
	number uint64     // of the last frame with entries
	next   []kv.Entry // the latest that have not been shown; nil: none
	reader string     // the subject that the reader listens on; "" before its first frame
	heard  time.Time  // when the reader was heard of last
	failed error      // why it serves no longer
}

// run shows what comes, and reports whether anything has. A nil error says that the loop was left.
func (w *natsWatch) run(ctx context.Context, yield func([]kv.Entry, error) bool) (shown bool, err error) {
	w.heard = w.t.now()
	inbox, forget := w.t.inbox.open(w.take)
	defer w.leave()
	defer forget()
	request := wire.Watch{Least: max(kv.Position(w.t.seen.Load()), w.least), Keys: w.keys}
	if err := w.t.conn.PublishRequest(wire.WatchSubject(w.t.database), inbox, request.Encode()); err != nil {
		return false, errNoReader
	}
	silence := time.NewTicker(w.t.silence / 4)
	defer silence.Stop()
	for {
		select {
		case <-w.wake:
		case <-silence.C:
		case <-ctx.Done():
			return shown, context.Cause(ctx)
		}
		entries, err := w.latest()
		if err != nil {
			return shown, err
		}
		if entries == nil {
			continue
		}
		shown = true
		if !yield(entries, nil) {
			return shown, nil
		}
	}
}

// latest takes what is to be shown, if anything is.
func (w *natsWatch) latest() (entries []kv.Entry, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	entries, w.next = w.next, nil
	switch {
	case entries != nil:
		return entries, nil
	case w.failed == nil && w.t.now().Sub(w.heard) > w.t.silence:
		return nil, errSilent
	}
	return nil, w.failed
}

// take takes a message of the reader, and acknowledges it at once: what comes before it is shown takes its place.
func (w *natsWatch) take(m *nats.Msg) {
	w.mu.Lock()
	defer w.mu.Unlock()
	frame, err := wire.DecodeFrame(m.Data, len(w.keys))
	switch {
	case noResponders(m):
		w.failed = errNoReader
	case err != nil:
		w.failed = err
	default:
		w.heard, w.reader = w.t.now(), m.Reply
		w.acknowledge(&frame)
	}
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *natsWatch) acknowledge(frame *wire.Frame) {
	if frame.Entries != nil && frame.Number > w.number { // otherwise it was shown: the acknowledgement was lost
		w.number, w.next = frame.Number, frame.Entries
		for i := range w.next {
			w.next[i].Key = w.keys[i]
		}
		w.t.saw(frame.Position)
	}
	w.say(wire.Watching{Number: frame.Number})
}

func (w *natsWatch) leave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.reader != "" {
		w.say(wire.Watching{Number: w.number, Leaves: true})
	}
}

func (w *natsWatch) say(what wire.Watching) {
	if err := w.t.conn.Publish(w.reader, what.Encode()); err != nil {
		w.t.log.Debug("could not answer the reader of a watch", "error", err)
	}
}
