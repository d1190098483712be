// Package front is what a server of Millpond shows over HTTP: health and metrics, and KV Connect if it speaks that.
package front

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/millpondkv/millpond/kvconnect"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Front listens: health and metrics with GET from the first moment on, KV Connect with POST once it is open.
type Front struct {
	Registry *prometheus.Registry

	listener    net.Listener
	server      *http.Server
	failed      chan error
	metrics     *httpMetrics // set by Open, if KV Connect is spoken here
	metricsPage http.Handler
	awaited     atomic.Pointer[func() error] // see Await
	backend     atomic.Pointer[backend]
	draining    atomic.Bool
	log         *slog.Logger
}

type backend struct {
	ready   func() error
	connect *kvconnect.Server // nil: KV Connect is not spoken here
}

// Start listens on addr, which comes from that flag, with a registry that has the metrics of the process.
func Start(addr, flag string, log *slog.Logger) (*Front, error) {
	listener, err := Listen(addr, flag)
	if err != nil {
		return nil, err
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	f := &Front{Registry: registry, listener: listener, failed: make(chan error, 1), log: log}
	f.metricsPage = promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	f.server = &http.Server{Handler: f, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	kvconnect.ConfigureServer(f.server)
	go func() { f.failed <- f.server.Serve(listener) }()
	return f, nil
}

// Listen listens on addr, and says which flag to change if it cannot.
func Listen(addr, flag string) (net.Listener, error) {
	listener, err := net.Listen("tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%w; stop the process that uses the address, or choose another with %s", err, flag)
	case err != nil:
		return nil, fmt.Errorf("%w; an address for %s is like 127.0.0.1:4512", err, flag)
	}
	return listener, nil
}

// Addr returns the address that is listened on.
func (f *Front) Addr() net.Addr { return f.listener.Addr() }

// Failed returns a channel that gets the reason when nothing is served any more.
func (f *Front) Failed() <-chan error { return f.failed }

// Observe is for the Config of the server that Open is called with.
func (f *Front) Observe(endpoint kvconnect.Endpoint, status int, took time.Duration) {
	f.metrics.observe(endpoint, status, took)
}

// Await has /readyz say what is amiss, unless that is nil, until Open.
func (f *Front) Await(amiss func() error) { f.awaited.Store(&amiss) }

// Open begins to serve. ready returns nil if all is well, and otherwise what is amiss; connect may be nil.
func (f *Front) Open(ready func() error, connect *kvconnect.Server) {
	if connect != nil {
		f.metrics = newHTTPMetrics(f.Registry, func() float64 { return float64(connect.Watches()) })
	}
	f.backend.Store(&backend{ready: ready, connect: connect})
}

// Drain says that the server is not ready, goes on serving for delay, ends watches, and gives the other requests so much time
// to finish. It blocks for all that.
func (f *Front) Drain(delay, timeout time.Duration) {
	f.draining.Store(true)
	time.Sleep(delay)
	if b := f.backend.Load(); b != nil && b.connect != nil {
		b.connect.Drain()
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := f.server.Shutdown(ctx); err != nil {
		f.log.Warn("some requests did not finish in time and were cut off", "after", timeout, "watches", f.watches())
	}
}

// Close ends everything at once.
func (f *Front) Close() { f.server.Close() }

func (f *Front) watches() int {
	if b := f.backend.Load(); b != nil && b.connect != nil {
		return b.connect.Watches()
	}
	return 0
}

func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b := f.backend.Load()
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		switch r.URL.Path {
		case "/livez":
			fmt.Fprintln(w, "ok")
			return
		case "/readyz":
			f.readyz(w, b)
			return
		case "/":
			fmt.Fprintln(w, "Millpond serves Deno KV. Connect with Deno.openKv and the URL of a server that speaks KV Connect.")
			return
		case "/metrics":
			f.metricsPage.ServeHTTP(w, r)
			return
		}
	}
	switch {
	case b == nil:
		http.Error(w, starting, http.StatusServiceUnavailable)
	case b.connect == nil:
		http.Error(w, "This server does not speak KV Connect; use the URL of a kvreader.", http.StatusNotFound)
	default:
		b.connect.ServeHTTP(w, r)
	}
}

const starting = "the databases are being opened; try again"

func (f *Front) readyz(w http.ResponseWriter, b *backend) {
	switch {
	case b == nil:
		reason := starting
		if amiss := f.awaited.Load(); amiss != nil && (*amiss)() != nil {
			reason = (*amiss)().Error()
		}
		http.Error(w, reason, http.StatusServiceUnavailable)
	case f.draining.Load():
		http.Error(w, "the server is stopping", http.StatusServiceUnavailable)
	default:
		if err := b.ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	}
}
