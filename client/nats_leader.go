package client

import (
	"context"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/millpondkv/millpond/kv"
)

// leader is what is known of who leads the database, by heartbeats.
type leader struct {
	now func() time.Time

	mu       sync.Mutex
	writer   ulid.ULID // zero: nobody is known
	epoch    kv.Position
	server   string          // the NATS server that it is connected to; empty: not known
	position kv.Position     // the highest that the log is known to have
	at       time.Time       // when the leader was heard of last
	over     context.Context // ends when another epoch is known to have begun
	end      context.CancelFunc
}

func newLeader(now func() time.Time) *leader {
	l := &leader{now: now}
	l.over, l.end = context.WithCancel(context.Background())
	return l
}

// heard takes what a heartbeat says; one of an earlier epoch says nothing.
func (l *leader) heard(writer ulid.ULID, epoch, position kv.Position, server string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if epoch < l.epoch {
		return
	}
	if writer != l.writer {
		l.end()
		l.over, l.end = context.WithCancel(context.Background())
	}
	l.writer, l.epoch, l.position, l.at, l.server = writer, epoch, max(l.position, position), l.now(), server
}

// reign is a leader that is taken to lead.
type reign struct {
	writer   ulid.ULID // zero: nobody leads
	server   string
	position kv.Position
	over     context.Context
}

func (l *leader) current() reign {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := reign{writer: l.writer, server: l.server, position: l.position, over: l.over}
	if l.now().Sub(l.at) > leaderForgotten {
		r.writer = ulid.ULID{}
	}
	return r
}

func (l *leader) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end()
}
