package engine

import (
	"context"

	"github.com/millpondkv/millpond/internal/checkpoints"
	"github.com/millpondkv/millpond/queue"
)

// startQueue feeds the database's queue from its log until ctx ends. The queue has as many copies as the log: one.
func (d *Database) startQueue(ctx context.Context) {
	e := d.engine
	d.queue = queue.New(queue.Config{
		Conn: e.conn, JS: e.js, Database: d.name, ID: d.log.ID(), Begins: d.begins, Backlog: e.dir.backlog(d.log), Commit: d.CommitOnce, AckWait: e.config.AckWait,
		Rest: checkpoints.Rest(e.js, d.log.ID()), Now: e.clock.now, Logger: e.config.Logger,
	})
	forget := e.metrics.queues.Add(d.name, d.queue)
	d.work.Go(func() {
		defer forget()
		d.queue.Feed(ctx, d.log, 1, e.config.Memory)
	})
}

// Queue returns the database's queue.
func (d *Database) Queue() *queue.Queue { return d.queue }
