package service

import (
	"maps"
	"sync"

	"github.com/millpondkv/millpond/projection"
	"github.com/prometheus/client_golang/prometheus"
)

// replicaMetrics are those of all replicas of a process, told apart by the label database.
type replicaMetrics struct {
	gauges  []replicaGauge
	refused prometheus.Counter

	mu       sync.Mutex
	replicas map[string]*Database
}

type replicaGauge struct {
	desc  *prometheus.Desc
	value func(*Database, projection.View) float64
}

func newReplicaMetrics(registry prometheus.Registerer) *replicaMetrics {
	m := &replicaMetrics{replicas: map[string]*Database{}}
	gauge := func(name, help string, value func(*Database, projection.View) float64) {
		m.gauges = append(m.gauges, replicaGauge{prometheus.NewDesc(name, help, []string{"database"}, nil), value})
	}
	gauge("millpond_applied_position", "The position of the log that is folded in.", func(_ *Database, v projection.View) float64 {
		return float64(v.Chain().Applied)
	})
	gauge("millpond_lag_records", "Records that the log has, as far as is known here, and that are not folded in.", func(d *Database, v projection.View) float64 {
		return max(0, float64(d.end.Load())-float64(v.Chain().Applied))
	})
	gauge("millpond_current_epoch", "The position at which the current epoch began.", func(_ *Database, v projection.View) float64 {
		return float64(v.Chain().Epoch)
	})
	gauge("millpond_log_time_seconds", "The time of the last record. Ahead of the clock, keys expire too early.", func(_ *Database, v projection.View) float64 {
		return float64(v.Chain().Time) / 1000
	})
	gauge("millpond_entries", "Entries, those included that have expired since the last record.", func(_ *Database, v projection.View) float64 {
		n, _ := v.Stats()
		return float64(n)
	})
	gauge("millpond_entries_bytes", "Bytes of all keys and values, without the tree around them.", func(_ *Database, v projection.View) float64 {
		_, bytes := v.Stats()
		return float64(bytes)
	})
	m.refused = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "millpond_refused_messages_total", Help: "Messages of clients that were malformed, or of another version.",
	})
	registry.MustRegister(m, m.refused)
	return m
}

func (m *replicaMetrics) add(name string, d *Database) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.replicas[name] = d
}

// Describe implements prometheus.Collector.
func (m *replicaMetrics) Describe(out chan<- *prometheus.Desc) {
	for _, g := range m.gauges {
		out <- g.desc
	}
}

// Collect implements prometheus.Collector.
func (m *replicaMetrics) Collect(out chan<- prometheus.Metric) {
	m.mu.Lock()
	replicas := maps.Clone(m.replicas)
	m.mu.Unlock()
	for name, d := range replicas {
		values := make([]float64, len(m.gauges))
		d.projection.View(func(v projection.View) {
			for i, g := range m.gauges {
				values[i] = g.value(d, v)
			}
		})
		for i, g := range m.gauges {
			out <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, values[i], name)
		}
	}
}
