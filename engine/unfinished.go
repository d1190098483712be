package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/millpondkv/millpond/events/natslog"
)

// clearUnfinishedLogs deletes the directories of logs that JetStream was making when the process was killed: it refuses to start with
// one whose description is not there. Such a log has no messages, and nobody was told that it exists. (In that of a restored
// database, which begins late, JetStream notes so before it writes the description; no engine has opened it yet.)
func (d *directory) clearUnfinishedLogs() error {
	streams, err := filepath.Glob(filepath.Join(d.nats(), "jetstream", "*", "streams", "*"))
	if err != nil {
		return err
	}
	restoring := d.beingRestored()
	for _, stream := range streams {
		unfinished, err := isUnfinished(stream, restoring[filepath.Base(stream)])
		if err == nil && unfinished {
			err = os.RemoveAll(stream)
		}
		if err != nil {
			return fmt.Errorf("look for logs that were not made to the end: %w", err)
		}
	}
	return nil
}

// beingRestored returns the names of the streams of databases that are being restored.
func (d *directory) beingRestored() map[string]bool {
	streams := map[string]bool{}
	dirs, _ := os.ReadDir(d.restored("")) // there is none but while one is restored
	for _, dir := range dirs {
		if from, err := readOrigin(d.restored(dir.Name())); err == nil {
			streams[natslog.StreamName(from.Name)] = true
		}
	}
	return streams
}

// isUnfinished reports whether a stream's directory lacks a part of its description, and has no messages, or is known to be new.
func isUnfinished(stream string, isNew bool) (bool, error) {
	described := true
	for _, name := range []string{"meta.inf", "meta.sum"} {
		info, err := os.Stat(filepath.Join(stream, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
		described = described && err == nil && info.Size() > 0
	}
	if described || isNew {
		return !described, nil
	}
	blocks, err := filepath.Glob(filepath.Join(stream, "msgs", "*"))
	if err != nil {
		return false, err
	}
	for _, block := range blocks {
		if info, err := os.Stat(block); err != nil || info.Size() > 0 {
			return false, err
		}
	}
	return true, nil
}
