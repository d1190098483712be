package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"github.com/millpondkv/millpond/events/natslog"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kvconnect"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
)

// Config is how the replicas of a process work.
type Config struct {
	Create   bool   // make a database when it is first used
	Replicas int    // of the logs that are made, on so many NATS servers
	MostLag  uint64 // records that a replica that is ready may be behind
	Now      func() kv.Millis
	NewID    func() ulid.ULID
	Process  string // the name of this process, for people
	Logger   *slog.Logger
	Registry prometheus.Registerer
}

// Databases has a replica of every database. It implements kvconnect.Databases.
type Databases struct {
	conn    *nats.Conn
	js      jetstream.JetStream
	config  Config
	metrics *replicaMetrics
	foreign foreignMessages
	silence func() // no status is answered any more

	mu     sync.RWMutex
	places map[string]*place
	closed bool // there will be no other places, and none is opened any more
	opened bool // all that there were at the start are open
}

// place is where the replica of one database is, or will be.
type place struct {
	opening sync.Mutex // held while the database is opened or closed
	closed  bool       // guarded by opening
	mu      sync.RWMutex
	open    *Database // nil until it is open
}

func (p *place) database() *Database {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.open
}

// OpenDatabases returns the databases of a NATS cluster; none is open yet.
func OpenDatabases(conn *nats.Conn, c Config) (*Databases, error) {
	js, err := jetstream.New(conn, jetstream.WithDefaultTimeout(apiTimeout))
	if err != nil {
		return nil, fmt.Errorf("use JetStream: %w", err)
	}
	s := &Databases{conn: conn, js: js, config: c, metrics: newReplicaMetrics(c.Registry),
		foreign: newForeignMessages(c.Registry, c.Logger), places: map[string]*place{}}
	if s.silence, err = answerStatus(conn, c.Logger, s.status); err != nil {
		return nil, err
	}
	return s, nil
}

// OpenAll opens every database that there is, and the one of the given name, which it makes if it may. It tries until it has
// succeeded or ctx ends.
func (s *Databases) OpenAll(ctx context.Context, first string) error {
	for {
		err := s.openAll(ctx, first)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.opened = true
			return nil
		}
		if s.conn.IsConnected() { // a lost connection is logged once
			s.config.Logger.Warn("cannot open the databases; trying again", "error", err)
		}
		pause(ctx, followAgain)
	}
}

func (s *Databases) openAll(ctx context.Context, first string) error {
	names, err := natslog.List(ctx, s.js)
	if err != nil {
		return err
	}
	if s.config.Create && !slices.Contains(names, first) {
		if _, err := s.find(ctx, first, true); err != nil {
			return err
		}
	}
	for _, name := range names {
		if _, err := s.find(ctx, name, false); err != nil {
			return err
		}
	}
	return nil
}

// Database implements kvconnect.Databases.
func (s *Databases) Database(ctx context.Context, name string, create bool) (kvconnect.Database, error) {
	d, err := s.find(ctx, name, create && s.config.Create)
	switch {
	case err == nil:
		return d, nil
	case errors.Is(err, kv.ErrNoDatabase), errors.Is(err, kv.ErrUnavailable):
		return nil, err
	}
	s.config.Logger.Error("cannot open a database", "database", name, "error", err)
	return nil, kv.Errorf(kv.ErrUnavailable, "the database %q cannot be opened now; try again", name)
}

// find returns an open database. Whoever comes first opens it, and the others wait.
func (s *Databases) find(ctx context.Context, name string, create bool) (*Database, error) {
	p := s.place(name)
	if p == nil {
		return nil, errStopping
	}
	if d := p.database(); d != nil {
		return d, nil
	}
	p.opening.Lock()
	defer p.opening.Unlock()
	if d := p.database(); d != nil || p.closed {
		if p.closed {
			return nil, errStopping
		}
		return d, nil
	}
	d, err := s.open(ctx, name, create)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = d
	return d, nil
}

// place returns the place of a database, which it makes if nobody else has; nil after Close.
func (s *Databases) place(name string) *place {
	s.mu.RLock()
	p, closed := s.places[name], s.closed
	s.mu.RUnlock()
	if p != nil || closed {
		return p
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.places[name]; p != nil || s.closed {
		return p
	}
	p = &place{}
	s.places[name] = p
	return p
}

// open opens a replica and waits until it has caught up with the log as it is now, so that no watch begins in the past.
func (s *Databases) open(ctx context.Context, name string, create bool) (*Database, error) {
	log, err := s.openLog(ctx, name, create)
	if err != nil {
		return nil, err
	}
	d, err := openDatabase(ctx, s.conn, s.js, log, s.config, s.foreign.of(name))
	if err != nil {
		return nil, err
	}
	if err := d.wait(ctx, kv.Position(d.end.Load())); err != nil && d.broken() == nil {
		return nil, errors.Join(err, d.close())
	}
	s.metrics.add(name, d)
	s.config.Logger.Info("opened", "database", name, "position", d.projection.Chain().Applied)
	return d, nil
}

func (s *Databases) openLog(ctx context.Context, name string, create bool) (*natslog.Log, error) {
	if create {
		return natslog.Create(ctx, s.js, name, natslog.Config{Replicas: s.config.Replicas})
	}
	return natslog.Open(ctx, s.js, name)
}

// all returns the databases that are open, by name.
func (s *Databases) all() map[string]*Database {
	s.mu.RLock()
	places := maps.Clone(s.places)
	s.mu.RUnlock()
	open := map[string]*Database{}
	for name, p := range places {
		if d := p.database(); d != nil {
			open[name] = d
		}
	}
	return open
}

// Ready returns nil if NATS is connected and every replica is close to the end of its log, and otherwise what is amiss.
func (s *Databases) Ready() error {
	s.mu.RLock()
	opened := s.opened
	s.mu.RUnlock()
	switch {
	case !s.conn.IsConnected():
		return errors.New("no NATS server is connected")
	case !opened:
		return errors.New("the databases are being opened")
	}
	for _, d := range s.all() {
		if err := d.ready(s.config.MostLag); err != nil {
			return err
		}
	}
	return nil
}

// Close ends all replicas. It waits for those that are being opened.
func (s *Databases) Close() error {
	s.silence()
	s.mu.Lock()
	s.closed = true
	places := slices.Collect(maps.Values(s.places))
	s.mu.Unlock()
	var failed []error
	for _, p := range places {
		p.opening.Lock()
		p.closed = true
		if d := p.database(); d != nil {
			failed = append(failed, d.close())
		}
		p.opening.Unlock()
	}
	return errors.Join(failed...)
}
