// Package measure is the metrics of sequencers and projections, the same in every program that has some.
package measure

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Sequencers are the metrics of all sequencers of a process, told apart by the label database.
type Sequencers struct {
	appendSeconds, recordCommits                 *prometheus.HistogramVec
	logBytes, conflicts, unknownOutcomes, epochs *prometheus.CounterVec
}

// NewSequencers registers the metrics.
func NewSequencers(registry prometheus.Registerer) *Sequencers {
	s := &Sequencers{
		appendSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "millpond_append_seconds", Help: "How long the log took to ack a record, its sync to disk included.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 16),
		}, byDatabase),
		recordCommits: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "millpond_record_commits", Help: "Commits in a record. Its sum is the number of commits.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 13),
		}, byDatabase),
		logBytes:        NewCounter("millpond_log_bytes_total", "Bytes of the records that were appended."),
		conflicts:       NewCounter("millpond_conflicts_total", "Atomic writes whose checks failed."),
		unknownOutcomes: NewCounter("millpond_unknown_outcomes_total", "Records whose outcome had to be found out by a new epoch."),
		epochs:          NewCounter("millpond_epochs_total", "Epochs that this process began: when it took the lead, and to find out an outcome."),
	}
	registry.MustRegister(s.appendSeconds, s.recordCommits, s.logBytes, s.conflicts, s.unknownOutcomes, s.epochs)
	return s
}

var byDatabase = []string{"database"}

// NewCounter returns a counter for each database.
func NewCounter(name, help string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, byDatabase)
}

// Sequencer counts what the sequencers of one database do. It implements writer.Metrics.
type Sequencer struct {
	appendSeconds, recordCommits                 prometheus.Observer
	logBytes, conflicts, unknownOutcomes, epochs prometheus.Counter
}

// Of returns what counts for a database.
func (s *Sequencers) Of(database string) *Sequencer {
	return &Sequencer{
		appendSeconds: s.appendSeconds.WithLabelValues(database), recordCommits: s.recordCommits.WithLabelValues(database),
		logBytes: s.logBytes.WithLabelValues(database), conflicts: s.conflicts.WithLabelValues(database),
		unknownOutcomes: s.unknownOutcomes.WithLabelValues(database), epochs: s.epochs.WithLabelValues(database),
	}
}

// Appended implements writer.Metrics.
func (s *Sequencer) Appended(commits, bytes int, d time.Duration) {
	s.appendSeconds.Observe(d.Seconds())
	s.recordCommits.Observe(float64(commits))
	s.logBytes.Add(float64(bytes))
}

// Conflict implements writer.Metrics.
func (s *Sequencer) Conflict() { s.conflicts.Inc() }

// UnknownOutcome implements writer.Metrics.
func (s *Sequencer) UnknownOutcome() { s.unknownOutcomes.Inc() }

// EpochBegun implements writer.Metrics.
func (s *Sequencer) EpochBegun() { s.epochs.Inc() }
