package engine

import (
	"log/slog"

	"github.com/millpondkv/millpond/internal/measure"
	"github.com/millpondkv/millpond/queue"
	"github.com/prometheus/client_golang/prometheus"
)

// metrics are those of all databases of an engine.
type metrics struct {
	sequencers  *measure.Sequencers
	projections *measure.Projections
	foreign     *measure.Foreign
	queues      *queue.Metrics
	checkpoints *measure.Checkpoints
}

func newMetrics(registry prometheus.Registerer, log *slog.Logger) *metrics {
	if registry == nil {
		registry = prometheus.NewRegistry()
	}
	return &metrics{
		sequencers: measure.NewSequencers(registry), projections: measure.NewProjections(registry, false),
		foreign: measure.NewForeign(registry, log), queues: queue.NewMetrics(registry),
		checkpoints: measure.NewCheckpoints(registry),
	}
}
