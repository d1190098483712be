package cluster

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// link is the connection of a program to the NATS cluster. It is tried for ever: servers that are not there may start, a
// refused user may be let in. Until then the log and /readyz say why.
type link struct {
	*nats.Conn
	log    *slog.Logger
	again  chan struct{} // gets a signal when NATS is connected again
	closed chan struct{}

	mu     sync.Mutex
	failed error // why the last try to reach a server failed; nil after one that did not
}

func (l *link) options() []nats.Option {
	return []nats.Option{
		nats.MaxReconnects(-1), nats.ReconnectWait(reconnectWait), nats.ReconnectJitter(reconnectJit, reconnectJit),
		nats.RetryOnFailedConnect(true),
		nats.IgnoreAuthErrorAbort(),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil { // without one it was closed here
				l.log.Warn("the connection to NATS is lost", "error", err)
			}
		}),
		nats.ConnectHandler(func(conn *nats.Conn) {
			l.log.Info("connected to NATS", "server", conn.ConnectedUrlRedacted())
			l.forget()
		}),
		nats.ReconnectHandler(func(conn *nats.Conn) {
			l.log.Info("connected to NATS again", "server", conn.ConnectedUrlRedacted())
			l.forget()
			select {
			case l.again <- struct{}{}:
			default:
			}
		}),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) { l.note(err) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { l.log.Warn("NATS says", "error", err) }),
	}
}

func (l *link) note(err error) {
	if err != nil {
		l.mu.Lock()
		l.failed = err
		l.mu.Unlock()
	}
}

func (l *link) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed = nil
}

// amiss returns why NATS is not connected; nil if it is.
func (l *link) amiss() error {
	if l.IsConnected() {
		return nil
	}
	l.note(l.LastError()) // a server that answers and refuses; ReconnectErrHandler has those that do not answer
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed == nil {
		return errors.New("NATS is not connected yet")
	}
	return &UnreachableError{l.failed}
}

// ready returns what is amiss with the connection, or else with what needs it.
func (l *link) ready(rest func() error) func() error {
	return func() error {
		if err := l.amiss(); err != nil {
			return err
		}
		return rest()
	}
}

// A connection that is lost is made again within a second or two; then there is no need to complain.
const (
	complainAfter = 2 * time.Second
	complainEvery = 10 * time.Second
)

// complain says in the log, every now and then, why NATS is not connected, until the link is closed.
func (l *link) complain() {
	look := time.NewTicker(complainAfter / 4)
	defer look.Stop()
	next := time.Now().Add(complainAfter)
	for {
		select {
		case now := <-look.C:
			switch err := l.amiss(); {
			case err == nil:
				next = now.Add(complainAfter)
			case now.After(next):
				l.log.Error("NATS is not connected; trying on", "error", err)
				next = now.Add(complainEvery)
			}
		case <-l.closed:
			return
		}
	}
}

// Close ends the connection, and does not wait for anything.
func (l *link) Close() {
	close(l.closed)
	l.Conn.Close()
}
