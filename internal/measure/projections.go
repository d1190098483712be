package measure

import (
	"maps"
	"sync"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
	"github.com/prometheus/client_golang/prometheus"
)

// Projections are the metrics of all projections of a process, told apart by the label database. Each is looked at when the
// metrics are asked for.
type Projections struct {
	gauges []gauge

	mu    sync.Mutex
	shown map[string]shown
}

// shown is the projection of one database.
type shown struct {
	projection *projection.Projection
	end        func() kv.Position // of its log, as far as is known; nil where nobody follows
}

type gauge struct {
	desc  *prometheus.Desc
	value func(shown, projection.View) float64
}

// NewProjections registers the metrics. With lag they have how far each projection is behind its log.
func NewProjections(registry prometheus.Registerer, lag bool) *Projections {
	p := &Projections{shown: map[string]shown{}}
	add := func(name, help string, value func(shown, projection.View) float64) {
		p.gauges = append(p.gauges, gauge{prometheus.NewDesc(name, help, byDatabase, nil), value})
	}
	add("millpond_applied_position", "The position of the log that is folded in.", func(_ shown, v projection.View) float64 {
		return float64(v.Chain().Applied)
	})
	if lag {
		add("millpond_lag_records", "Records that the log has, as far as is known here, and that are not folded in.", func(s shown, v projection.View) float64 {
			return max(0, float64(s.end())-float64(v.Chain().Applied))
		})
	}
	add("millpond_current_epoch", "The position at which the current epoch began.", func(_ shown, v projection.View) float64 {
		return float64(v.Chain().Epoch)
	})
	add("millpond_log_time_seconds", "The time of the last record. Ahead of the clock, keys expire too early.", func(_ shown, v projection.View) float64 {
		return float64(v.Chain().Time) / 1000
	})
	add("millpond_entries", "Entries, those included that have expired since the last record.", func(_ shown, v projection.View) float64 {
		n, _ := v.Stats()
		return float64(n)
	})
	add("millpond_entries_bytes", "Bytes of all keys and values, without the tree around them.", func(_ shown, v projection.View) float64 {
		_, bytes := v.Stats()
		return float64(bytes)
	})
	registry.MustRegister(p)
	return p
}

// Show adds the projection of a database, until Forget. end is needed for the lag only, and is called at any time.
func (p *Projections) Show(database string, of *projection.Projection, end func() kv.Position) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shown[database] = shown{of, end}
}

// Forget ends that.
func (p *Projections) Forget(database string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.shown, database)
}

// Describe implements prometheus.Collector.
func (p *Projections) Describe(out chan<- *prometheus.Desc) {
	for _, g := range p.gauges {
		out <- g.desc
	}
}

// Collect implements prometheus.Collector.
func (p *Projections) Collect(out chan<- prometheus.Metric) {
	p.mu.Lock()
	all := maps.Clone(p.shown)
	p.mu.Unlock()
	for database, s := range all {
		values := make([]float64, len(p.gauges))
		s.projection.View(func(v projection.View) {
			for i, g := range p.gauges {
				values[i] = g.value(s, v)
			}
		})
		for i, g := range p.gauges {
			out <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, values[i], database)
		}
	}
}
