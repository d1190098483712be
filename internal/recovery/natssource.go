package recovery

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/events/natslog"
	"github.com/millpondkv/millpond/internal/checkpoints"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Cluster is a database of a cluster as a source. It connects again when its connection was given up.
type Cluster struct {
	dial     func() (*nats.Conn, error)
	database string
	id       string

	mu   sync.Mutex // guards what follows
	conn *nats.Conn
	log  *natslog.Log
}

// OpenCluster connects. It fails with kv.ErrNoDatabase. The source must be closed.
func OpenCluster(ctx context.Context, dial func() (*nats.Conn, error), database string) (*Cluster, error) {
	c := &Cluster{dial: dial, database: database}
	log, err := c.open(ctx)
	if err != nil {
		c.Close()
		return nil, err
	}
	c.id = log.ID()
	return c, nil
}

// open returns the log, after it has connected if need be.
func (c *Cluster) open(ctx context.Context) (*natslog.Log, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.log != nil && !c.conn.IsClosed() {
		return c.log, nil
	}
	conn, err := c.dial()
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(conn)
	var log *natslog.Log
	if err == nil {
		log, err = natslog.Open(ctx, js, c.database)
	}
	if err == nil && c.id != "" && log.ID() != c.id {
		err = fmt.Errorf("the database %q was made anew: its id is %s now and was %s; start again", c.database, log.ID(), c.id)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	c.conn, c.log = conn, log
	return log, nil
}

// ID implements backup.Source.
func (c *Cluster) ID() string { return c.id }

// Bounds implements backup.Source.
func (c *Cluster) Bounds(ctx context.Context) (first, last kv.Position, err error) {
	log, err := c.open(ctx)
	if err != nil {
		return 0, 0, err
	}
	return log.Bounds(ctx)
}

// Read implements backup.Source.
func (c *Cluster) Read(ctx context.Context, from kv.Position) (events.Reader, error) {
	log, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	return log.Read(ctx, from)
}

// WriteCheckpoint implements backup.Source.
func (c *Cluster) WriteCheckpoint(ctx context.Context, w io.Writer) (events.Chain, error) {
	log, err := c.open(ctx)
	if err != nil {
		return events.Chain{}, err
	}
	_, end, err := log.Bounds(ctx)
	if err != nil {
		return events.Chain{}, err
	}
	p := projection.New(checkpoints.Of(log.JetStream(), log.ID(), projection.Options{}, slog.New(slog.DiscardHandler)))
	defer p.Close()
	if err := p.CatchUp(ctx, log, end); err != nil {
		return events.Chain{}, fmt.Errorf("replay the log of %q: %w", log.Database(), err)
	}
	return p.WriteCheckpoint(ctx, w, log.ID())
}

// Close ends the connection.
func (c *Cluster) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != nil {
		c.conn.Close()
	}
}
