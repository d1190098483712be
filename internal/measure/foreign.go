package measure

import (
	"log/slog"

	"github.com/millpondkv/millpond/kv"
	"github.com/prometheus/client_golang/prometheus"
)

// Foreign counts, and logs, the messages of the logs that no sequencer has appended: somebody else publishes there who should
// not.
type Foreign struct {
	count *prometheus.CounterVec
	log   *slog.Logger
}

// NewForeign registers the metric.
func NewForeign(registry prometheus.Registerer, log *slog.Logger) *Foreign {
	f := &Foreign{log: log, count: NewCounter("millpond_foreign_messages_total", "Messages of the log that were passed over, since no sequencer had appended them.")}
	registry.MustRegister(f.count)
	return f
}

// Of returns what the projection of a database calls (projection.Options).
func (f *Foreign) Of(database string) func(kv.Position) {
	count := f.count.WithLabelValues(database)
	return func(at kv.Position) {
		count.Inc()
		f.log.Warn("passed over a message that no writer has appended; see who may publish to the subjects of the log", "database", database, "position", at)
	}
}
