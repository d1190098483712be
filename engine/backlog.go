package engine

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/millpondkv/millpond/backup"
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

// backlog is queue.Config.Backlog of a database.
func (d *directory) backlog(id string) func(context.Context, func(kv.QueuedMessage) error) error {
	return func(_ context.Context, each func(kv.QueuedMessage) error) error {
		file, err := os.Open(filepath.Join(d.checkpoints(id), backlogFile))
		if errors.Is(err, fs.ErrNotExist) { // an older Millpond has restored it
			return nil
		}
		if err != nil {
			return err
		}
		defer file.Close()
		return queue.ReadBacklog(file, each)
	}
}
