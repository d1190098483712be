package service

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/writer"
	"github.com/nats-io/nats.go"
	"github.com/oklog/ulid/v2"
)

// Leader decides the atomics of a database: a writer.Sequencer.
type Leader interface {
	Commit(ctx context.Context, r writer.Request) (kv.CommitResult, error)
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
	Refused  func() // called for each message that is refused; may be nil
	Logger   *slog.Logger
}

// Serve answers requests, and sends heartbeats, until ctx ends; then it lets those that it has taken finish.
func (r Reign) Serve(ctx context.Context, conn *nats.Conn) error {
	s := &reigning{Reign: r, conn: conn, tries: newTries(time.Now)}
	commits, err := conn.Subscribe(commitSubject(r.Database, r.Writer), s.handle(s.commit))
	if err != nil {
		return fmt.Errorf("listen for the commits of %q: %w", r.Database, err)
	}
	defer s.requests.Wait()
	defer commits.Unsubscribe()
	indexes, err := conn.Subscribe(indexSubject(r.Database, r.Writer), s.handle(s.index))
	if err != nil {
		return fmt.Errorf("listen for the reads of %q: %w", r.Database, err)
	}
	defer indexes.Unsubscribe()
	s.beat(ctx)
	return nil
}

// reigning is a Reign that listens.
type reigning struct {
	Reign
	conn     *nats.Conn
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
			h := Heartbeat{Heartbeat: writer.Heartbeat{Writer: s.Writer, Epoch: chain.Epoch}, Position: chain.Applied, Process: s.Process}
			if err := s.conn.Publish(heartbeatSubject(s.Database), h.encode()); err != nil {
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

func (s *reigning) commit(data []byte) []byte {
	request, err := decodeCommit(data)
	if err == nil {
		err = request.atomic.Validate(s.Now(), true) // the reader decides which keys it takes
	}
	if err != nil {
		s.refuse(err)
		return encodeCommitReply(kv.CommitResult{}, err)
	}
	return s.tries.answer(request.id, request.try, func() []byte {
		ctx, cancel := context.WithTimeout(context.Background(), decideTimeout)
		defer cancel()
		// The first try is a repeat too: it may come after later ones.
		return encodeCommitReply(s.Leader.Commit(ctx, writer.Request{ID: request.id, Atomic: request.atomic, Repeat: true, Seen: request.seen}))
	})
}

func (s *reigning) index(data []byte) []byte {
	d, err := decode(data, kindIndex)
	if err == nil {
		err = d.end()
	}
	if err != nil {
		s.refuse(err)
		return encodeIndexReply(writer.ReadIndex{}, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), indexTimeout)
	defer cancel()
	return encodeIndexReply(s.Leader.ReadIndex(ctx))
}

func (s *reigning) refuse(err error) {
	s.Logger.Warn("refused a message", "database", s.Database, "error", err)
	if s.Refused != nil {
		s.Refused()
	}
}

// Heartbeats calls f with every heartbeat of the database's leaders, from one goroutine, until stop is called.
func Heartbeats(conn *nats.Conn, database string, log *slog.Logger, f func(Heartbeat)) (stop func(), err error) {
	sub, err := conn.Subscribe(heartbeatSubject(database), func(m *nats.Msg) {
		h, err := decodeHeartbeat(m.Data)
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
