package service

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/service/wire"
	"github.com/nats-io/nats.go"
	"github.com/oklog/ulid/v2"
)

// server answers what clients ask of readers over NATS: it is one of the queue group of all readers.
type server struct {
	databases *Databases
	conn      *nats.Conn
	id        ulid.ULID     // of this reader, for the clients of its watches
	slots     chan struct{} // filled by each message that is being answered
	requests  sync.WaitGroup
	watches   *servedWatches
	receives  servedReceives
	pasts     chan struct{} // filled by each answer about the past
	held      time.Duration // heldFor; tests shorten it

	ending context.Context // ends watches
	end    context.CancelFunc
	subs   []*nats.Subscription
	ended  sync.WaitGroup // subscriptions that may still deliver
}

// Serve answers over NATS what clients ask of readers, until Close: all reads, watches, feeds, queues, reads of the past,
// and who leads. It returns when NATS knows, if a server is connected.
func (s *Databases) Serve() error {
	v := &server{databases: s, conn: s.conn, id: s.config.NewID(), slots: make(chan struct{}, mostRequests)}
	v.watches, v.pasts, v.held = newServedWatches(), make(chan struct{}, mostPasts), heldFor
	v.receives.byID = map[ulid.ULID]context.CancelFunc{}
	v.ending, v.end = context.WithCancel(context.Background())
	for subject, answer := range map[string]func(*nats.Msg){
		wire.FindSubject("*"): v.find, wire.ReadSubject("*"): v.read, wire.WatchSubject("*"): v.watch,
		wire.FeedSubject("*"): v.feed, wire.QueueSubject("*"): v.queue, wire.HistorySubject("*"): v.history,
	} {
		if err := v.listen(subject, wire.Readers, v.handle(answer)); err != nil {
			v.close()
			return err
		}
	}
	if err := v.listen(wire.WatchingSubject("*", v.id, "*"), "", v.watching); err != nil {
		v.close()
		return err
	}
	if err := v.listen(wire.LeaveSubject("*"), "", v.left); err != nil {
		v.close()
		return err
	}
	if err := s.conn.FlushTimeout(apiTimeout); err != nil {
		s.config.Logger.Debug("it is not certain yet that NATS knows of this reader", "error", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.served = v
	return nil
}

func (v *server) listen(subject, queue string, handle nats.MsgHandler) error {
	sub, err := v.conn.QueueSubscribe(subject, queue, handle)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", subject, err)
	}
	v.ended.Add(1)
	sub.SetClosedHandler(func(string) { v.ended.Done() })
	v.subs = append(v.subs, sub)
	return nil
}

// drainTimeout bounds how long messages that have come already are answered at the end.
const drainTimeout = 5 * time.Second

// close takes no more messages, answers those that have come, and ends the watches, whose clients go to other readers.
func (v *server) close() {
	for _, sub := range v.subs {
		if err := sub.Drain(); err != nil {
			v.databases.config.Logger.Debug("could not drain a subscription", "error", err)
		}
	}
	drained := make(chan struct{})
	go func() { v.ended.Wait(); close(drained) }()
	select {
	case <-drained:
	case <-time.After(drainTimeout): // the connection is lost
	}
	v.end()
	v.requests.Wait()
}

// handle answers each message in a goroutine of its own.
func (v *server) handle(answer func(*nats.Msg)) nats.MsgHandler {
	return func(m *nats.Msg) {
		select {
		case v.slots <- struct{}{}:
		default: // nobody is told: the client asks again, maybe another reader
			return
		}
		v.requests.Go(func() {
			defer func() { <-v.slots }()
			answer(m)
		})
	}
}

func (v *server) respond(m *nats.Msg, data []byte) {
	if err := m.Respond(data); err != nil { // the client asks again
		v.databases.config.Logger.Debug("could not answer a client", "subject", m.Subject, "error", err)
	}
}

// refuse counts a message that is malformed.
func (v *server) refuse(m *nats.Msg, err error) {
	v.databases.config.Logger.Warn("refused a message", "subject", m.Subject, "error", err)
	v.databases.refused.Inc()
}

// database returns the replica that a message is for. Who does not make it waits for it for openingWait only.
func (v *server) database(ctx context.Context, m *nats.Msg, create bool) (*Database, error) {
	name := wire.DatabaseOf(m.Subject)
	if !kv.ValidDatabaseName(name) {
		return nil, kv.Errorf(kv.ErrNoDatabase, "there is no database %.80q: a name is 1 to %d of a-z, 0-9, _ and -", name, kv.MaxDatabaseName)
	}
	if !create {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, openingWait)
		defer cancel()
	}
	return v.databases.replica(ctx, name, create)
}

// find answers who leads a database. Like the metadata exchange of KV Connect it makes an absent one, if that is allowed. Who asks for one
// that is being opened hears that soon, and may ask another reader.
func (v *server) find(m *nats.Msg) {
	if err := wire.DecodeFind(m.Data); err != nil {
		v.refuse(m, err)
		v.respond(m, wire.EncodeFindReply(wire.Found{}, err))
		return
	}
	ctx, cancel := context.WithTimeout(v.ending, findTimeout)
	defer cancel()
	d, err := v.database(ctx, m, false)
	if errors.Is(err, kv.ErrNoDatabase) {
		d, err = v.database(ctx, m, true)
	}
	if err != nil {
		v.respond(m, wire.EncodeFindReply(wire.Found{}, err))
		return
	}
	chain := d.projection.Chain()
	v.respond(m, wire.EncodeFindReply(wire.Found{ID: d.ID(), Leader: chain.Writer, Epoch: chain.Epoch, Position: chain.Applied}, d.broken()))
}
