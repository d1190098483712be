package service

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// Ready returns nil if NATS is connected, each database has been tried once, and every replica is close to the end of its log;
// otherwise what is amiss. A database that cannot be served does not count as long as there is another: for each of those there is
// a sentence.
func (s *Databases) Ready() (unserved []string, err error) {
	s.mu.RLock()
	untried := s.untried
	s.mu.RUnlock()
	switch {
	case !s.conn.IsConnected():
		return nil, errors.New("no NATS server is connected")
	case untried != nil:
		return nil, untried
	}
	amiss, served := s.unserved(), 0
	for name, d := range s.all() {
		if amiss[name] != nil {
			continue
		}
		if err := d.ready(s.config.MostLag); err != nil {
			return nil, err
		}
		served++
	}
	return readyFor(served, amiss)
}

// unserved returns the databases that cannot be opened, or whose logs cannot be read on, with the reasons.
func (s *Databases) unserved() map[string]error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	amiss := map[string]error{}
	for name, p := range s.places {
		err := p.failed
		if p.open != nil {
			err = p.open.broken()
		}
		if err != nil {
			amiss[name] = err
		}
	}
	return amiss
}

// Ready returns nil if NATS is connected and the databases are known; otherwise what is amiss. A database that is not stood by for
// does not count as long as there is another: for each of those there is a sentence.
func (w *Writers) Ready() (unserved []string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case !w.conn.IsConnected():
		return nil, errors.New("no NATS server is connected")
	case !w.listed:
		return nil, errors.New("the databases have not been listed yet")
	}
	amiss, stoodBy := w.unserved(), 0
	for name := range w.known {
		if amiss[name] == nil {
			stoodBy++
		}
	}
	return readyFor(stoodBy, amiss)
}

// unserved returns the databases that this process does not stand by for, although it should, with the reasons. Its caller holds
// the lock.
func (w *Writers) unserved() map[string]error {
	amiss := map[string]error{}
	for name, reason := range w.said {
		amiss[name] = errors.New(reason)
	}
	for name, s := range w.known {
		if s.waits != nil {
			amiss[name] = s.waits
		}
	}
	for name, d := range w.broken {
		amiss[name] = d.err
	}
	return amiss
}

// readyFor says which databases are unserved, in a line each. That is an error if no other is served.
func readyFor(served int, amiss map[string]error) (unserved []string, err error) {
	for _, name := range slices.Sorted(maps.Keys(amiss)) {
		reason := strings.ReplaceAll(amiss[name].Error(), "\n", "; ")
		unserved = append(unserved, fmt.Sprintf("the database %q is not served: %s", name, reason))
	}
	if served == 0 && len(unserved) > 0 {
		return nil, errors.New(strings.Join(unserved, "\n"))
	}
	return unserved, nil
}

// unservedGauge is the metric of what Ready has sentences for.
func unservedGauge(count func() float64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "millpond_unserved_databases", Help: "Databases that this process cannot open or read on, and so does not serve or lead.",
	}, count)
}
