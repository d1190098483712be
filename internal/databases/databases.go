// Package databases makes databases of a NATS system that begin with a state, and takes them away so that they can be had again.
//
// DESIGN.md beside this file has the steps, and what a crash between any two leaves behind.
package databases

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/millpondkv/millpond/internal/checkpoints"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Config is how new databases are kept.
type Config struct {
	Replicas int  // of their logs, and of the buckets if they are made; 0: 1
	Memory   bool // keep the logs in memory
	Logger   *slog.Logger
	Now      func() time.Time // nil: time.Now

	// Forget is told the UUID of a database before its log is removed, to remove what else there is of it; nil: there is nothing.
	Forget func(id string) error
}

// Databases are those of a NATS system. Its methods may be called from several goroutines; two processes that work on one name
// at the same time do no harm, and one of them fails.
type Databases struct {
	Config
	conn   *nats.Conn
	js     jetstream.JetStream
	notes  *notes
	bucket *checkpoints.Bucket

	step func(name string) error // is told before each step; for tests
}

// Open opens the databases, and makes the buckets that are needed for its work.
func Open(ctx context.Context, conn *nats.Conn, c Config) (*Databases, error) {
	js, err := jetstream.New(conn)
	if err != nil {
		return nil, fmt.Errorf("use JetStream: %w", err)
	}
	c.Replicas = max(c.Replicas, 1)
	if c.Now == nil {
		c.Now = time.Now
	}
	d := &Databases{Config: c, conn: conn, js: js, step: func(string) error { return nil }}
	if d.notes, err = openNotes(ctx, js, c.Replicas); err != nil {
		return nil, err
	}
	d.bucket, err = checkpoints.Open(ctx, js, checkpoints.Config{Replicas: c.Replicas, Memory: c.Memory})
	return d, err
}
