package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/events/natslog"
	"github.com/millpondkv/millpond/internal/checkpoints"
	"github.com/millpondkv/millpond/internal/databases"
	"github.com/millpondkv/millpond/internal/measure"
	"github.com/millpondkv/millpond/internal/near"
	"github.com/millpondkv/millpond/internal/trouble"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
	"github.com/millpondkv/millpond/queue"
	"github.com/millpondkv/millpond/service/wire"
	"github.com/millpondkv/millpond/writer"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
)

// WritersConfig is how the writers of a process work.
type WritersConfig struct {
	Only        []string      // lead only these databases; empty: all
	AllowUnsafe bool          // lead databases whose streams could lose records
	Lease       time.Duration // see writer.Config
	QuorumReads bool          // answer no read index by the lease: each takes a record, unless commits bring one anyway
	Now         func() kv.Millis
	NewID       func() ulid.ULID
	Process     string
	Checkpoints *Checkpoints  // nil: each start begins with the bucket's checkpoints
	History     time.Duration // logs are not trimmed inside of so much log time

	// CheckpointBytes is the growth of a log after which a checkpoint goes into the bucket.
	CheckpointBytes int64
	Logger          *slog.Logger
	Registry        prometheus.Registerer

	// BalanceEvery is how often databases are handed over to writers that lead fewer; 0 means 10 s.
	BalanceEvery time.Duration
}

// Writers stands by for the databases of a NATS cluster, and leads those that nobody else leads.
type Writers struct {
	conn    *nats.Conn
	conns   *near.Pool // conn, and others to the servers that lead the logs
	js      jetstream.JetStream
	config  WritersConfig
	metrics *writerMetrics
	foreign *measure.Foreign
	queues  *queue.Metrics
	kept    *measure.Checkpoints
	leading atomic.Int64 // databases

	mu     sync.Mutex
	known  map[string]*standing // the databases that are stood by for, or were
	listed bool                 // the databases have been listed once
	said   map[string]string    // of the databases that could not be opened: why, as it was logged
	broken map[string]*damage   // the databases whose logs cannot be read on
}

// damage is what keeps a log from being read on. It is read again now and then: it may be mended elsewhere.
type damage struct {
	err   error
	id    string        // of the database
	at    kv.Position   // the last record that could be read
	wait  time.Duration // before it is read again
	again time.Time     // when it is

	missing time.Time // since when there has been no such log; zero: it is there
}

// missingMost is how long a damaged log may be missing while its servers are filled anew.
const missingMost = 10 * time.Second

// deleted reports whether the log has been missing for so long that it was deleted.
func (d *damage) deleted(listed bool, now time.Time) bool {
	switch {
	case listed:
		d.missing = time.Time{}
	case d.missing.IsZero():
		d.missing = now
	}
	return !listed && now.Sub(d.missing) > missingMost
}

// standing is the standby of one database.
type standing struct {
	projection atomic.Pointer[projection.Projection] // nil before the log is open
	keeper     atomic.Pointer[checkpoints.Keeper]    // likewise
	leading    atomic.Bool
	yield      chan struct{}
	dismiss    context.CancelCauseFunc // ends it
	id         string                  // of the database, once its log is open; guarded by the lock of Writers
	waits      error                   // why nobody stands by yet; guarded by the lock of Writers
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
	w := &Writers{
		conn: conn, conns: near.NewPool(conn), js: js, config: c, foreign: measure.NewForeign(c.Registry, c.Logger),
		known: map[string]*standing{}, said: map[string]string{}, broken: map[string]*damage{},
	}
	w.queues = queue.NewMetrics(c.Registry)
	w.kept = measure.NewCheckpoints(c.Registry)
	c.Registry.MustRegister(unservedGauge(func() float64 {
		w.mu.Lock()
		defer w.mu.Unlock()
		return float64(len(w.unserved()))
	}))
	w.metrics = newWriterMetrics(c.Registry, func() float64 { return float64(w.leading.Load()) })
	return w, nil
}

const (
	listEvery    = time.Second           // look for new databases: a first write to one waits for it
	handicapEach = 50 * time.Millisecond // for each database that this process leads: so they spread
	mostHandicap = time.Second
	drainBound   = 20 * time.Second // for handing the databases over at the end
)

