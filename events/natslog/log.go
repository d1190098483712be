// Package natslog keeps a database's log in a JetStream stream.
package natslog

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/internal/asking"
	"github.com/millpondkv/millpond/internal/fault"
	"github.com/millpondkv/millpond/internal/near"
	"github.com/millpondkv/millpond/kv"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Log is the log of one database.
type Log struct {
	js       jetstream.JetStream
	database string
	id       string
	after    events.Chain
	stream   asking.Stream

	conns  *near.Pool             // of js's connection; nil: see AppendNear
	leader atomic.Pointer[string] // the server that leads the stream; nil: not known
	near   atomic.Pointer[publisher]
}

// Database returns the name of the database.
func (l *Log) Database() string { return l.database }

// ID returns the UUID of the database, lowercase and with hyphens.
func (l *Log) ID() string { return l.id }

// JetStream is where the log is kept.
func (l *Log) JetStream() jetstream.JetStream { return l.js }

// Append implements events.Log. The two expectations in its headers are the fence: the server refuses the record
// unless the stream ends at a.Last and, for commits, no epoch began after a.Epoch. Nats-Expected-Last-Msg-Id must never
// be added: one mismatch makes a replicated stream refuse writes for ever (nats-server 2.15.2).
func (l *Log) Append(ctx context.Context, a events.Append) (kv.Position, error) {
	options := []jetstream.PublishOpt{
		jetstream.WithExpectStream(streamName(l.database)),
		jetstream.WithExpectLastSequence(uint64(a.Last)),
		jetstream.WithRetryAttempts(0), // a retry could come after its successor
	}
	msg := &nats.Msg{Subject: epochSubject(l.database), Data: a.Data}
	if a.Kind != events.KindEpoch {
		msg.Subject = commitsSubject(l.database)
		options = append(options, jetstream.WithExpectLastSequenceForSubject(uint64(a.Epoch), epochSubject(l.database)))
	}
	fault.Point("append.before")
	ack, err := l.publisher().PublishMsg(ctx, msg, options...)
	if err != nil {
		return 0, fmt.Errorf("append to the log of %q: %w", l.database, fenced(err))
	}
	fault.Point("append.acked")
	if p := kv.Position(ack.Sequence); p != a.Last+1 {
		return 0, fmt.Errorf("append to the log of %q: acked at %d instead of %d", l.database, p, a.Last+1)
	}
	return a.Last + 1, nil
}

// JetStream's codes for an expectation that does not hold (nats-server errors.json).
const (
	wrongLastSequence         = 10071
	wrongLastSequenceConstant = 10164
)

func fenced(err error) error {
	var api *jetstream.APIError
	if errors.As(err, &api) && (api.ErrorCode == wrongLastSequence || api.ErrorCode == wrongLastSequenceConstant) {
		return fmt.Errorf("%w: %w", events.ErrFenced, err)
	}
	return err
}

// Bounds implements events.Log.
func (l *Log) Bounds(ctx context.Context) (first, last kv.Position, err error) {
	info, err := l.stream.Info(ctx)
	if err != nil {
		return 0, 0, fmt.Errorf("ask for the end of the log of %q: %w", l.database, err)
	}
	if info.Cluster != nil {
		l.leader.Store(&info.Cluster.Leader)
	}
	state := info.State
	if state.Msgs == 0 { // an empty stream says 0, 0 when new, and n+1, n when trimmed
		return kv.Position(state.LastSeq) + 1, kv.Position(state.LastSeq), nil
	}
	return kv.Position(state.FirstSeq), kv.Position(state.LastSeq), nil
}
