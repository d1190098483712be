package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/millpondkv/millpond/events/natslog"
	"github.com/millpondkv/millpond/history"
	"github.com/millpondkv/millpond/internal/databases"
	"github.com/millpondkv/millpond/internal/measure"
	"github.com/millpondkv/millpond/internal/near"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kvconnect"
	"github.com/millpondkv/millpond/projection"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
)

// Config is how the replicas of a process work.
type Config struct {
	Create      bool   // make a database when it is first used
	Replicas    int    // of the logs that are made, on so many NATS servers
	AllowUnsafe bool   // serve logs whose streams could lose records
	MostLag     uint64 // records that a replica that is ready may be behind
	Now         func() kv.Millis
	NewID       func() ulid.ULID
	Process     string       // the name of this process, for people
	Checkpoints *Checkpoints // nil: each start replays the logs from their beginning
	Logger      *slog.Logger
	Registry    prometheus.Registerer
}

// Databases has a replica of every database. It implements kvconnect.Databases.
type Databases struct {
	conn    *nats.Conn
	conns   *near.Pool // conn, and others to the leaders' servers
	js      jetstream.JetStream
	config  Config
	metrics *measure.Projections
	foreign *measure.Foreign
	silence func() // no question about this process is answered any more
	pasts   history.Slots

	refused prometheus.Counter // messages of clients

	life     context.Context // of the process: databases are opened for as long as it lasts
	end      context.CancelFunc
	openings sync.WaitGroup // tries to open a database; none begins once closed is set

	mu      sync.RWMutex
	places  map[string]*place
	served  *server // answers over NATS; nil before Serve
	closed  bool    // there will be no other places, and none is opened any more
	untried error   // why not each database that there was at the start has been tried; nil once it has
}

var errOpening = errors.New("the databases are being opened")

// OpenDatabases returns the databases of a NATS cluster; none is open yet.
func OpenDatabases(conn *nats.Conn, c Config) (*Databases, error) {
	js, err := jetstream.New(conn, jetstream.WithDefaultTimeout(apiTimeout))
	if err != nil {
		return nil, fmt.Errorf("use JetStream: %w", err)
	}
	s := &Databases{conn: conn, conns: near.NewPool(conn), js: js, config: c, metrics: measure.NewProjections(c.Registry, true),
		foreign: measure.NewForeign(c.Registry, c.Logger), places: map[string]*place{}, untried: errOpening, pasts: history.NewSlots()}
	s.life, s.end = context.WithCancel(context.Background())
	refused := newRefused("reason")
	s.refused = refused.WithLabelValues(malformed)
	c.Registry.MustRegister(refused, unservedGauge(func() float64 { return float64(len(s.unserved())) }))
	digests := &digester{process: c.Process, role: RoleReader, find: s.projection, log: c.Logger}
	if s.silence, err = answerQuestions(conn, c.Logger, s.status, digests); err != nil {
		return nil, err
	}
	s.openings.Go(func() { s.letGo(s.life) })
	return s, nil
}

// OpenAll opens every database that there is, and the one of the given name, which it makes if it may. It tries until it has
// succeeded or ctx ends; each round tries them all.
func (s *Databases) OpenAll(ctx context.Context, first string) error {
	for said := ""; ; {
		tried, err := s.openAll(ctx, first)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s.noteRound(tried, err)
		if err == nil {
			s.reportMissingLogs()
			return nil
		}
		if s.conn.IsConnected() && err.Error() != said { // a lost connection is logged once, and so is each reason
			s.config.Logger.Log(ctx, failureLevel(err), "cannot open all databases; trying again", "error", err)
			said = err.Error()
		}
		pause(ctx, followAgain)
	}
}

// noteRound notes whether each database has been tried, and otherwise why not.
func (s *Databases) noteRound(tried bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case tried:
		s.untried = nil
	case s.untried != nil:
		s.untried = err
	}
}

// reportMissingLogs says which checkpoints are of databases that have no log: those were deleted, or lost as a whole.
func (s *Databases) reportMissingLogs() {
	known := map[string]bool{}
	for _, d := range s.all() {
		known[d.ID()] = true
	}
	dirs, err := s.config.Checkpoints.without(known)
	if err != nil {
		s.config.Logger.Warn("cannot look for checkpoints of missing databases", "error", err)
	}
	for _, dir := range dirs {
		s.config.Logger.Warn("there are checkpoints of a database that has no log; delete them if the database was deleted, otherwise its log is lost", "directory", dir)
	}
}

func failureLevel(err error) slog.Level {
	if errors.Is(err, errLost) {
		return slog.LevelError
	}
	return slog.LevelWarn
}

// openAll reports also whether it knew the databases, and so has tried each.
func (s *Databases) openAll(ctx context.Context, first string) (tried bool, err error) {
	names, err := natslog.List(ctx, s.js)
	if err != nil {
		return false, err
	}
	made := ""
	if s.config.Create && !slices.Contains(names, first) {
		names, made = append(names, first), first
	}
	return true, s.openEach(ctx, names, made)
}

// mostOpening bounds how many databases are opened at once: each replays its log as fast as it can.
const mostOpening = 4

