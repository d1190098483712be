package cluster

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
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
	failed error   // why the last try to reach a server failed; nil after one that did not
	denied []error // what the user may not do, as the server has said since it was connected
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
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { l.hear(err) }),
	}
}

// probed is in the subjects that only show whether the user may use them.
const probed = "~probe-"

// mostDenied bounds what is remembered of what the user may not do.
const mostDenied = 100

// hear logs what NATS says; what the user may not do once, however often it is tried.
func (l *link) hear(err error) {
	if strings.Contains(err.Error(), probed) { // who has probed says what it means
		return
	}
	if errors.Is(err, nats.ErrPermissionViolation) {
		l.mu.Lock()
		known := slices.ContainsFunc(l.denied, func(d error) bool { return d.Error() == err.Error() })
		if !known && len(l.denied) < mostDenied {
			l.denied = append(l.denied, err)
		}
		l.mu.Unlock()
		if known {
			return
		}
	}
	l.log.Warn("NATS says", "error", err)
}

// mayNot returns what NATS has said that the user may not do with a subject that begins so; nil if nothing.
func (l *link) mayNot(subject string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range l.denied {
		if strings.Contains(d.Error(), `"`+subject) {
			return d
		}
	}
	return nil
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
	l.failed, l.denied = nil, nil
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
