package engine

import (
	"sync/atomic"
	"time"

	"github.com/millpondkv/millpond/projection"
	"github.com/millpondkv/millpond/queue"
	"github.com/prometheus/client_golang/prometheus"
)

// metrics are those of all databases of an engine, told apart by the label database.
type metrics struct {
	appendSeconds, recordCommits                *prometheus.HistogramVec
	logBytes, conflicts, unknownOutcomes, epoch *prometheus.CounterVec
	registry                                    prometheus.Registerer
	queues                                      *queue.Metrics
}

func newMetrics(registry prometheus.Registerer) *metrics {
	if registry == nil {
		registry = prometheus.NewRegistry()
	}
	label := []string{"database"}
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, label)
	}
	m := &metrics{
		registry: registry,
		queues:   queue.NewMetrics(registry),
		appendSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "millpond_append_seconds", Help: "How long the log took to ack a record, its sync to disk included.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 16),
		}, label),
		recordCommits: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "millpond_record_commits", Help: "Commits in a record. Its sum is the number of commits.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 13),
		}, label),
		logBytes:        counter("millpond_log_bytes_total", "Bytes of the records that were appended."),
		conflicts:       counter("millpond_conflicts_total", "Atomic writes whose checks failed."),
		unknownOutcomes: counter("millpond_unknown_outcomes_total", "Records whose outcome had to be found out by a new epoch."),
		epoch:           counter("millpond_epochs_total", "Epochs that this process began."),
	}
	registry.MustRegister(m.appendSeconds, m.recordCommits, m.logBytes, m.conflicts, m.unknownOutcomes, m.epoch)
	return m
}

// observer counts what the sequencer of one database does.
type observer struct {
	appendSeconds, recordCommits                prometheus.Observer
	logBytes, conflicts, unknownOutcomes, epoch prometheus.Counter
	gauges                                      []prometheus.Collector
	sinceCheckpoint                             atomic.Int64 // bytes of log
}

func (m *metrics) observe(database string, p *projection.Projection) *observer {
	o := &observer{
		appendSeconds: m.appendSeconds.WithLabelValues(database), recordCommits: m.recordCommits.WithLabelValues(database),
		logBytes: m.logBytes.WithLabelValues(database), conflicts: m.conflicts.WithLabelValues(database),
		unknownOutcomes: m.unknownOutcomes.WithLabelValues(database), epoch: m.epoch.WithLabelValues(database),
	}
	gauge := func(name, help string, value func(projection.View) float64) {
		options := prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: prometheus.Labels{"database": database}}
		o.gauges = append(o.gauges, prometheus.NewGaugeFunc(options, func() (n float64) {
			p.View(func(v projection.View) { n = value(v) })
			return n
		}))
	}
	gauge("millpond_applied_position", "The position of the log that is folded in.", func(v projection.View) float64 {
		return float64(v.Chain().Applied)
	})
	gauge("millpond_current_epoch", "The position at which the current epoch began.", func(v projection.View) float64 {
		return float64(v.Chain().Epoch)
	})
	gauge("millpond_log_time_seconds", "The time of the last record. Ahead of the clock, keys expire too early.", func(v projection.View) float64 {
		return float64(v.Chain().Time) / 1000
	})
	gauge("millpond_entries", "Entries, those included that have expired since the last record.", func(v projection.View) float64 {
		n, _ := v.Stats()
		return float64(n)
	})
	gauge("millpond_entries_bytes", "Bytes of all keys and values, without the tree around them.", func(v projection.View) float64 {
		_, bytes := v.Stats()
		return float64(bytes)
	})
	m.registry.MustRegister(o.gauges...)
	return o
}

// forget ends the gauges, which look into the projection.
func (m *metrics) forget(o *observer) {
	for _, g := range o.gauges {
		m.registry.Unregister(g)
	}
}

func (o *observer) Appended(commits, bytes int, d time.Duration) {
	o.appendSeconds.Observe(d.Seconds())
	o.recordCommits.Observe(float64(commits))
	o.logBytes.Add(float64(bytes))
	o.sinceCheckpoint.Add(int64(bytes))
}

func (o *observer) Conflict()       { o.conflicts.Inc() }
func (o *observer) UnknownOutcome() { o.unknownOutcomes.Inc() }
func (o *observer) EpochBegun()     { o.epoch.Inc() }
