package service

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
	"github.com/millpondkv/millpond/service/wire"
	"github.com/nats-io/nats.go"
)

// servedWatches are the watches and feeds that a reader serves.
type servedWatches struct {
	mu    sync.Mutex
	last  uint64
	byKey map[string]*servedWatch // by the last token of the subject that the client answers on
}

// servedWatch is one of them. One frame, or piece of a feed, is in flight: the client acknowledges it before the next one is sent, and what changes
// meanwhile comes as one.
type servedWatch struct {
	subject string             // that the client answers on
	inbox   string             // that it listens on
	acks    chan wire.Watching // has room for one: the latest
	end     context.CancelFunc // the client has left
}

func newServedWatches() *servedWatches { return &servedWatches{byKey: map[string]*servedWatch{}} }

// add returns nil if there are too many.
func (ws *servedWatches) add(end context.CancelFunc) (w *servedWatch, token string) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if len(ws.byKey) >= mostWatches {
		return nil, ""
	}
	ws.last++
	token = strconv.FormatUint(ws.last, 36)
	w = &servedWatch{acks: make(chan wire.Watching, 1), end: end}
	ws.byKey[token] = w
	return w, token
}

func (ws *servedWatches) remove(token string) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	delete(ws.byKey, token)
}

func (ws *servedWatches) find(token string) *servedWatch {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return ws.byKey[token]
}

// watching takes what the client of a watch says, or NATS' word that nobody listens there any more.
func (v *server) watching(m *nats.Msg) {
	w := v.watches.find(m.Subject[strings.LastIndexByte(m.Subject, '.')+1:])
	if w == nil {
		return // it is over
	}
	if noResponders(m) {
		w.end()
		return
	}
	said, err := wire.DecodeWatching(m.Data)
	switch {
	case err != nil:
		v.refuse(m, err)
	case said.Leaves:
		w.end()
	default:
		select {
		case <-w.acks:
		default:
		}
		w.acks <- said // nobody else sends
	}
}

func noResponders(m *nats.Msg) bool { return len(m.Data) == 0 && m.Header.Get("Status") == "503" }

// watch serves a watch until its client is gone, the reader stops, or the replica turns out to be damaged.
func (v *server) watch(m *nats.Msg) {
	request, err := wire.DecodeWatch(m.Data)
	if err != nil {
		v.refuse(m, err)
	} else {
		err = kv.ValidateWatch(request.Keys)
	}
	if err != nil {
		v.respond(m, wire.EncodeWatchError(err))
		return
	}
	ctx, cancel := context.WithTimeout(v.ending, readTimeout)
	defer cancel()
	d, err := v.database(ctx, m, false)
	if err == nil {
		err = errors.Join(d.broken(), d.wait(ctx, request.Least))
	}
	if err != nil {
		v.respond(m, wire.EncodeWatchError(err))
		return
	}
	v.requests.Go(func() { v.serveWatch(d, m, request.Keys) }) // in no slot: it may be there for long
}

func (v *server) serveWatch(d *Database, m *nats.Msg, keys []kv.EncodedKey) {
	ctx, cancel := context.WithCancel(v.ending)
	defer cancel()
	w, token := v.watches.add(cancel)
	if w == nil {
		v.respond(m, wire.EncodeWatchError(kv.Errorf(kv.ErrUnavailable, "The reader serves too many watches; try again.")))
		return
	}
	defer v.watches.remove(token)
	defer context.AfterFunc(d.whole(), cancel)()
	w.inbox, w.subject = m.Reply, wire.WatchingSubject(d.log.Database(), v.id, token)
	watch := d.projection.Watch(keys, d.now)
	defer watch.Close()
	for number := uint64(1); v.show(ctx, w, watch, number); number++ {
	}
	switch {
	case d.broken() != nil:
		v.respond(m, wire.EncodeWatchError(d.broken()))
	case v.ending.Err() != nil:
		v.respond(m, wire.EncodeWatchError(errStopping))
	}
}

// show waits until there is something to show, sends it, and waits until the client has it. While there is nothing, it asks the
// client for signs of life. It returns false when the watch is over.
func (v *server) show(ctx context.Context, w *servedWatch, watch *projection.Watch, number uint64) bool {
	for {
		quiet, cancel := context.WithTimeout(ctx, watchSilence)
		entries, err := watch.Next(quiet)
		cancel()
		switch {
		case err == nil:
			frame := wire.Frame{Number: number, Position: watch.Shown(), Entries: entries}
			return v.deliver(ctx, w, frame.Number, frame.Encode(), nil)
		case quiet.Err() == nil || ctx.Err() != nil:
			return false
		}
		if alive := (wire.Frame{Number: number - 1}); number > 1 && !v.deliver(ctx, w, alive.Number, alive.Encode(), nil) {
			return false
		}
	}
}

// deliver sends data, the frame of that number, again and again until the client acknowledges it. It returns false when the client
// is lost. A client that has got it but wants no other one yet is asked for signs of life, with alive, for as long as it gives them.
func (v *server) deliver(ctx context.Context, w *servedWatch, number uint64, data, alive []byte) bool {
	select {
	case <-w.acks: // of an earlier one
	default:
	}
	lost := time.NewTimer(watchSilence)
	defer lost.Stop()
	again := time.NewTicker(frameAgain)
	defer again.Stop()
	for {
		if err := v.conn.PublishRequest(w.inbox, w.subject, data); err != nil {
			v.databases.config.Logger.Debug("could not send a frame of a watch", "error", err)
		}
		select {
		case said := <-w.acks:
			switch {
			case said.Number != number:
			case !said.Holds:
				return true
			default:
				data = alive
				lost.Reset(watchSilence)
			}
		case <-again.C:
		case <-lost.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
}