// Run stands by and leads until ctx ends, and hands over what it leads then. It is called once.
func (w *Writers) Run(ctx context.Context) error {
	defer w.conns.Close()
	digests := &digester{process: w.config.Process, role: RoleWriter, find: w.projection, log: w.config.Logger}
	stop, err := answerQuestions(w.conn, w.config.Logger, w.status, digests)
	if err != nil {
		return err
	}
	defer stop()
	var standbys sync.WaitGroup
	standbys.Go(func() { w.balance(ctx) })
	standbys.Go(func() { w.letGo(ctx) })
	standbys.Go(func() { databases.KeepPruned(ctx, w.conn, w.js, w.config.Logger) })
	ticker := time.NewTicker(listEvery)
	defer ticker.Stop()
	listing := trouble.Trouble{Logger: w.config.Logger, What: "cannot list the databases"}
	for ctx.Err() == nil {
		names, err := w.list(ctx)
		switch {
		case err == nil:
			listing.Over()
		case ctx.Err() == nil && w.conn.IsConnected(): // a lost connection is logged once
			listing.Fails(err)
		}
		for _, name := range names {
			if s := w.begin(name); s != nil {
				standing, dismiss := context.WithCancelCause(ctx)
				s.dismiss = dismiss
				standbys.Go(func() {
					defer dismiss(nil)
					if err := w.standBy(standing, name, s); !w.dismissed(standing, name, err) {
						w.end(ctx, name, err)
					}
				})
			}
		}
		w.noteMended()
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
	if len(w.config.Only) > 0 {
		names = slices.DeleteFunc(names, func(name string) bool { return !slices.Contains(w.config.Only, name) })
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.listed = true
	maps.DeleteFunc(w.said, func(name, _ string) bool { return !slices.Contains(names, name) }) // it was deleted
	maps.DeleteFunc(w.broken, func(name string, d *damage) bool { return d.deleted(slices.Contains(names, name), time.Now()) })
	return names, nil
}

// begin notes that somebody stands by for the database now. It returns nil if somebody does already.
func (w *Writers) begin(name string) *standing {
	w.mu.Lock()
	defer w.mu.Unlock()
	if d := w.broken[name]; w.known[name] != nil || d != nil && time.Now().Before(d.again) {
		return nil
	}
	w.known[name] = &standing{yield: make(chan struct{})}
	return w.known[name]
}

// end notes why nobody stands by any more. The database is tried again: after a while, if its log is damaged.
func (w *Writers) end(ctx context.Context, name string, err error) {
	if ctx.Err() != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	id := w.known[name].id
	delete(w.known, name)
	if !isDamage(err) {
		if reason := err.Error(); w.said[name] != reason { // it is tried every second
			w.config.Logger.Warn("cannot stand by for a database; trying on", "database", name, "error", err)
			w.said[name] = reason
		}
		return
	}
	d := &damage{err: err, id: id, wait: mendFirst}
	var record *events.RecordError
	if errors.As(err, &record) {
		d.at = record.Position - 1
	}
	if before := w.broken[name]; before != nil && before.id == d.id && before.at == d.at {
		d.wait = min(2*before.wait, mendMost)
	} else {
		w.config.Logger.Error(unreadableLog(err)+"; the database is not led until that is mended", "database", name, "error", err)
	}
	d.again = time.Now().Add(d.wait)
	w.broken[name] = d
}

// noteMended forgets the damages that logs have been read past, and those of databases whose name another one has now.
func (w *Writers) noteMended() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, d := range w.broken {
		s := w.known[name]
		if s != nil && s.id != "" && d.id != "" && s.id != d.id {
			delete(w.broken, name)
		} else if s != nil && s.chain().Applied > d.at {
			w.config.Logger.Info("the log can be read on; the database is stood by for again", "database", name, "position", s.chain().Applied)
			delete(w.broken, name)
		}
	}
}

// projection returns that of a database that is stood by for; nil if there is none.
func (w *Writers) projection(name string) *projection.Projection {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := w.known[name]; s != nil {
		return s.projection.Load()
	}
	return nil
}

// opened forgets what was amiss with a database, so that it is logged when it happens again.
func (w *Writers) opened(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.said, name)
}

