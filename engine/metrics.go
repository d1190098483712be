package engine

import (
	"sync/atomic"
	"time"

	"github.com/millpondkv/millpond/internal/measure"
	"github.com/prometheus/client_golang/prometheus"
)

// metrics are those of all databases of an engine.
type metrics struct {
	sequencers  *measure.Sequencers
	projections *measure.Projections
}

func newMetrics(registry prometheus.Registerer) *metrics {
	if registry == nil {
		registry = prometheus.NewRegistry()
	}
	return &metrics{sequencers: measure.NewSequencers(registry), projections: measure.NewProjections(registry, false)}
}

// observer counts what the sequencer of one database does.
type observer struct {
	*measure.Sequencer
	sinceCheckpoint atomic.Int64 // bytes of log
}

// Appended implements writer.Metrics.
func (o *observer) Appended(commits, bytes int, d time.Duration) {
	o.Sequencer.Appended(commits, bytes, d)
	o.sinceCheckpoint.Add(int64(bytes))
}
