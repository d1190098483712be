package service

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/millpondkv/millpond/events/natslog"
	"github.com/millpondkv/millpond/internal/databases"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/writer"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	goneEvery  = time.Second // look for databases that were deleted or renamed
	goneRounds = 5           // in every such round also among those whose name is in use: it may be another one's
)

// gone finds databases that were deleted or renamed.
type gone struct {
	js    jetstream.JetStream
	round int
}

// among returns the names of the known databases, which have those UUIDs, that are gone. What cannot be asked is not.
func (g *gone) among(ctx context.Context, known map[string]string) (names []string) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	open, err := natslog.ListOpen(ctx, g.js)
	if err != nil {
		return nil
	}
	g.round++
	for name, id := range known {
		if slices.Contains(open, name) && g.round%goneRounds != 0 {
			continue
		}
		if is, err := databases.Gone(ctx, g.js, name, id); err == nil && is {
			names = append(names, name)
		}
	}
	return names
}

func errGone(name string) error {
	return kv.Errorf(kv.ErrNoDatabase, "the database %q was deleted or renamed", name)
}

// letGo gives up the replicas of databases that are gone, until ctx ends.
func (s *Databases) letGo(ctx context.Context) {
	g := gone{js: s.js}
	ticker := time.NewTicker(goneEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		open, known := s.all(), map[string]string{}
		for name, d := range open {
			known[name] = d.ID()
		}
		for _, name := range g.among(ctx, known) {
			s.drop(name, open[name])
		}
	}
}

// drop gives up a replica. Who still uses it is told that the database is gone, and whoever asks next finds what has its name now.
func (s *Databases) drop(name string, d *Database) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.places[name] == nil || s.places[name].open != d {
		return
	}
	delete(s.places, name)
	s.metrics.Forget(name)
	s.config.Logger.Info("the database was deleted or renamed; letting it go", "database", name, "id", d.ID())
	d.broke(errGone(name))
	ended, cancel := context.WithCancel(context.Background())
	cancel() // there is nothing to take a checkpoint for
	s.openings.Go(func() {
		if err := d.close(ended); err != nil {
			s.config.Logger.Warn("could not let a database go", "database", name, "error", err)
		}
	})
}

// letGo ends the standbys of databases that are gone, until ctx ends.
func (w *Writers) letGo(ctx context.Context) {
	g := gone{js: w.js}
	ticker := time.NewTicker(goneEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		w.mu.Lock()
		known, standings := map[string]string{}, map[string]*standing{}
		for name, s := range w.known {
			if s.id != "" {
				known[name], standings[name] = s.id, s
			}
		}
		w.mu.Unlock()
		for _, name := range g.among(ctx, known) {
			standings[name].dismiss(writer.ErrGone)
		}
	}
}

// stoodBy notes which database it is that is stood by for.
func (w *Writers) stoodBy(s *standing, log *natslog.Log) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s.id = log.ID()
}

// dismissed forgets a database that is gone, and reports whether that is why its standby has ended.
func (w *Writers) dismissed(ctx context.Context, name string, err error) bool {
	gone := errors.Is(context.Cause(ctx), writer.ErrGone)
	if !gone && !errors.Is(err, kv.ErrNoDatabase) {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.known, name)
	if gone {
		delete(w.broken, name)
	}
	return true
}
