package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/millpondkv/millpond/kv"
)

// line is a connection to NATS, with what is asked over it.
type line struct {
	conn  *nats.Conn
	inbox *inbox
	link  link
}

func newLine(conn *nats.Conn) *line {
	l := &line{conn: conn, inbox: newInbox(conn)}
	lost := conn.DisconnectErrHandler()
	conn.SetDisconnectErrHandler(func(conn *nats.Conn, err error) {
		l.link.cut()
		if lost != nil {
			lost(conn, err)
		}
	})
	return l
}

// errNotSent says that a message has certainly reached nobody.
var errNotSent = errors.New("nobody listens")

// errCut says that the connection was lost, and with it the answer; the message may have arrived.
var errCut = errors.New("the connection to NATS was lost")

// taker makes an answer of the messages that it is given, one after the other, until it is complete.
type taker func(data []byte) (answer []byte, complete bool, err error)

// whole takes a message that is the answer.
func whole(data []byte) (answer []byte, complete bool, err error) { return data, true, nil }

// ask sends a message and returns what take makes of those that come as its answer. It blocks until ctx ends at most. The error is
// errNotSent if the message has certainly reached nobody.
func (l *line) ask(ctx context.Context, subject string, data []byte, take taker) ([]byte, error) {
	q, err := l.send(subject, data, take)
	if err != nil {
		return nil, err
	}
	defer q.forget()
	return q.wait(ctx)
}

// question is a message that was sent, and is to be answered.
type question struct {
	done   chan result
	cut    <-chan struct{} // closed when the connection is lost over which the answer would come
	forget func()          // must be called in the end
}

type result struct {
	answer []byte
	err    error
}

// send is the first half of ask.
func (l *line) send(subject string, data []byte, take taker) (*question, error) {
	q := &question{done: make(chan result, 1), cut: l.link.current()}
	var reply string
	reply, q.forget = l.inbox.open(func(m *nats.Msg) {
		r := result{err: errNotSent}
		if !noResponders(m) {
			var complete bool
			if r.answer, complete, r.err = take(m.Data); !complete && r.err == nil {
				return
			}
		}
		select {
		case q.done <- r:
		default: // one answer is enough
		}
	})
	err := l.conn.PublishRequest(subject, reply, data)
	if err == nil {
		return q, nil
	}
	q.forget()
	switch {
	case errors.Is(err, nats.ErrMaxPayload):
		return nil, kv.Invalidf("the request takes %d bytes as a message; the NATS servers allow %d, so raise their max_payload", len(data), l.conn.MaxPayload())
	case errors.Is(err, nats.ErrReconnectBufExceeded), errors.Is(err, nats.ErrConnectionClosed):
		return nil, fmt.Errorf("%w: %w", errNotSent, err)
	}
	return nil, err
}

// wait is the second half of ask.
func (q *question) wait(ctx context.Context) ([]byte, error) {
	select {
	case r := <-q.done:
		return r.answer, r.err
	case <-q.cut:
		return nil, errCut
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func noResponders(m *nats.Msg) bool { return len(m.Data) == 0 && m.Header.Get("Status") == "503" }
