package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/oklog/ulid/v2"

	"github.com/millpondkv/millpond/internal/batch"
	"github.com/millpondkv/millpond/internal/near"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/service/wire"
)

// The bounds of the NATS transport.
const (
	natsPing          = time.Second            // a server that answers neither of two is lost
	natsReconnectWait = 100 * time.Millisecond // and another one is tried soon
	natsTimeout       = 2 * time.Second        // of making a connection to one server
	findTimeout       = 10 * time.Second       // a reader may have to make the database
	tryTimeout        = 2 * time.Second        // then a reader or leader is asked again: an answer may be lost
	againAfter        = 50 * time.Millisecond  // between tries of a commit, if no other leader is known before
	leaderForgotten   = 5 * time.Second        // ten heartbeats: others lead by then, and what was seen last may be too old for a try
	natsWatchSilence  = 10 * time.Second       // without a frame or a sign of life, which come every 4 s
	commitLanes       = 1                      // messages with commits in flight: the leader has one record in flight, and more in it are faster
	readLanes         = 4                      // messages with reads in flight, so that a large answer does not hold up all others
	spareLanes        = 4                      // while messages are late: their answers may be lost
	lanePatience      = 200 * time.Millisecond // ten times what a record takes
	mostCommits       = 1 << 10                // in one message: there is 1 KB for the reply to each
	mostCommitBytes   = 700 << 10              // of the commits in one message: somewhat less than a record holds
)

// natsTransport is the transport over NATS: reads and watches are asked of one of all readers, commits of the leader.
//
// What many goroutines ask at once goes in one message.
type natsTransport struct {
	*line     // to the readers
	database  string
	conns     *near.Pool // of the line's connection
	leader    *leader
	commits   *batch.Batcher[[]byte, kv.CommitResult]
	reads     [Eventual + 1]*batch.Batcher[readQuestion, readAnswer] // by consistency
	log       *slog.Logger
	retryTime time.Duration
	silence   time.Duration // natsWatchSilence; tests shorten it
	now       func() time.Time
	newID     func() ulid.ULID

	seen   atomic.Uint64   // the highest position that this session has shown or written: it never goes back
	closed context.Context // ends the requests in flight
	close  context.CancelFunc

	indexing    context.Context // ends when this client turns out not to be allowed to ask for read indexes
	denyIndexes context.CancelFunc

	mu   sync.Mutex
	near *line // to the leader's server; nil: there was none yet
}

func isNATS(rawURL string) bool {
	return strings.HasPrefix(rawURL, "nats://") || strings.HasPrefix(rawURL, "tls://")
}

// parseNATS returns the servers of a URL, as nats.Connect takes them, and the database.
func parseNATS(rawURL string) (servers, database string, err error) {
	scheme, rest, _ := strings.Cut(rawURL, "://")
	hosts, database, _ := strings.Cut(rest, "/")
	user := ""
	if at := strings.LastIndexByte(hosts, '@'); at >= 0 {
		user, hosts = hosts[:at+1], hosts[at+1:]
	}
	if database == "" {
		database = "default"
	}
	if !kv.ValidDatabaseName(database) {
		return "", "", kv.Invalidf("the database %.80q cannot be: a name is 1 to %d of a-z, 0-9, _ and -", database, kv.MaxDatabaseName)
	}
	var list []string
	for host := range strings.SplitSeq(hosts, ",") {
		if host == "" {
			return "", "", kv.Invalidf("the URL names no NATS server where it should; write one such as nats://127.0.0.1:4222/orders")
		}
		list = append(list, scheme+"://"+user+host)
	}
	return strings.Join(list, ","), database, nil
}

func connectNATS(ctx context.Context, rawURL string, o options) (transport, error) {
	servers, database, err := parseNATS(rawURL)
	if err != nil {
		return nil, err
	}
	conn, err := nats.Connect(servers, append(natsOptions(o.logger), o.nats...)...)
	switch {
	case errors.Is(err, nats.ErrAuthorization):
		return nil, &failure{kind: kv.ErrUnauthorized, message: "NATS refuses the connection; check the user and password of the URL, or the credentials", cause: err}
	case err != nil:
		return nil, &failure{kind: kv.ErrUnavailable, message: "none of the NATS servers of the URL can be reached; check their addresses, and that they run", cause: err}
	}
	t := newNATSTransport(conn, database, o)
	if err := t.open(ctx); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

func natsOptions(log *slog.Logger) []nats.Option {
	return []nats.Option{
		nats.Name("millpond client"), nats.PingInterval(natsPing), nats.MaxPingsOutstanding(2), nats.Timeout(natsTimeout),
		nats.MaxReconnects(-1), nats.ReconnectWait(natsReconnectWait), nats.ReconnectJitter(natsReconnectWait, natsReconnectWait),
		nats.IgnoreAuthErrorAbort(),
		nats.ReconnectBufSize(-1), // what is sent while nothing is connected fails, and does not arrive later
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil { // nil after Close
				log.Warn("the connection to NATS is lost", "error", err)
			}
		}),
		nats.ReconnectHandler(func(conn *nats.Conn) { log.Info("connected to NATS again", "server", conn.ConnectedUrlRedacted()) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { log.Warn("NATS says", "error", err) }),
	}
}

