package service

import (
	"log/slog"

	"github.com/millpondkv/millpond/kv"
	"github.com/prometheus/client_golang/prometheus"
)

// foreignMessages says which messages of the logs no sequencer has appended: somebody else may publish there, who should not.
type foreignMessages struct {
	count *prometheus.CounterVec
	log   *slog.Logger
}

func newForeignMessages(registry prometheus.Registerer, log *slog.Logger) foreignMessages {
	f := foreignMessages{log: log, count: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "millpond_foreign_messages_total", Help: "Messages of the log that were passed over, since no sequencer had appended them.",
	}, []string{"database"})}
	registry.MustRegister(f.count)
	return f
}

// of returns what the projection of a database tells.
func (f foreignMessages) of(database string) func(kv.Position) {
	count := f.count.WithLabelValues(database)
	return func(at kv.Position) {
		count.Inc()
		f.log.Warn("passed over a message that no writer has appended; see who may publish to the subjects of the log", "database", database, "position", at)
	}
}
