package service

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/millpondkv/millpond/history"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/service/wire"
	"github.com/nats-io/nats.go"
)

// history answers something about the past, in parts, until its client has them all or is gone, or the reader stops.
func (v *server) history(m *nats.Msg) {
	request, err := wire.DecodeHistory(m.Data)
	if err == nil {
		err = request.Validate()
	}
	if err != nil {
		v.refuse(m, err)
		v.respond(m, wire.EncodeHistoryError(err))
		return
	}
	ctx, cancel := context.WithTimeout(v.ending, readTimeout)
	defer cancel()
	d, err := v.database(ctx, m, false)
	var read *history.Read
	if err == nil {
		read, err = d.history(ctx, request.HistoryRead, request.Least)
	}
	if err != nil {
		v.respond(m, wire.EncodeHistoryError(err))
		return
	}
	select {
	case v.pasts <- struct{}{}:
	default:
		v.respond(m, wire.EncodeHistoryError(kv.Errorf(kv.ErrUnavailable, "The reader answers too many questions about the past; try again.")))
		return
	}
	v.requests.Go(func() { // in no slot: it may be there for long
		defer func() { <-v.pasts }()
		if err := v.serveHistory(d, m, read); err != nil {
			v.respond(m, wire.EncodeHistoryError(err))
		}
	})
}

// serveHistory returns nil when the client has got everything, or is lost.
func (v *server) serveHistory(d *Database, m *nats.Msg, read *history.Read) error {
	ctx, cancel := context.WithCancel(v.ending)
	defer cancel()
	w, token := v.watches.add(cancel)
	if w == nil {
		return kv.Errorf(kv.ErrUnavailable, "The reader serves too many watches and feeds; try again.")
	}
	defer v.watches.remove(token)
	w.inbox, w.subject = m.Reply, wire.WatchingSubject(d.log.Database(), v.id, token)
	made := make(chan madePart)
	v.requests.Go(func() { makeParts(ctx, read, made) })
	err := v.sendParts(ctx, w, made)
	if v.ending.Err() != nil {
		return errStopping
	}
	if ctx.Err() != nil { // the client has left
		return nil
	}
	return err
}

type madePart struct {
	part kv.HistoryPart
	err  error // io.EOF behind the last one
}

// makeParts makes one part after the other, each when the one before is sent.
func makeParts(ctx context.Context, read *history.Read, made chan<- madePart) {
	for {
		part, err := read.Next(ctx)
		select {
		case made <- madePart{part, err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// sendParts sends the parts. While one is being made, it asks the client for signs of life, and gives one. It returns nil when there is
// no other one, or the client is lost.
func (v *server) sendParts(ctx context.Context, w *servedWatch, made <-chan madePart) error {
	pace := time.NewTicker(frameAgain)
	defer pace.Stop()
	for number := uint64(1); ; {
		alive := (&wire.HistoryPart{Number: number - 1, Alive: true}).Encode()
		select {
		case <-pace.C:
			if !v.deliver(ctx, w, number-1, alive, alive) {
				return nil
			}
		case next := <-made:
			part := wire.HistoryPart{Number: number, Last: next.err == io.EOF, HistoryPart: next.part}
			if next.err != nil && !part.Last {
				return next.err
			}
			held, cancel := context.WithTimeout(ctx, v.held)
			delivered := v.deliver(held, w, number, part.Encode(), alive)
			late := errors.Is(held.Err(), context.DeadlineExceeded)
			cancel()
			switch {
			case late:
				return kv.Errorf(kv.ErrUnavailable, "The answer was not taken in time; ask for the rest of it.")
			case !delivered, part.Last:
				return nil
			}
			number++
		case <-ctx.Done():
			return nil
		}
	}
}
