package service

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/millpondkv/millpond/events/natslog"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
)

// place is where the replica of one database is, or will be. All but loaded is guarded by the lock of Databases.
type place struct {
	open   *Database // nil until it is open
	try    *opening  // that is under way; nil if none is
	failed error     // why the last try failed; nil if none did
	loaded *restored // what it is to begin from, once the log has been compared with it; belongs to the try, after all of them to Close
}

// opening is a try to open a database. It belongs to the process, not to those who wait for it, and goes on when they have left.
type opening struct {
	create    bool
	following atomic.Pointer[Database] // nil until the log is being followed
	ended     chan struct{}            // closed once the rest is set
	database  *Database
	err       error
}

// find returns an open database. Whoever comes first begins to open it, and all wait for that, each until its own ctx ends: then
// the error is kv.ErrUnavailable, and says how far it is. After a failure the next caller begins anew.
func (s *Databases) find(ctx context.Context, name string, create bool) (*Database, error) {
	for {
		d, try := s.look(name, create)
		switch {
		case d != nil:
			return d, nil
		case try == nil:
			return nil, errStopping
		}
		select {
		case <-try.ended:
		case <-ctx.Done():
			return nil, try.unfinished(name)
		}
		if !create || try.create || !errors.Is(try.err, kv.ErrNoDatabase) { // otherwise it was begun for somebody who does not make it
			return try.database, try.err
		}
	}
}

// look returns a database if it is open, and otherwise the try to open it, which it begins if there is none; after Close neither.
func (s *Databases) look(name string, create bool) (*Database, *opening) {
	s.mu.RLock()
	p := s.places[name]
	if p != nil && p.open != nil {
		defer s.mu.RUnlock()
		return p.open, nil
	}
	s.mu.RUnlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, nil
	}
	p = s.place(name)
	if p.open == nil && p.try == nil {
		try := &opening{create: create, ended: make(chan struct{})}
		p.try = try
		s.openings.Go(func() { s.run(p, name, try) })
	}
	return p.open, p.try
}

// place returns the place of a database, which it makes if there is none. Its caller holds the lock.
func (s *Databases) place(name string) *place {
	p := s.places[name]
	if p == nil {
		p = &place{}
		s.places[name] = p
	}
	return p
}

// expect makes places for databases that are going to be opened, so that they count as not open yet.
func (s *Databases) expect(names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		if !s.closed {
			s.place(name)
		}
	}
}

// run makes a try. A database that is not there leaves no place.
func (s *Databases) run(p *place, name string, try *opening) {
	d, err := s.open(s.life, p, name, try)
	absent := errors.Is(err, kv.ErrNoDatabase)
	if absent {
		err = errors.Join(err, p.unload())
	}
	if err != nil && s.life.Err() != nil {
		err = errStopping
	}
	s.mu.Lock()
	p.open, p.try, p.failed = d, nil, err
	if absent {
		delete(s.places, name)
	}
	s.mu.Unlock()
	try.database, try.err = d, err
	close(try.ended)
}

// unfinished says how far the try is.
func (o *opening) unfinished(name string) error {
	if d := o.following.Load(); d != nil {
		return kv.Errorf(kv.ErrUnavailable, "the database %q is being opened, %d records to go; try again", name, d.lag())
	}
	return kv.Errorf(kv.ErrUnavailable, "the database %q is being opened; try again", name)
}

// load loads what the database is to begin from, unless that has been done. The name may have become another database's.
func (p *place) load(log *natslog.Log, c Config, o projection.Options) (err error) {
	if p.loaded != nil && p.loaded.id == log.ID() {
		return nil
	}
	if err := p.unload(); err != nil {
		return err
	}
	p.loaded, err = c.Checkpoints.restore(log, o, c.Logger.With("database", log.Database()))
	return err
}

func (p *place) unload() error {
	if p.loaded == nil {
		return nil
	}
	loaded := p.loaded
	p.loaded = nil
	return loaded.keeper.Projection().Close()
}
