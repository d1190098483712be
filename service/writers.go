package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/events/natslog"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
	"github.com/millpondkv/millpond/queue"
	"github.com/millpondkv/millpond/writer"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
)

// WritersConfig is how the writers of a process work.
type WritersConfig struct {
	Only        []string      // lead only these databases; empty: all
	Lease       time.Duration // see writer.Config
	QuorumReads bool          // answer no read index by the lease: each takes a record, unless commits bring one anyway
	Now         func() kv.Millis
	NewID       func() ulid.ULID
	Process     string
	Logger      *slog.Logger
	Registry    prometheus.Registerer

	// BalanceEvery is how often databases are handed over to writers that lead fewer; 0 means 10 s.
	BalanceEvery time.Duration
}

// Writers stands by for the databases of a NATS cluster, and leads those that nobody else leads.
type Writers struct {
	conn    *nats.Conn
	js      jetstream.JetStream
	config  WritersConfig
	metrics *writerMetrics
	foreign foreignMessages
	queues  *queue.Metrics
	leading atomic.Int64 // databases

	mu     sync.Mutex
	known  map[string]*standing // the databases that are stood by for, or were
	listed bool                 // the databases have been listed once
}

// standing is the standby of one database.
type standing struct {
	projection atomic.Pointer[projection.Projection] // nil before the log is open
	leading    atomic.Bool
	yield      chan struct{}
	failure    error // why nobody stands by any more; guarded by the lock of Writers
}

func (s *standing) chain() (c events.Chain) {
	if p := s.projection.Load(); p != nil {
		c = p.Chain()
	}
	return c
}

// NewWriters returns the writers, which do nothing until Run.
func NewWriters(conn *nats.Conn, c WritersConfig) (*Writers, error) {
	if c.BalanceEvery == 0 {
		c.BalanceEvery = balanceEvery
	}
	js, err := jetstream.New(conn, jetstream.WithDefaultTimeout(apiTimeout))
	if err != nil {
		return nil, fmt.Errorf("use JetStream: %w", err)
	}
	w := &Writers{conn: conn, js: js, config: c, foreign: newForeignMessages(c.Registry, c.Logger), known: map[string]*standing{}}
	w.queues = queue.NewMetrics(c.Registry)
	w.metrics = newWriterMetrics(c.Registry, func() float64 { return float64(w.leading.Load()) })
	return w, nil
}

const (
	listEvery    = time.Second           // look for new databases: a first write to one waits for it
	handicapEach = 50 * time.Millisecond // for each database that this process leads: so they spread
	mostHandicap = time.Second
	drainBound   = 20 * time.Second // for handing the databases over at the end
)

// Run stands by and leads until ctx ends, and hands over what it leads then.
func (w *Writers) Run(ctx context.Context) error {
	stop, err := answerStatus(w.conn, w.config.Logger, w.status)
	if err != nil {
		return err
	}
	defer stop()
	var standbys sync.WaitGroup
	standbys.Go(func() { w.balance(ctx) })
	ticker := time.NewTicker(listEvery)
	defer ticker.Stop()
	for ctx.Err() == nil {
		names, err := w.list(ctx)
		if err != nil && ctx.Err() == nil && w.conn.IsConnected() { // a lost connection is logged once
			w.config.Logger.Warn("cannot list the databases; trying again", "error", err)
		}
		for _, name := range names {
			if s := w.begin(name); s != nil {
				standbys.Go(func() { w.end(ctx, name, w.standBy(ctx, name, s)) })
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
	ended := make(chan struct{})
	go func() { standbys.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(drainBound):
		w.config.Logger.Warn("could not hand over all databases in time; their next leaders wait out the lease")
	}
	return nil
}

func (w *Writers) list(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	names, err := natslog.List(ctx, w.js)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	w.listed = true
	w.mu.Unlock()
	if len(w.config.Only) > 0 {
		names = slices.DeleteFunc(names, func(name string) bool { return !slices.Contains(w.config.Only, name) })
	}
	return names, nil
}

// begin notes that somebody stands by for the database now. It returns nil if somebody does already.
func (w *Writers) begin(name string) *standing {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.known[name] != nil {
		return nil
	}
	w.known[name] = &standing{yield: make(chan struct{})}
	return w.known[name]
}

// end notes why nobody stands by any more. A database that could not be opened is tried again.
func (w *Writers) end(ctx context.Context, name string, err error) {
	if ctx.Err() != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !isDamage(err) {
		w.config.Logger.Warn("cannot stand by for a database; trying again", "database", name, "error", err)
		delete(w.known, name)
		return
	}
	w.config.Logger.Error("the log is damaged; the database is not led any more", "database", name, "error", err)
	w.known[name].failure = err
}

// standBy stands by for one database, and leads it at times, until ctx ends or the log is damaged.
func (w *Writers) standBy(ctx context.Context, name string, s *standing) error {
	opening, cancel := context.WithTimeout(ctx, apiTimeout)
	log, err := natslog.Open(opening, w.js, name)
	cancel()
	if err != nil {
		return err
	}
	logger := w.config.Logger.With("database", name)
	heartbeats := make(chan writer.Heartbeat, 1)
	stop, err := Heartbeats(w.conn, name, logger, func(h Heartbeat) {
		select {
		case heartbeats <- h.Heartbeat:
		default: // nobody stands by now, or will look at the one that is there
		}
	})
	if err != nil {
		return err
	}
	defer stop()
	p := projection.New(projection.Options{Foreign: w.foreign.of(name)})
	defer p.Close()
	s.projection.Store(p)
	observer := w.metrics.observe(name, p)
	defer observer.forget()
	standby := writer.NewStandby(writer.StandbyConfig{
		Config:  writer.Config{Log: log, Projection: p, Now: w.config.Now, NewID: w.config.NewID, Logger: logger, Metrics: observer, Lease: w.config.Lease, Quorum: w.config.QuorumReads},
		Silence: w.config.Lease + w.config.Lease/4, Heartbeats: heartbeats, Yield: s.yield, Handicap: w.handicap,
	})
	return standby.Run(ctx, func(reign context.Context, q *writer.Sequencer) {
		w.leads(s, 1)
		defer w.leads(s, -1)
		defer w.feedQueue(reign, log)()
		err := Reign{
			Database: name, Writer: q.Writer(), Leader: q, Chain: p.Chain, Now: w.config.Now, Process: w.config.Process,
			Refused: observer.refused.Inc, Logger: logger,
		}.Serve(reign, w.conn)
		if err != nil { // the connection is closed: the process ends
			logger.Error("cannot lead", "error", err)
			q.Close()
		}
	})
}

func (w *Writers) leads(s *standing, more int64) {
	w.leading.Add(more)
	s.leading.Store(more > 0)
}

func (w *Writers) handicap() time.Duration {
	return min(time.Duration(w.leading.Load())*handicapEach, mostHandicap)
}

// Ready returns nil if NATS is connected and every database is stood by for, and otherwise what is amiss.
func (w *Writers) Ready() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case !w.conn.IsConnected():
		return errors.New("no NATS server is connected")
	case !w.listed:
		return errors.New("the databases have not been listed yet")
	}
	for name, s := range w.known {
		if s.failure != nil {
			return fmt.Errorf("the database %q: %w", name, s.failure)
		}
	}
	return nil
}