func newNATSTransport(conn *nats.Conn, database string, o options) *natsTransport {
	t := &natsTransport{
		line: newLine(conn), database: database, conns: near.NewPool(conn), leader: newLeader(o.now), log: o.logger, retryTime: o.retryTime,
		silence: natsWatchSilence, now: o.now,
		newID: func() ulid.ULID { return ulid.MustNew(ulid.Timestamp(o.now()), rand.Reader) },
	}
	t.closed, t.close = context.WithCancel(context.Background())
	t.indexing, t.denyIndexes = context.WithCancel(t.closed)
	said := conn.ErrorHandler()
	conn.SetErrorHandler(func(conn *nats.Conn, sub *nats.Subscription, err error) {
		t.heed(err)
		if said != nil {
			said(conn, sub, err)
		}
	})
	t.commits = &batch.Batcher[[]byte, kv.CommitResult]{
		Send: t.sendCommits, Size: func(member *[]byte) int { return len(*member) },
		Most: min(mostCommitBytes, int(conn.MaxPayload())*3/4), Count: mostCommits,
		Lanes: commitLanes, Patience: lanePatience, Spare: spareLanes,
	}
	for c := range t.reads {
		t.reads[c] = &batch.Batcher[readQuestion, readAnswer]{
			Send: func(questions []*readRequest) { t.sendReads(Consistency(c), questions) },
			Size: func(q *readQuestion) int { return q.size }, Most: wire.MaxEntries, Count: wire.MaxRequests,
			Lanes: readLanes, Patience: lanePatience, Spare: spareLanes,
		}
	}
	return t
}

// open finds the database and its leader.
func (t *natsTransport) open(ctx context.Context) error {
	if err := t.inbox.listen(); err != nil {
		return &failure{kind: kv.ErrUnavailable, message: "cannot listen for answers", cause: err}
	}
	_, err := t.conn.Subscribe(wire.HeartbeatSubject(t.database), func(m *nats.Msg) {
		if h, err := wire.DecodeHeartbeat(m.Data); err == nil {
			t.leader.heard(h.Writer, h.Epoch, h.Position, h.Server)
		} else {
			t.log.Warn("refused a heartbeat", "error", err)
		}
	})
	if err != nil {
		return &failure{kind: kv.ErrUnavailable, message: "cannot listen for the leader", cause: err}
	}
	ctx, cancel := context.WithTimeout(ctx, findTimeout)
	defer cancel()
	found, err := t.find(ctx)
	for errors.Is(err, kv.ErrUnavailable) && !errors.Is(err, errNotSent) && pauseUntil(ctx, ctx) { // a reader that opens the database; another one may have it
		found, err = t.find(ctx)
	}
	if err != nil {
		return err
	}
	t.leader.heard(found.Leader, found.Epoch, found.Position, "")
	t.log.Debug("found the database", "database", t.database, "id", found.ID, "position", found.Position)
	return nil
}

// find asks a reader for the database and its leader.
func (t *natsTransport) find(ctx context.Context) (wire.Found, error) {
	answer, err := t.ask(ctx, wire.FindSubject(t.database), wire.EncodeFind(), whole)
	if err != nil {
		return wire.Found{}, &failure{kind: kv.ErrUnavailable, message: fmt.Sprintf("no reader answers for the database %q", t.database), cause: err}
	}
	return wire.DecodeFindReply(answer)
}

func (t *natsTransport) Close() {
	t.close()
	t.commits.Wait()
	for _, reads := range t.reads {
		reads.Wait()
	}
	t.leader.forget()
	t.conns.Close()
	t.conn.Close()
}

// toLeader returns the line over which a message reaches a leader soonest that is connected to that server.
func (t *natsTransport) toLeader(server string) *line {
	conn := t.conns.To(server)
	if conn == t.conn {
		return t.line
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.near == nil || t.near.conn != conn {
		l := newLine(conn)
		if l.inbox.listen() != nil { // it is lost already
			return t.line
		}
		t.near = l
	}
	return t.near
}

// saw notes that the session has shown or written the record at p.
func (t *natsTransport) saw(p kv.Position) {
	for {
		seen := t.seen.Load()
		if uint64(p) <= seen || t.seen.CompareAndSwap(seen, uint64(p)) {
			return
		}
	}
}

// gaveUp is the error of a call that ctx has ended, or the time for tries; last is what the last try failed with.
func gaveUp(ctx context.Context, last error) error {
	cause := context.Cause(ctx)
	switch {
	case cause == nil:
		return last
	case errors.Is(last, cause):
		f := &failure{kind: kv.ErrUnavailable, message: "the cluster did not answer in time", cause: cause}
		if errors.Is(cause, context.Canceled) || errors.Is(cause, ErrClosed) {
			f.kind = nil // it was the caller who gave up
		}
		return f
	}
	return fmt.Errorf("%w; before that, %w", cause, last)
}
