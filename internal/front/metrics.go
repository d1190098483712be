package front

import (
	"strconv"
	"time"

	"github.com/millpondkv/millpond/kvconnect"
	"github.com/prometheus/client_golang/prometheus"
)

type httpMetrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newHTTPMetrics(registry prometheus.Registerer, watches func() float64) *httpMetrics {
	m := &httpMetrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millpond_http_requests_total", Help: "KV Connect requests that have ended, by endpoint and status (499: the client had gone).",
		}, []string{"endpoint", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "millpond_http_request_seconds", Help: "How long KV Connect requests took; watches and listeners that wait for messages are left out.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 16),
		}, []string{"endpoint"}),
	}
	active := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "millpond_watches", Help: "Watches that are running."}, watches)
	registry.MustRegister(m.requests, m.seconds, active)
	return m
}

func (m *httpMetrics) observe(endpoint kvconnect.Endpoint, status int, took time.Duration) {
	name := string(endpoint)
	m.requests.WithLabelValues(name, strconv.Itoa(status)).Inc()
	if endpoint != kvconnect.EndpointWatch && endpoint != kvconnect.EndpointQueueReceive {
		m.seconds.WithLabelValues(name).Observe(took.Seconds())
	}
}