// openEach opens the databases, of which it makes that one. One that cannot be opened keeps no other from it; one that is
// refused is not tried again.
func (s *Databases) openEach(ctx context.Context, names []string, made string) error {
	s.expect(names)
	failed := make([]error, len(names))
	room := make(chan struct{}, mostOpening)
	var opening sync.WaitGroup
	for i, name := range names {
		room <- struct{}{}
		opening.Go(func() {
			defer func() { <-room }()
			_, err := s.find(ctx, name, name == made)
			if isUnsafe(err) {
				s.config.Logger.Error("the database is refused", "database", name, "error", err)
				err = nil
			}
			failed[i] = err
		})
	}
	opening.Wait()
	return errors.Join(failed...)
}

// Database implements kvconnect.Databases.
func (s *Databases) Database(ctx context.Context, name string, create bool) (kvconnect.Database, error) {
	d, err := s.replica(ctx, name, create)
	if err != nil {
		return nil, err
	}
	return d, nil
}

// replica returns the replica of a database, or an error for users.
func (s *Databases) replica(ctx context.Context, name string, create bool) (*Database, error) {
	d, err := s.find(ctx, name, create && s.config.Create)
	switch {
	case err == nil:
		return d, nil
	case errors.Is(err, kv.ErrNoDatabase), errors.Is(err, kv.ErrUnavailable):
		return nil, err
	}
	if isUnsafe(err) {
		s.config.Logger.Error("cannot open a database", "database", name, "error", err)
		return nil, kv.Errorf(kv.ErrUnavailable, "the database %q is not served: its log could lose what is written; the server's own log says why", name)
	}
	if !isDamage(err) { // of a log that does not fit its checkpoint OpenAll speaks
		s.config.Logger.Error("cannot open a database", "database", name, "error", err)
	}
	return nil, kv.Errorf(kv.ErrUnavailable, "the database %q cannot be opened now; try again", name)
}

// open opens a replica and waits until it has caught up with the log as it is now, so that no watch begins in the past. What
// it has loaded for that waits in its place for the next try, if the log cannot be followed from there yet.
func (s *Databases) open(ctx context.Context, p *place, name string, try *opening) (*Database, error) {
	began := time.Now()
	log, err := s.openLog(ctx, name, try.create)
	if err != nil {
		return nil, err
	}
	if err := p.load(log, s.config, projection.Options{Foreign: s.foreign.Of(name)}); err != nil {
		return nil, err
	}
	if err := p.loaded.verify(ctx, log); err != nil {
		return nil, fmt.Errorf("open the database %q: %w", name, err)
	}
	keeper := p.loaded.keeper
	p.loaded = nil
	d, err := openDatabase(ctx, s.conns, s.js, log, keeper, s.pasts, s.config)
	if err != nil {
		return nil, err
	}
	try.following.Store(d)
	if err := d.catchUp(ctx, openPatience); err != nil {
		return nil, fmt.Errorf("open the database %q: %w", name, errors.Join(err, d.close(ctx)))
	}
	s.metrics.Show(name, d.projection, func() kv.Position { return kv.Position(d.end.Load()) })
	s.config.Logger.Info("opened", "database", name, "position", d.projection.Chain().Applied, "checkpoint", keeper.Restored(),
		"took", time.Since(began).Round(time.Millisecond).String())
	return d, nil
}

// openLog gives up after findTimeout: a log whose servers are lost never answers.
func (s *Databases) openLog(ctx context.Context, name string, create bool) (*natslog.Log, error) {
	ctx, cancel := context.WithTimeout(ctx, findTimeout)
	defer cancel()
	open := natslog.Open
	if create {
		open = func(ctx context.Context, js jetstream.JetStream, name string) (*natslog.Log, error) {
			log, err := natslog.Open(ctx, js, name)
			if !errors.Is(err, kv.ErrNoDatabase) {
				return log, err
			}
			if err := databases.CheckUnused(ctx, js, name); err != nil {
				return nil, err
			}
			return natslog.Create(ctx, js, name, natslog.Config{Replicas: s.config.Replicas})
		}
	}
	return openSafe(ctx, s.js, name, open, s.config.AllowUnsafe)
}

// all returns the databases that are open, by name.
func (s *Databases) all() map[string]*Database {
	s.mu.RLock()
	defer s.mu.RUnlock()
	open := map[string]*Database{}
	for name, p := range s.places {
		if p.open != nil {
			open[name] = p.open
		}
	}
	return open
}

// projection returns that of an open database; nil if there is none.
func (s *Databases) projection(name string) *projection.Projection {
	if d := s.all()[name]; d != nil {
		return d.projection
	}
	return nil
}

// Close ends all replicas, and takes their checkpoints for as long as saveTimeout. It ends the tries to open one, and waits for them.
func (s *Databases) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), saveTimeout)
	defer cancel()
	s.silence()
	s.mu.Lock()
	served := s.served
	s.closed = true
	s.mu.Unlock()
	s.end()
	if served != nil {
		served.close()
	}
	s.openings.Wait()
	var failed []error
	for _, p := range s.places { // which do not change any more
		if p.open != nil {
			failed = append(failed, p.open.close(ctx))
		}
		failed = append(failed, p.unload())
	}
	s.conns.Close()
	return errors.Join(failed...)
}
