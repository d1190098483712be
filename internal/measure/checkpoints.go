package measure

import (
	"github.com/millpondkv/millpond/internal/checkpoints"
	"github.com/millpondkv/millpond/kv"
	"github.com/prometheus/client_golang/prometheus"
)

// Checkpoints are the metrics of the checkpoints that a process takes of the databases that it leads, and of their logs, told apart
// by the label database.
type Checkpoints struct {
	position, taken, logBytes, first *prometheus.GaugeVec
	failures                         *prometheus.CounterVec
}

// NewCheckpoints registers the metrics.
func NewCheckpoints(registry prometheus.Registerer) *Checkpoints {
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, byDatabase)
	}
	c := &Checkpoints{
		position: gauge("millpond_checkpoint_position", "The position of the newest checkpoint in the bucket; 0: there is none."),
		taken:    gauge("millpond_checkpoint_time_seconds", "When that was taken."),
		logBytes: gauge("millpond_log_bytes", "Bytes of the log, in each of its copies."),
		first:    gauge("millpond_log_first_position", "The first position of the log: what was before it was trimmed."),
		failures: NewCounter("millpond_checkpoint_failures_total", "Tries to take a checkpoint or to trim the log that failed."),
	}
	registry.MustRegister(c.position, c.taken, c.logBytes, c.first, c.failures)
	return c
}

// Checkpointed counts for one database. It implements checkpoints.Metrics.
type Checkpointed struct {
	of       *Checkpoints
	database string
}

// Of returns what counts for a database.
func (c *Checkpoints) Of(database string) *Checkpointed { return &Checkpointed{c, database} }

// Begin shows the gauges of the database: this process leads it.
func (c *Checkpointed) Begin() {
	for _, g := range c.gauges() {
		g.WithLabelValues(c.database)
	}
	c.of.failures.WithLabelValues(c.database)
}

func (c *Checkpointed) gauges() []*prometheus.GaugeVec {
	return []*prometheus.GaugeVec{c.of.position, c.of.taken, c.of.logBytes, c.of.first}
}

// Kept implements checkpoints.Metrics.
func (c *Checkpointed) Kept(newest checkpoints.Info, logBytes uint64, first kv.Position) {
	set := func(g *prometheus.GaugeVec, v float64) { g.WithLabelValues(c.database).Set(v) }
	set(c.of.position, float64(newest.Position))
	if newest.Position != 0 {
		set(c.of.taken, float64(newest.Taken.UnixMilli())/1000)
	}
	set(c.of.logBytes, float64(logBytes))
	set(c.of.first, float64(first))
}

// Failed implements checkpoints.Metrics.
func (c *Checkpointed) Failed() { c.of.failures.WithLabelValues(c.database).Inc() }

// Forget removes the gauges of the database: this process does not lead it any more.
func (c *Checkpointed) Forget() {
	for _, g := range c.gauges() {
		g.DeleteLabelValues(c.database)
	}
}
