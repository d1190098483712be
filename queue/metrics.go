package queue

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/millpondkv/millpond/kv"
	"github.com/prometheus/client_golang/prometheus"
)

// Metrics shows the numbers of queues, told apart by the label database. They are asked for when they are collected.
type Metrics struct {
	gauges []gauge

	mu     sync.Mutex
	queues map[string]*Queue
}

type gauge struct {
	desc  *prometheus.Desc
	value func(kv.QueueStats) float64
}

// NewMetrics registers the numbers of the queues that are added.
func NewMetrics(registry prometheus.Registerer) *Metrics {
	m := &Metrics{queues: map[string]*Queue{}}
	add := func(name, help string, value func(kv.QueueStats) float64) {
		m.gauges = append(m.gauges, gauge{prometheus.NewDesc(name, help, []string{"database"}, nil), value})
	}
	add("millpond_queue_waiting", "Messages that are due and wait for a listener.", func(s kv.QueueStats) float64 { return float64(s.Waiting) })
	add("millpond_queue_scheduled", "Messages that are not due yet.", func(s kv.QueueStats) float64 { return float64(s.Scheduled) })
	add("millpond_queue_in_flight", "Messages with a listener, or between two attempts.", func(s kv.QueueStats) float64 { return float64(s.InFlight) })
	add("millpond_queue_dead", "Messages that were given up and are kept for a while.", func(s kv.QueueStats) float64 { return float64(s.Dead) })
	add("millpond_queue_oldest_age_seconds", "Age of the oldest message that is due and not handled.", func(s kv.QueueStats) float64 { return s.OldestAge.Seconds() })
	registry.MustRegister(m)
	return m
}

// Add shows a queue until forget is called.
func (m *Metrics) Add(database string, q *Queue) (forget func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.queues[database] = q
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.queues[database] == q {
			delete(m.queues, database)
		}
	}
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(out chan<- *prometheus.Desc) {
	for _, g := range m.gauges {
		out <- g.desc
	}
}

// collectTimeout bounds how long a scrape waits for a queue's numbers; they are left out then.
const collectTimeout = time.Second

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(out chan<- prometheus.Metric) {
	m.mu.Lock()
	queues := maps.Clone(m.queues)
	m.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), collectTimeout)
	defer cancel()
	for database, q := range queues {
		stats, err := q.Stats(ctx)
		if err != nil {
			continue
		}
		for _, g := range m.gauges {
			out <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, g.value(stats), database)
		}
	}
}
