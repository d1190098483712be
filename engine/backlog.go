package engine

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/millpondkv/millpond/backup"
	"github.com/millpondkv/millpond/events/natslog"
	"github.com/millpondkv/millpond/internal/checkpoints"
	"github.com/millpondkv/millpond/internal/syncfile"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/queue"
)

// backlogFile has, in the directory of a restored database, the messages that its queue begins with.
const backlogFile = "messages"

func writeBacklog(ctx context.Context, dir string, n backup.New) error {
	path := filepath.Join(dir, backlogFile)
	aside := path + syncfile.AsideSuffix
	file, err := os.Create(aside)
	if err != nil {
		return err
	}
	_, err = queue.WriteBacklog(file, func(each func(kv.QueuedMessage) error) error { return n.Messages(ctx, each) })
	if err == nil {
		err = file.Sync()
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	return syncfile.Publish(aside, path)
}

// backlog is queue.Config.Backlog of a database, whose messages are in its directory, or in the bucket if it was renamed or undeleted.
func (d *directory) backlog(log *natslog.Log) func(context.Context, func(kv.QueuedMessage) error) error {
	return func(ctx context.Context, each func(kv.QueuedMessage) error) error {
		file, err := os.Open(filepath.Join(d.checkpoints(log.ID()), backlogFile))
		if errors.Is(err, fs.ErrNotExist) {
			return checkpoints.Backlog(log.JetStream(), log.ID(), log.After().Applied)(ctx, each)
		}
		if err != nil {
			return err
		}
		defer file.Close()
		return queue.ReadBacklog(file, each)
	}
}

// Backlog returns what calls each with the messages that the queue of a database has begun with.
func (s *Stopped) Backlog(log *natslog.Log) func(context.Context, func(kv.QueuedMessage) error) error {
	return s.dir.backlog(log)
}

// Backlog is that of Stopped.
func (d *Database) Backlog() func(context.Context, func(kv.QueuedMessage) error) error {
	return d.engine.dir.backlog(d.log)
}