// standBy stands by for one database, and leads it at times, until ctx ends or the log is damaged.
func (w *Writers) standBy(ctx context.Context, name string, s *standing) error {
	opening, cancel := context.WithTimeout(ctx, apiTimeout)
	log, err := openSafe(opening, w.js, name, natslog.Open, w.config.AllowUnsafe)
	cancel()
	if err != nil {
		return err
	}
	w.opened(name)
	log.AppendNear(w.conns)
	w.stoodBy(s, log)
	logger := w.config.Logger.With("database", name)
	heartbeats := make(chan writer.Heartbeat, 1)
	stop, err := Heartbeats(w.conn, name, logger, func(h wire.Heartbeat) {
		select {
		case heartbeats <- writer.Heartbeat{Writer: h.Writer, Epoch: h.Epoch}:
		default: // nobody stands by now, or will look at the one that is there
		}
	})
	if err != nil {
		return err
	}
	defer stop()
	keeper, err := w.restore(ctx, log, s, logger)
	if err != nil {
		return err
	}
	p := keeper.Projection()
	defer p.Close()
	defer w.keep(ctx, keeper, logger)()
	s.projection.Store(p)
	kept := w.kept.Of(name)
	bucket := checkpoints.NewKeeper(checkpoints.KeeperConfig{
		Log: log, Projection: p, History: w.config.History, Bytes: w.config.CheckpointBytes, Now: w.config.Now, Metrics: kept, Logger: logger,
	})
	s.keeper.Store(bucket)
	w.metrics.projections.Show(name, p, nil)
	defer w.metrics.projections.Forget(name)
	standby := writer.NewStandby(writer.StandbyConfig{
		Config: writer.Config{
			Log: log, Projection: p, Now: w.config.Now, NewID: w.config.NewID, Logger: logger, Metrics: w.metrics.sequencers.Of(name),
			Lease: w.config.Lease, Quorum: w.config.QuorumReads,
		},
		Silence: w.config.Lease + w.config.Lease/4, Heartbeats: heartbeats, Yield: s.yield, Handicap: w.handicap,
	})
	for _, reason := range []string{malformed, staleEpoch} {
		w.metrics.refused.WithLabelValues(name, reason)
	}
	return standby.Run(ctx, func(reign context.Context, q *writer.Sequencer) {
		w.metrics.takeovers.WithLabelValues(name).Inc()
		w.leads(s, 1)
		defer w.leads(s, -1)
		defer w.feedQueue(reign, log)()
		defer keepBucket(reign, bucket, q.Renew, kept)()
		err := Reign{
			Database: name, Writer: q.Writer(), Leader: q, Chain: p.Chain, Now: w.config.Now, Process: w.config.Process,
			Former: standby.Former(), Logger: logger,
			Refused: func(reason string) { w.metrics.refused.WithLabelValues(name, reason).Inc() },
		}.Serve(reign, w.conn)
		if err != nil { // the connection is closed: the process ends
			logger.Error("cannot lead", "error", err)
			q.Close()
		}
	})
}

// restore returns the newest checkpoint of a database once its log has been compared with it. Until then it asks again and
// again, and leads nothing.
func (w *Writers) restore(ctx context.Context, log *natslog.Log, s *standing, logger *slog.Logger) (*projection.Checkpointer, error) {
	r, err := w.config.Checkpoints.restore(log, projection.Options{Foreign: w.foreign.Of(log.Database())}, logger)
	if err != nil {
		return nil, err
	}
	for said := ""; ; {
		err := r.verify(ctx, log)
		w.waits(s, err)
		if err == nil {
			return r.keeper, nil
		}
		if err.Error() != said {
			logger.Log(ctx, failureLevel(err), "cannot stand by yet; trying again", "error", err)
			said = err.Error()
		}
		if pause(ctx, followAgain); ctx.Err() != nil {
			return nil, errors.Join(ctx.Err(), r.keeper.Projection().Close())
		}
	}
}

func (w *Writers) waits(s *standing, why error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s.waits = why
}

// keep takes checkpoints until the returned function is called, which takes the last one if the process ends.
func (w *Writers) keep(ctx context.Context, keeper *projection.Checkpointer, logger *slog.Logger) (end func()) {
	keeping, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() { defer close(ended); keeper.Run(keeping) }()
	return func() {
		stop()
		<-ended
		if ctx.Err() == nil {
			return
		}
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
		defer cancel()
		save(last, keeper, logger)
	}
}

// keepBucket takes checkpoints into the bucket until stop is called.
func keepBucket(ctx context.Context, keeper *checkpoints.Keeper, renew func(), kept *measure.Checkpointed) (stop func()) {
	kept.Begin()
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() { defer close(ended); keeper.Run(ctx, renew) }()
	return func() {
		cancel()
		<-ended
		kept.Forget()
	}
}

func (w *Writers) leads(s *standing, more int64) {
	w.leading.Add(more)
	s.leading.Store(more > 0)
}

func (w *Writers) handicap() time.Duration {
	return min(time.Duration(w.leading.Load())*handicapEach, mostHandicap)
}
