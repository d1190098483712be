package service

import (
	"time"

	"github.com/millpondkv/millpond/projection"
	"github.com/prometheus/client_golang/prometheus"
)

// writerMetrics are those of all writers of a process, told apart by the label database. What a sequencer does has the
// names that it has in one process.
type writerMetrics struct {
	appendSeconds, recordCommits                         *prometheus.HistogramVec
	logBytes, conflicts, unknownOutcomes, epoch, refused *prometheus.CounterVec
	registry                                             prometheus.Registerer
}

func newWriterMetrics(registry prometheus.Registerer, leading func() float64) *writerMetrics {
	label := []string{"database"}
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, label)
	}
	m := &writerMetrics{
		registry: registry,
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
		epoch:           counter("millpond_epochs_total", "Epochs that this process began: takeovers, and outcomes found out."),
		refused:         counter("millpond_refused_messages_total", "Messages that were malformed, or of another version."),
	}
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "millpond_leading_databases", Help: "Databases that this process leads."}, leading))
	registry.MustRegister(m.appendSeconds, m.recordCommits, m.logBytes, m.conflicts, m.unknownOutcomes, m.epoch, m.refused)
	return m
}

// writerObserver counts what the sequencers of one database do.
type writerObserver struct {
	appendSeconds, recordCommits                         prometheus.Observer
	logBytes, conflicts, unknownOutcomes, epoch, refused prometheus.Counter
	forget                                               func() // ends the gauge, which looks into the projection
}

func (m *writerMetrics) observe(database string, p *projection.Projection) *writerObserver {
	position := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "millpond_applied_position", Help: "The position of the log that is folded in.",
		ConstLabels: prometheus.Labels{"database": database},
	}, func() float64 { return float64(p.Chain().Applied) })
	m.registry.MustRegister(position)
	return &writerObserver{
		appendSeconds: m.appendSeconds.WithLabelValues(database), recordCommits: m.recordCommits.WithLabelValues(database),
		logBytes: m.logBytes.WithLabelValues(database), conflicts: m.conflicts.WithLabelValues(database),
		unknownOutcomes: m.unknownOutcomes.WithLabelValues(database), epoch: m.epoch.WithLabelValues(database),
		refused: m.refused.WithLabelValues(database),
		forget:  func() { m.registry.Unregister(position) },
	}
}

func (o *writerObserver) Appended(commits, bytes int, d time.Duration) {
	o.appendSeconds.Observe(d.Seconds())
	o.recordCommits.Observe(float64(commits))
	o.logBytes.Add(float64(bytes))
}

func (o *writerObserver) Conflict()       { o.conflicts.Inc() }
func (o *writerObserver) UnknownOutcome() { o.unknownOutcomes.Inc() }
func (o *writerObserver) EpochBegun()     { o.epoch.Inc() }
