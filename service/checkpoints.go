package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/gofrs/flock"
	"github.com/google/uuid"
	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/events/natslog"
	"github.com/millpondkv/millpond/internal/checkpoints"
	"github.com/millpondkv/millpond/projection"
)

// Checkpoints is a directory with the checkpoints of every database of a process: a subdirectory for each, by its UUID, and a
// lock, because it belongs to one process. A nil *Checkpoints keeps none.
type Checkpoints struct {
	dir   string
	every int64
	lock  *flock.Flock
}

const checkpointLock = "lock"

// OpenCheckpoints locks the directory, which it makes if it is absent. A checkpoint is taken each time a log has grown by so
// many bytes. It fails if another process uses the directory, or if something else is in it.
func OpenCheckpoints(dir string, every int64) (*Checkpoints, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the checkpoint directory: %w", err)
	}
	if err := checkCheckpointDir(dir); err != nil {
		return nil, err
	}
	lock := flock.New(filepath.Join(dir, checkpointLock))
	locked, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock the checkpoint directory: %w", err)
	}
	if !locked {
		return nil, fmt.Errorf("the checkpoint directory %s is in use by another process; give each process a directory of its own", dir)
	}
	return &Checkpoints{dir: dir, every: every, lock: lock}, nil
}

func checkCheckpointDir(dir string) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read the checkpoint directory: %w", err)
	}
	for _, f := range files {
		if name := f.Name(); name != checkpointLock && name != "lost+found" && uuid.Validate(name) != nil {
			return fmt.Errorf("%s is not a directory of checkpoints (it has %q); choose another directory", dir, name)
		}
	}
	return nil
}

// Close lets another process use the directory.
func (c *Checkpoints) Close() error {
	if c == nil {
		return nil
	}
	return c.lock.Unlock()
}

// without returns the directories that have checkpoints of other databases than the known ones, which are UUIDs.
func (c *Checkpoints) without(known map[string]bool) (dirs []string, err error) {
	if c == nil {
		return nil, nil
	}
	files, err := filepath.Glob(filepath.Join(c.dir, "*", "*"))
	for _, file := range files {
		if dir := filepath.Dir(file); !known[filepath.Base(dir)] && !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs, err
}

// saveTimeout bounds how long a process that stops takes checkpoints. Without them only its next start takes longer.
const saveTimeout = 10 * time.Second

// restored is the state of a database from its newest checkpoint, which may not fit the log.
type restored struct {
	keeper *projection.Checkpointer
	id     string // of the database
	dir    string // its checkpoints
	since  time.Time
}

// restore loads the newest checkpoint of a database from the directory. Without any the state is empty, and goes on from one of the
// bucket, as it does when the log was trimmed beyond it.
func (c *Checkpoints) restore(log *natslog.Log, o projection.Options, logger *slog.Logger) (*restored, error) {
	o = checkpoints.Of(log.JetStream(), log.ID(), o, logger)
	r := &restored{id: log.ID(), since: time.Now()}
	var store *projection.Store
	var every int64
	var err error
	if c != nil {
		r.dir, every = filepath.Join(c.dir, log.ID()), c.every
		if store, err = projection.OpenStore(r.dir, log.ID()); err != nil {
			return nil, err
		}
	}
	r.keeper, err = projection.Restore(store, every, o, logger)
	return r, err
}

// errLost says that a log has lost what a checkpoint has.
var errLost = errors.New("the log has lost records")

// lostAfter is how long servers of a log may answer that it ends before what a checkpoint has, before that is taken for a loss. A
// server that is cut off from the others, or catches up with them, answers from a log of the past. It has no other records.
const lostAfter = 30 * time.Second

// verify returns nil if the log has all that the checkpoint has, and only then may it be followed from there. Otherwise it is to
// be asked again. Once the log counts as lost, the error is errLost and says what to do.
func (r *restored) verify(ctx context.Context, log *natslog.Log) error {
	err := r.keeper.Verify(ctx, log)
	switch {
	case err == nil || !isDamage(err):
		return err
	case errors.Is(err, events.ErrGap) && time.Since(r.since) < lostAfter:
		return fmt.Errorf("%w, as the checkpoint says; the NATS server that answered may be behind", err)
	}
	return fmt.Errorf("%w: %w, as the checkpoint says; restore the NATS servers from a copy, or stop this process and delete %s to go on with what is left", errLost, err, r.dir)
}

// save takes a checkpoint at the end of a process.
func save(ctx context.Context, keeper *projection.Checkpointer, logger *slog.Logger) {
	if err := keeper.Save(ctx); err != nil {
		logger.Warn("no checkpoint was taken; the next start will take longer", "error", err)
	}
}
