package service

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/millpondkv/millpond/internal/near"
	"github.com/millpondkv/millpond/kv"
	"github.com/nats-io/nats.go"
	"github.com/oklog/ulid/v2"
)

// asker sends requests to the leaders of one database.
type asker struct {
	conns    *near.Pool
	server   atomic.Pointer[string] // the NATS server that the leader is connected to, by its heartbeats; nil: not known
	database string
	leaders  *leaders
}

// errNotSent says that a request has certainly reached nobody.
var errNotSent = errors.New("nobody got the request")

// ask sends one request to the leader, and returns its answer. It blocks for tryTimeout at most, and no longer than the
// leader's reign. The error is errNotSent if there is no leader, or none that listens; after any other one the request may
// have reached it.
func (a *asker) ask(ctx context.Context, subject func(database string, leader ulid.ULID) string, data []byte) ([]byte, error) {
	reign := a.leaders.now()
	if reign.writer == (ulid.ULID{}) {
		return nil, errNotSent
	}
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	defer context.AfterFunc(reign.over, cancel)()
	conn := a.best()
	reply, err := conn.RequestWithContext(ctx, subject(a.database, reign.writer), data)
	switch {
	case err == nil:
		return reply.Data, nil
	case errors.Is(err, nats.ErrMaxPayload):
		return nil, kv.Invalidf("the atomic write takes %d bytes as a message; the NATS servers allow %d, so raise their max_payload", len(data), conn.MaxPayload())
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, nats.ErrReconnectBufExceeded): // not ErrConnectionClosed: that may be since
		return nil, errNotSent
	}
	return nil, err
}

// best returns the connection on which requests reach the leader soonest.
func (a *asker) best() *nats.Conn {
	if server := a.server.Load(); server != nil {
		return a.conns.To(*server)
	}
	return a.conns.Main()
}

// pause waits before another try, until there may be another leader. It returns ctx's error if ctx has ended.
func (a *asker) pause(ctx context.Context) error {
	timer := time.NewTimer(againAfter)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-a.leaders.now().over.Done():
	case <-ctx.Done():
	}
	return ctx.Err()
}
