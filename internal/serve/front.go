package serve

import (
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/millpondkv/millpond/engine"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kvconnect"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// front is what listens: health and metrics with GET from the first moment on, KV Connect with POST once the databases are
// open.
type front struct {
	metrics     *httpMetrics
	metricsPage http.Handler
	backend     atomic.Pointer[backend]
	draining    atomic.Bool
}

type backend struct {
	engine  *engine.Engine
	connect *kvconnect.Server
}

func newFront(registry *prometheus.Registry) *front {
	f := &front{metricsPage: promhttp.HandlerFor(registry, promhttp.HandlerOpts{})}
	f.metrics = newHTTPMetrics(registry, func() float64 {
		if b := f.backend.Load(); b != nil {
			return float64(b.connect.Watches())
		}
		return 0
	})
	return f
}

func (f *front) open(e *engine.Engine, connect *kvconnect.Server) {
	f.backend.Store(&backend{engine: e, connect: connect})
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		switch r.URL.Path {
		case "/livez":
			fmt.Fprintln(w, "ok")
			return
		case "/readyz":
			f.readyz(w)
			return
		case "/":
			fmt.Fprintln(w, "Millpond serves Deno KV here. Connect with Deno.openKv and this URL.")
			return
		case "/metrics":
			f.metricsPage.ServeHTTP(w, r)
			return
		}
	}
	if b := f.backend.Load(); b != nil {
		b.connect.ServeHTTP(w, r)
		return
	}
	http.Error(w, starting, http.StatusServiceUnavailable)
}

const starting = "the databases are being opened; try again"

func (f *front) readyz(w http.ResponseWriter) {
	b := f.backend.Load()
	switch {
	case b == nil:
		http.Error(w, starting, http.StatusServiceUnavailable)
	case f.draining.Load():
		http.Error(w, "the server is stopping", http.StatusServiceUnavailable)
	default:
		if err := b.engine.Ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	}
}

// database makes an open database what kvconnect asks for.
type database struct{ *engine.Database }

func (d database) Watch(keys []kv.EncodedKey) kvconnect.Watch { return d.Database.Watch(keys) }

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
			Name: "millpond_http_request_seconds", Help: "How long KV Connect requests took; watches are left out.",
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
	if endpoint != kvconnect.EndpointWatch {
		m.seconds.WithLabelValues(name).Observe(took.Seconds())
	}
}
