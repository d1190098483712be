package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/millpondkv/millpond/internal/front"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/service"
)

// WriterConfig is the settings of kvwriter.
type WriterConfig struct {
	NATS
	Checkpoints
	Safety
	Logging
	Databases   []string      `config:"databases" help:"lead only these databases; without it all"`
	Lease       time.Duration `config:"lease" default:"2s" help:"take over a database when nothing was heard of its leader for so long; the same for all writers" tradeoff:"less makes a takeover faster, and a busy machine lose its lead sooner"`
	QuorumReads bool          `config:"quorum-reads" help:"prove with a record of the log, and not by the lease, that this process leads, whenever a strong read asks" tradeoff:"needs no trust in clocks' speed, and makes reads of an idle database as slow as writes"`
	History     time.Duration `config:"history" default:"168h" help:"keep the log of so much time, for history and restores within the cluster; what is older is trimmed once a checkpoint has it" tradeoff:"more takes more disk"`
	HTTPAddr    string        `config:"http-addr" default:"127.0.0.1:4513" help:"serve health and metrics on this address"`
}

func (c *WriterConfig) logging() *Logging  { return &c.Logging }
func (c *WriterConfig) healthAddr() string { return c.HTTPAddr }

// minLease is four heartbeats: fewer, and one that is late would end a reign.
const minLease = 2 * time.Second

// Run stands by and leads until ctx ends; then it answers what waits, and resigns.
func (c *WriterConfig) Run(ctx context.Context, log *slog.Logger) error {
	if err := c.check(); err != nil {
		return err
	}
	web, err := front.Start(c.HTTPAddr, "--http-addr", log)
	if err != nil {
		return err
	}
	defer web.Close()
	checkpoints, err := c.Checkpoints.open()
	if err != nil {
		return err
	}
	defer checkpoints.Close()
	process := processName("kvwriter")
	link, err := c.keepConnecting(process, log)
	if err != nil {
		return err
	}
	defer link.Close()
	web.Await(link.amiss)
	check := &startCheck{NATS: c.NATS, Safety: c.Safety, only: c.Databases, log: log}
	if err := check.await(ctx, link); err != nil {
		return err
	}
	go check.repeat(ctx, link)
	clock := new(clock)
	writers, err := service.NewWriters(link.Conn, service.WritersConfig{
		Only: c.Databases, AllowUnsafe: c.AllowUnsafe, Lease: c.Lease, QuorumReads: c.QuorumReads, Now: clock.now, NewID: newID, Process: process, Checkpoints: checkpoints,
		History: c.History, CheckpointBytes: int64(c.CheckpointBytes), Logger: log, Registry: web.Registry,
	})
	if err != nil {
		return err
	}
	web.Open(link.ready(writers.Ready), nil)
	log.Info("standing by", "addr", web.Addr().String())
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case err := <-web.Failed():
			cancel(err)
		case <-ctx.Done():
		}
	}()
	if err := writers.Run(ctx); err != nil {
		return err
	}
	web.Drain(0, time.Second)
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	log.Info("stopped")
	return nil
}

func (c *WriterConfig) check() error {
	if c.Lease < minLease {
		return fmt.Errorf("--lease is %v; it must be at least %v", c.Lease, minLease)
	}
	if c.History <= 0 {
		return errors.New("--history must be above zero")
	}
	for _, name := range c.Databases {
		if !kv.ValidDatabaseName(name) {
			return fmt.Errorf("--databases: no database can be named %q; a name is 1 to %d of a-z, 0-9, _ and -", name, kv.MaxDatabaseName)
		}
	}
	return nil
}
