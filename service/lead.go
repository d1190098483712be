package service

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/service/wire"
	"github.com/millpondkv/millpond/writer"
	"github.com/nats-io/nats.go"
	"github.com/oklog/ulid/v2"
)

// Leader decides the atomics of a database: a writer.Sequencer.
type Leader interface {
	CommitAll(ctx context.Context, requests []writer.Request) []writer.Outcome
	ReadIndex(ctx context.Context) (writer.ReadIndex, error)
	// Leading reports whether it gets on: a leader that cannot reach the log sends no heartbeats.
	Leading() bool
}

// Reign is a leader at work.
type Reign struct {
	Database string
	Writer   ulid.ULID // as its epoch's record names it
	Leader   Leader
	Chain    func() events.Chain // of its projection
	Now      func() kv.Millis
	Process  string
	Former   []ulid.ULID         // who led before: what they are asked is refused
	Refused  func(reason string) // called for each message that is refused; may be nil
	Logger   *slog.Logger
}

// Why messages are refused, as the metric says it.
const (
	malformed  = "malformed"
	staleEpoch = "stale_epoch"
)

// Serve answers requests, and sends heartbeats, until ctx ends; then it lets those that it has taken finish.
func (r Reign) Serve(ctx context.Context, conn *nats.Conn) error {
	s := &reigning{Reign: r, conn: conn, tries: newTries(time.Now)}
	defer s.requests.Wait()
	defer s.unsubscribe()
	if err := s.listen(r.Writer, s.commits, s.index); err != nil {
		return err
	}
	for _, former := range r.Former {
		if err := s.listen(former, s.staleCommits, s.staleIndex); err != nil {
			return err
		}
	}
	s.beat(ctx)
	return nil
}

// listen answers what a writer is asked.
func (s *reigning) listen(of ulid.ULID, commits, index func([]byte) []byte) error {
	for subject, answer := range map[string]func([]byte) []byte{
		wire.CommitSubject(s.Database, of): commits, wire.IndexSubject(s.Database, of): index,
	} {
		sub, err := s.conn.Subscribe(subject, s.handle(answer))
		if err != nil {
			return fmt.Errorf("listen for the requests to the leader of %q: %w", s.Database, err)
		}
		s.subs = append(s.subs, sub)
	}
	return nil
}

func (s *reigning) unsubscribe() {
	for _, sub := range s.subs {
		sub.Unsubscribe()
	}
}

// reigning is a Reign that listens.
type reigning struct {
	Reign
	conn     *nats.Conn
	subs     []*nats.Subscription
	tries    *tries
	requests sync.WaitGroup // being answered
}

// beat sends heartbeats until ctx ends.
func (s *reigning) beat(ctx context.Context) {
	ticker := time.NewTicker(heartbeatEvery)
	defer ticker.Stop()
	for {
		if s.Leader.Leading() {
			chain := s.Chain()
			h := wire.Heartbeat{
				Writer: s.Writer, Epoch: chain.Epoch, Position: chain.Applied, Process: s.Process, Server: s.conn.ConnectedServerName(),
			}
			if err := s.conn.Publish(wire.HeartbeatSubject(s.Database), h.Encode()); err != nil {
				s.Logger.Debug("could not send a heartbeat", "error", err)
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// handle answers each message in a goroutine of its own. The sequencer bounds how many wait.
func (s *reigning) handle(answer func([]byte) []byte) nats.MsgHandler {
	return func(m *nats.Msg) {
		s.requests.Go(func() {
			if err := m.Respond(answer(m.Data)); err != nil { // the client asks again
				s.Logger.Debug("could not answer a request", "error", err)
			}
		})
	}
}

// commits decides all requests of a message.
func (s *reigning) commits(data []byte) []byte {
	members, err := wire.DecodeCommits(data)
	if err != nil {
		s.refuse(err)
		return wire.EncodeCommitRefusal(err)
	}
	replies := make([][]byte, len(members))
	others := make([]*try, len(members)) // whose replies are to be given, where there is none yet
	var mine []*try
	var requests []writer.Request
	for i, member := range members {
		r, err := s.request(member)
		if err != nil {
			replies[i] = wire.EncodeCommitReply(kv.CommitResult{}, err)
			continue
		}
		of, first := s.tries.begin(r.ID, r.Try)
		others[i] = of
		if first {
			mine = append(mine, of)
			// The first try is a repeat too: it may come after later ones. Who sends it knows of its other tries.
			requests = append(requests, writer.Request{ID: r.ID, Atomic: r.Atomic, Repeat: true, Seen: r.Seen, Single: true})
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), decideTimeout)
	defer cancel()
	for i, outcome := range s.Leader.CommitAll(ctx, requests) {
		s.tries.end(mine[i], wire.EncodeCommitReply(outcome.Result, outcome.Err))
	}
	for i, of := range others { // after the own ones are done: somebody may wait for those likewise
		if of != nil {
			<-of.done
			replies[i] = of.reply
		}
	}
	return wire.EncodeCommitReplies(replies)
}

// request reads one request. The reader or client has decided which keys it takes.
func (s *reigning) request(member []byte) (*wire.CommitRequest, error) {
	r, err := wire.DecodeCommit(member)
	if err == nil {
		err = r.Atomic.Validate(s.Now(), true)
	}
	if err != nil {
		s.refuse(err)
	}
	return r, err
}

func (s *reigning) index(data []byte) []byte {
	if err := wire.DecodeIndex(data); err != nil {
		s.refuse(err)
		return wire.EncodeIndexReply(wire.Index{}, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), indexTimeout)
	defer cancel()
	index, err := s.Leader.ReadIndex(ctx)
	return wire.EncodeIndexReply(wire.Index(index), err)
}

func (s *reigning) staleCommits([]byte) []byte { return wire.EncodeCommitRefusal(s.stale()) }

func (s *reigning) staleIndex([]byte) []byte { return wire.EncodeIndexReply(wire.Index{}, s.stale()) }

// stale refuses a request to somebody who led before. After a takeover there are some, from those who have not read of it yet.
func (s *reigning) stale() error {
	chain := s.Chain()
	err := &wire.StaleError{Leader: s.Writer, Epoch: chain.Epoch, Position: chain.Applied}
	s.Logger.Debug("refused a request to a former leader", "error", err)
	s.count(staleEpoch)
	return err
}

func (s *reigning) refuse(err error) {
	s.Logger.Warn("refused a message", "database", s.Database, "error", err)
	s.count(malformed)
}

func (s *reigning) count(reason string) {
	if s.Refused != nil {
		s.Refused(reason)
	}
}

// Heartbeats calls f with every heartbeat of the database's leaders, from one goroutine, until stop is called.
func Heartbeats(conn *nats.Conn, database string, log *slog.Logger, f func(wire.Heartbeat)) (stop func(), err error) {
	sub, err := conn.Subscribe(wire.HeartbeatSubject(database), func(m *nats.Msg) {
		h, err := wire.DecodeHeartbeat(m.Data)
		if err != nil {
			log.Warn("refused a heartbeat", "database", database, "error", err)
			return
		}
		f(h)
	})
	if err != nil {
		return nil, fmt.Errorf("listen for the leaders of %q: %w", database, err)
	}
	return func() { sub.Unsubscribe() }, nil
}
