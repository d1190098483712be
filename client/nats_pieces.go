package client

import (
	"context"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/millpondkv/millpond/service/wire"
)

// natsPieces is what one reader sends of a P, such as a feed: numbered pieces, each once the client has got the one before.
type natsPieces[P any] struct {
	t      *natsTransport
	decode func([]byte) (piece P, number uint64, alive bool, err error)
	wake   chan struct{}

	mu     sync.Mutex
	number uint64    // of the last piece that has come
	next   *P        // it, until it is shown
	reader string    // the subject that the reader listens on; "" before it has been heard of
	heard  time.Time // when that was last
	failed error     // why it serves no longer
}

// piecesOf asks a reader. The caller must call leave when it wants no more.
func piecesOf[P any](t *natsTransport, subject string, request []byte, decode func([]byte) (P, uint64, bool, error)) (p *natsPieces[P], leave func(), err error) {
	p = &natsPieces[P]{t: t, decode: decode, wake: make(chan struct{}, 1), heard: t.now()}
	inbox, forget := t.inbox.open(p.take)
	if err := t.conn.PublishRequest(subject, inbox, request); err != nil {
		forget()
		return nil, nil, errNoReader
	}
	return p, func() { forget(); p.leave() }, nil
}

// wait blocks until there is a piece, takes it if check finds nothing wrong with it, and lets the reader send the next one.
func (p *natsPieces[P]) wait(ctx context.Context, check func(*P) error) (*P, error) {
	silence := time.NewTicker(p.t.silence / 4)
	defer silence.Stop()
	for {
		piece, err := p.latest(check)
		if piece != nil || err != nil {
			return piece, err
		}
		select {
		case <-p.wake:
		case <-silence.C:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (p *natsPieces[P]) latest(check func(*P) error) (*P, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if piece := p.next; piece != nil {
		p.next = nil
		if err := check(piece); err != nil {
			return nil, err
		}
		p.say(wire.Watching{Number: p.number})
		return piece, nil
	}
	if p.failed == nil && p.t.now().Sub(p.heard) > p.t.silence {
		return nil, errSilent
	}
	return nil, p.failed
}

// take takes a message of the reader. A piece is held until it is shown: the reader sends none beyond it, and learns that somebody
// is still there.
func (p *natsPieces[P]) take(m *nats.Msg) {
	p.mu.Lock()
	defer p.mu.Unlock()
	piece, number, alive, err := p.decode(m.Data)
	switch {
	case noResponders(m):
		p.failed = errNoReader
	case err != nil:
		p.failed = err
	default:
		p.heard, p.reader = p.t.now(), m.Reply
		if !alive && number == p.number+1 && p.next == nil && p.failed == nil {
			p.number, p.next = number, &piece
		}
		p.say(wire.Watching{Number: p.number, Holds: p.next != nil})
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *natsPieces[P]) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reader != "" {
		p.say(wire.Watching{Number: p.number, Leaves: true})
	}
}

func (p *natsPieces[P]) say(what wire.Watching) {
	if err := p.t.conn.Publish(p.reader, what.Encode()); err != nil {
		p.t.log.Debug("could not answer a reader", "error", err)
	}
}
