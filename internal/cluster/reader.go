package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/millpondkv/millpond/events/natslog"
	"github.com/millpondkv/millpond/internal/front"
	"github.com/millpondkv/millpond/kvconnect"
	"github.com/millpondkv/millpond/service"
)

// ReaderConfig is the settings of kvreader.
type ReaderConfig struct {
	NATS
	Checkpoints
	Safety
	Logging
	Addr            string        `config:"addr" default:"127.0.0.1:4512" help:"listen on this address" tradeoff:"the default is reached from this machine only; use 0.0.0.0:4512 to be reached from others, behind TLS"`
	AccessToken     string        `config:"access-token" env:"DENO_KV_ACCESS_TOKEN" secret:"true" help:"the token that clients must send; all readers need the same one"`
	CreateDatabases bool          `config:"create-databases" default:"true" help:"make a database when it is first used"`
	Replicas        int           `config:"replicas" default:"3" help:"keep the logs of the databases that this program makes on so many NATS servers" tradeoff:"with 3 one server can be lost; fewer are for trying things out, with --allow-unsafe"`
	ReadyLag        int           `config:"ready-lag" default:"5000" help:"be ready only while no database is more records behind than this"`
	TrustForwarded  bool          `config:"trust-forwarded" help:"believe X-Forwarded-Proto and X-Forwarded-Host; only behind a proxy that sets both"`
	Raw             bool          `config:"raw" help:"accept keys and values that no client can decode, for protocol test suites"`
	DrainDelay      time.Duration `config:"drain-delay" default:"0s" help:"go on serving for so long after SIGTERM, with /readyz saying no, so that a load balancer notices"`
	DrainTimeout    time.Duration `config:"drain-timeout" default:"25s" help:"how long requests in flight may take to finish after SIGTERM"`
}

func (c *ReaderConfig) logging() *Logging  { return &c.Logging }
func (c *ReaderConfig) healthAddr() string { return c.Addr }

// Run serves until ctx ends, then drains. It returns nil after a drain, otherwise why it could not serve.
func (c *ReaderConfig) Run(ctx context.Context, log *slog.Logger) error {
	if err := c.check(); err != nil {
		return &SettingsError{err}
	}
	web, err := front.Start(c.Addr, "--addr", log)
	if err != nil {
		return err
	}
	defer web.Close()
	checkpoints, err := c.Checkpoints.open()
	if err != nil {
		return err
	}
	defer checkpoints.Close()
	process := processName("kvreader")
	link, err := c.keepConnecting(process, log)
	if err != nil {
		return err
	}
	defer link.Close()
	check := newStartCheck(c.NATS, c.Safety, log, web.Registry)
	web.Await(check.amiss(link))
	if err := check.await(ctx, link); err != nil {
		return stopped(ctx, log, err)
	}
	go check.repeat(ctx, link)
	clock := new(clock)
	databases, err := service.OpenDatabases(link.Conn, service.Config{
		Create: c.CreateDatabases, Replicas: c.Replicas, AllowUnsafe: c.AllowUnsafe, MostLag: uint64(c.ReadyLag), Now: clock.now, NewID: newID,
		Process: process, Checkpoints: checkpoints, Logger: log, Registry: web.Registry,
	})
	if err != nil {
		return err
	}
	connect, err := kvconnect.New(kvconnect.Config{
		Databases: databases, AccessToken: c.AccessToken, TrustForwarded: c.TrustForwarded, Raw: c.Raw, Eventual: true, Logger: log, Observe: web.Observe,
	})
	if err != nil {
		return err
	}
	if err := databases.Serve(); err != nil {
		return errors.Join(err, databases.Close())
	}
	web.Open(check.ready(link, databases.Ready), connect)
	log.Info("serving", "addr", web.Addr().String())
	opening, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		if databases.OpenAll(opening, kvconnect.DefaultDatabase) == nil {
			log.Info("all databases are open")
		}
	}()
	select {
	case <-ctx.Done():
		log.Info("draining")
	case err = <-web.Failed():
	}
	cancel()
	web.Drain(c.DrainDelay, c.DrainTimeout)
	if err := errors.Join(err, databases.Close()); err != nil {
		return err
	}
	log.Info("stopped")
	return nil
}

func (c *ReaderConfig) check() error {
	switch {
	case c.AccessToken == "":
		return errors.New("no access token is set; give all readers the same one with --access-token-file or DENO_KV_ACCESS_TOKEN")
	case c.Replicas < 1 || c.Replicas > 5:
		return errors.New("--replicas must be from 1 to 5: JetStream keeps no more")
	case c.Replicas < natslog.SafeReplicas && !c.AllowUnsafe:
		return fmt.Errorf("--replicas %d keeps too few copies of a log to lose a NATS server; use %d, or --allow-unsafe to try things out", c.Replicas, natslog.SafeReplicas)
	case c.ReadyLag < 0:
		return errors.New("--ready-lag must not be negative")
	}
	return front.CheckToken(c.AccessToken)
}
