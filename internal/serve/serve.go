package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	_ "net/http/pprof" // on the debug address, which serves the default mux
	"syscall"
	"time"

	"github.com/millpondkv/millpond/engine"
	"github.com/millpondkv/millpond/kvconnect"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Run serves until ctx ends, then drains: it is not ready any more, watches are ended, requests finish, and the log is
// closed. It writes to out, once it is ready, what to do next. It returns nil after a drain, otherwise why it could not
// serve.
func Run(ctx context.Context, c Config, out io.Writer, log *slog.Logger) error {
	if err := c.check(); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", c.Addr)
	if err != nil {
		return listenError(err, "--addr")
	}
	var debug net.Listener
	if c.DebugAddr != "" {
		if debug, err = net.Listen("tcp", c.DebugAddr); err != nil {
			return errors.Join(listenError(err, "--debug-addr"), listener.Close())
		}
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	front := newFront(registry)
	server := &http.Server{Handler: front, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	kvconnect.ConfigureServer(server)
	failed := make(chan error, 2)
	go func() { failed <- server.Serve(listener) }()
	if debug != nil {
		go func() { failed <- http.Serve(debug, nil) }()
		defer debug.Close()
	}
	defer server.Close()

	e, err := engine.Open(ctx, engine.Config{
		Dir: c.Data, Memory: c.Memory, CreateDatabases: c.CreateDatabases, Logger: log, Registry: registry,
		CheckpointBytes: int64(c.CheckpointBytes),
	})
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		log.Info("stopped before the databases were open")
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := e.Create(ctx, kvconnect.DefaultDatabase); err != nil { // there is always one to begin with
		return errors.Join(err, e.Close(ctx))
	}
	token, err := c.token(e)
	if err != nil {
		return errors.Join(err, e.Close(ctx))
	}
	connect, err := kvconnect.New(kvconnect.Config{
		Databases: databases{e}, AccessToken: token.text, TrustForwarded: c.TrustForwarded, Raw: c.Raw,
		Logger: log, Observe: front.metrics.observe,
	})
	if err != nil {
		return errors.Join(err, e.Close(ctx))
	}
	front.open(e, connect)
	welcome(out, c, listener.Addr(), token)
	log.Info("ready", "addr", listener.Addr().String())
	closing := engineTimeout
	select {
	case <-ctx.Done():
		log.Info("draining")
	case err = <-failed:
	case err = <-e.Failed():
		c.DrainDelay, c.DrainTimeout, closing = 0, min(c.DrainTimeout, brokenTimeout), brokenTimeout
	}
	return errors.Join(err, drain(c, closing, server, front, connect, e, log))
}

func listenError(err error, flag string) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w; stop the process that uses the address, or choose another with %s", err, flag)
	}
	return fmt.Errorf("%w; an address for %s is like 127.0.0.1:4512", err, flag)
}

const (
	// engineTimeout bounds how long the last answers and checkpoints may take, after the requests have ended.
	engineTimeout = time.Minute
	// brokenTimeout bounds both when the log is broken: writes will not finish.
	brokenTimeout = 3 * time.Second
)

func drain(c Config, closing time.Duration, server *http.Server, front *front, connect *kvconnect.Server, e *engine.Engine, log *slog.Logger) error {
	front.draining.Store(true)
	time.Sleep(c.DrainDelay)
	connect.Drain()
	ctx, cancel := context.WithTimeout(context.Background(), c.DrainTimeout)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		log.Warn("some requests did not finish in time and were cut off", "after", c.DrainTimeout, "watches", connect.Watches())
	}
	ctx, cancel = context.WithTimeout(context.Background(), closing)
	defer cancel()
	if err := e.Close(ctx); err != nil {
		return fmt.Errorf("close the databases: %w", err)
	}
	log.Info("stopped")
	return nil
}

// databases makes an engine what kvconnect asks for.
type databases struct{ *engine.Engine }

func (d databases) Database(ctx context.Context, name string, create bool) (kvconnect.Database, error) {
	find := d.Engine.Existing
	if create {
		find = d.Engine.Database
	}
	db, err := find(ctx, name)
	if err != nil {
		return nil, err
	}
	return database{db}, nil
}
