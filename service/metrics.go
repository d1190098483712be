package service

import (
	"github.com/millpondkv/millpond/internal/measure"
	"github.com/prometheus/client_golang/prometheus"
)

// newRefused returns the counter of what is not answered as asked.
func newRefused(labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "millpond_refused_messages_total", Help: "Messages that were malformed or of another version, or meant for a leader of an earlier epoch.",
	}, labels)
}

// writerMetrics are those of all writers of a process, told apart by the label database.
type writerMetrics struct {
	sequencers         *measure.Sequencers
	projections        *measure.Projections
	takeovers, refused *prometheus.CounterVec
}

func newWriterMetrics(registry prometheus.Registerer, leading func() float64) *writerMetrics {
	m := &writerMetrics{
		sequencers:  measure.NewSequencers(registry),
		projections: measure.NewProjections(registry, false),
		takeovers:   measure.NewCounter("millpond_takeovers_total", "Times that this process took the lead."),
		refused:     newRefused("database", "reason"),
	}
	registry.MustRegister(m.takeovers, m.refused, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "millpond_leading_databases", Help: "Databases that this process leads.",
	}, leading))
	return m
}
