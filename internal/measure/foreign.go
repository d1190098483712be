package measure

import (
	"log/slog"
	"sync"

	"github.com/millpondkv/millpond/kv"
	"github.com/prometheus/client_golang/prometheus"
)

// Foreign counts the messages of the logs that no sequencer has appended: somebody else publishes there who should
// not. The first one of each database is logged.
type Foreign struct {
	count *prometheus.CounterVec
	log   *slog.Logger
	said  sync.Map // the databases of which one was logged
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
		if _, said := f.said.LoadOrStore(database, true); !said { // a replay meets all of them again
			f.log.Warn("passed over a message that no writer has appended: the log was closed, to delete or rename the database, or else see who may publish to the subjects of the log. Others will only be counted, in millpond_foreign_messages_total", "database", database, "position", at)
		}
	}
}
