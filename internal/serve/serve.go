package serve

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	_ "net/http/pprof" // on the debug address, which serves the default mux
	"time"

	"github.com/millpondkv/millpond/engine"
	"github.com/millpondkv/millpond/internal/front"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kvconnect"
)

// Run serves until ctx ends, then drains: it is not ready any more, watches are ended, requests finish, and the log is
// closed. It writes to out, once it is ready, what to do next. It returns nil after a drain, otherwise why it could not
// serve.
func Run(ctx context.Context, c Config, out io.Writer, log *slog.Logger) error {
	if err := front.CheckToken(c.AccessToken); err != nil {
		return err
	}
	if c.History <= 0 {
		return errors.New("--history must be above zero")
	}
	archives, err := newArchives(c, log)
	if err != nil {
		return err
	}
	web, err := front.Start(c.Addr, "--addr", log)
	if err != nil {
		return err
	}
	defer web.Close()
	debug := make(chan error, 1)
	if c.DebugAddr != "" {
		listener, err := front.Listen(c.DebugAddr, "--debug-addr")
		if err != nil {
			return err
		}
		defer listener.Close()
		go func() { debug <- http.Serve(listener, nil) }()
	}
	e, err := engine.Open(ctx, engine.Config{
		Dir: c.Data, Memory: c.Memory, CreateDatabases: c.CreateDatabases, Logger: log, Registry: web.Registry,
		CheckpointBytes: int64(c.CheckpointBytes), History: c.History, Hold: archives.hold(),
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
		Logger: log, Observe: web.Observe,
	})
	if err != nil {
		return errors.Join(err, e.Close(ctx))
	}
	stopArchives := archives.start(e)
	web.Open(func() ([]string, error) { return nil, e.Ready() }, connect)
	welcome(out, c, web.Addr(), token)
	log.Info("ready", "addr", web.Addr().String())
	closing := engineTimeout
	select {
	case <-ctx.Done():
		log.Info("draining")
	case err = <-web.Failed():
	case err = <-debug:
	case err = <-e.Failed():
		c.DrainDelay, c.DrainTimeout, closing = 0, min(c.DrainTimeout, brokenTimeout), brokenTimeout
	}
	web.Drain(c.DrainDelay, c.DrainTimeout)
	stopArchives()
	ctx, cancel := context.WithTimeout(context.Background(), closing)
	defer cancel()
	if err := errors.Join(err, e.Close(ctx)); err != nil {
		return err
	}
	log.Info("stopped")
	return nil
}

const (
	// engineTimeout bounds how long the last answers and checkpoints may take, after the requests have ended.
	engineTimeout = time.Minute
	// brokenTimeout bounds both when the log is broken: writes will not finish.
	brokenTimeout = 3 * time.Second
)

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

// database makes an open database what kvconnect asks for.
type database struct{ *engine.Database }

func (d database) Watch(keys []kv.EncodedKey) kvconnect.Watch { return d.Database.Watch(keys) }

func (d database) Queue() kvconnect.Queue { return d.Database.Queue() }
