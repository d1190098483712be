package service

import (
	"context"
	"sync"

	"github.com/millpondkv/millpond/events/natslog"
	"github.com/millpondkv/millpond/internal/checkpoints"
	"github.com/millpondkv/millpond/kvconnect"
	"github.com/millpondkv/millpond/queue"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// openQueue returns the queue of the database, for listeners. Its feeder is where the leader is.
func (d *Database) openQueue(conn *nats.Conn, js jetstream.JetStream) *queue.Queue {
	return queue.New(queue.Config{
		Conn: conn, JS: js, Database: d.log.Database(), ID: d.log.ID(), Commit: d.CommitOnce, Now: d.now, Logger: d.logger,
	})
}

// Queue implements kvconnect.QueueDatabase.
func (d *Database) Queue() kvconnect.Queue { return d.queue }

// feedQueue feeds the queue of a database that this process leads until stop is called. A writer that was deposed meanwhile
// does no harm: the cursor is a fence, and what it copies is in the log.
func (w *Writers) feedQueue(ctx context.Context, log *natslog.Log) (stop func()) {
	q := queue.New(queue.Config{
		Conn: w.conn, JS: w.js, Database: log.Database(), ID: log.ID(), Now: w.config.Now, Logger: w.config.Logger,
		Begins: log.After(), Backlog: checkpoints.Backlog(w.js, log.ID(), log.After().Applied),
		Rest: checkpoints.Rest(w.js, log.ID()),
	})
	forget := w.queues.Add(log.Database(), q)
	ctx, cancel := context.WithCancel(ctx)
	var feeding sync.WaitGroup
	feeding.Go(func() {
		c := log.Config()
		q.Feed(ctx, log, c.Replicas, c.Memory)
	})
	return func() {
		cancel()
		feeding.Wait()
		forget()
	}
}
