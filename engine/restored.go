package engine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/google/uuid"
	"github.com/millpondkv/millpond/backup"
	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/events/natslog"
	"github.com/millpondkv/millpond/internal/checkpoints"
	"github.com/millpondkv/millpond/internal/natsserver"
	"github.com/millpondkv/millpond/internal/syncfile"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Stopped is a data directory that no engine uses, with its logs open for backup and restore. No records are added to them.
type Stopped struct {
	maker
	nats *natsserver.Server
	conn *nats.Conn
}

// OpenStopped locks a data directory; if create is set it is made if it is absent. It must be closed.
func OpenStopped(path string, create bool, logger *slog.Logger) (*Stopped, error) {
	if _, err := readFormat(path); !create && errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is not a data directory of millpond", path)
	}
	dir, err := openDirectory(Config{Dir: path})
	if err != nil {
		return nil, err
	}
	s := &Stopped{maker: maker{dir: dir}}
	if err := s.start(logger); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Stopped) start(logger *slog.Logger) (err error) {
	if err := s.dir.clearUnfinishedLogs(); err != nil {
		return err
	}
	if s.nats, err = natsserver.Start(s.dir.nats(), logger); err != nil {
		return err
	}
	if err := s.nats.Check(); err != nil {
		return fmt.Errorf("recover the logs in %s: %w; %s", s.dir.nats(), err, fromCopy)
	}
	if s.conn, err = s.nats.Connect(); err != nil {
		return err
	}
	s.js, err = jetstream.New(s.conn)
	return err
}

// Close unlocks the directory.
func (s *Stopped) Close() error {
	if s.conn != nil {
		s.conn.Close()
	}
	if s.nats != nil {
		s.nats.Stop()
	}
	return s.dir.close()
}

// Conn returns the connection to the logs.
func (s *Stopped) Conn() *nats.Conn { return s.conn }

// Forget removes what there is of a database beside its log.
func (s *Stopped) Forget(id string) error {
	return errors.Join(os.RemoveAll(s.dir.checkpoints(id)), os.RemoveAll(s.dir.restored(id)))
}

// Log opens the log of a database. It fails with kv.ErrNoDatabase.
func (s *Stopped) Log(ctx context.Context, name string) (*natslog.Log, error) {
	return natslog.Open(ctx, s.js, name)
}

// State returns the state of a database at the end of its log. The caller closes it.
func (s *Stopped) State(ctx context.Context, log *natslog.Log) (*projection.Projection, error) {
	p, err := s.Checkpoint(log)
	if err != nil {
		return nil, err
	}
	return replayed(ctx, p, log)
}

// Checkpoint returns the state of a database's newest checkpoint; without one it is that before the first record. The caller closes
// it.
func (s *Stopped) Checkpoint(log *natslog.Log) (*projection.Projection, error) {
	if err := s.dir.adopt(log.ID()); err != nil {
		return nil, err
	}
	store, err := projection.OpenStore(s.dir.checkpoints(log.ID()), log.ID())
	if err != nil {
		return nil, err
	}
	p, _, err := store.Load(checkpoints.Of(s.js, log.ID(), projection.Options{}, slog.New(slog.DiscardHandler)))
	return p, err
}

// replayed applies what a log has after the state of a checkpoint.
func replayed(ctx context.Context, p *projection.Projection, log *natslog.Log) (*projection.Projection, error) {
	_, end, err := log.Bounds(ctx)
	if err == nil {
		err = p.CatchUp(ctx, log, end)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("replay the log of %q: %w", log.Database(), err), p.Close())
	}
	return p, nil
}

// Log returns the log, for reading.
func (d *Database) Log() *natslog.Log { return d.log }

// State returns a copy of the state at the end of the log, made from the newest checkpoint and the rest of the log: the database goes
// on undisturbed. The caller closes it.
func (d *Database) State(ctx context.Context) (*projection.Projection, error) {
	p, err := d.Checkpoint()
	if err != nil {
		return nil, err
	}
	return replayed(ctx, p, d.log)
}

// Checkpoint is that of Stopped.
func (d *Database) Checkpoint() (*projection.Projection, error) {
	return d.keeper.Load(checkpoints.Of(d.engine.js, d.log.ID(), projection.Options{}, d.engine.config.Logger))
}

// maker makes databases in a data directory. It implements backup.Maker.
//
// A restored database is made in three steps, and a crash between any two leaves what the next start, or the next try,
// can go on with: its checkpoint is stored in the directory restored/UUID; its log is made, and from here on the database
// exists; the directory becomes checkpoints/UUID. Whoever opens the log takes the last step first.
type maker struct {
	dir *directory
	js  jetstream.JetStream
}

// originFile says in the directory of a restored database where its state came from.
const originFile = "origin"

type origin struct {
	Name   string       `json:"name"`
	Source string       `json:"source"`
	After  backup.Place `json:"after"` // the place after which the log begins: that of the state
}

// readOrigin returns the origin of a restored database from its directory. It fails with fs.ErrNotExist if there is none.
func readOrigin(dir string) (from origin, err error) {
	data, err := os.ReadFile(filepath.Join(dir, originFile))
	if err == nil {
		err = json.Unmarshal(data, &from)
	}
	if err != nil {
		return from, fmt.Errorf("read the origin of a restored database: %w", err)
	}
	return from, nil
}

// Absent implements backup.Maker. A database that Make began to make counts as absent.
func (s *maker) Absent(ctx context.Context, name string) error {
	log, err := natslog.Open(ctx, s.js, name)
	if errors.Is(err, kv.ErrNoDatabase) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := os.Stat(s.dir.restored(log.ID())); err == nil {
		return nil
	}
	return fmt.Errorf("%w: %q in %s", backup.ErrDatabaseExists, name, s.dir.path)
}

// Make implements backup.Maker.
func (s *maker) Make(ctx context.Context, n backup.New) error {
	log, err := natslog.Open(ctx, s.js, n.Name)
	if err == nil {
		return s.finish(log, n)
	}
	if !errors.Is(err, kv.ErrNoDatabase) {
		return err
	}
	id := uuid.NewString()
	if err := s.stage(ctx, id, n); err != nil {
		return err
	}
	if _, err := natslog.Create(ctx, s.js, n.Name, natslog.Config{ID: id, After: n.After}); err != nil {
		return err
	}
	return s.dir.adopt(id)
}

// finish goes on with a database that an earlier Make has left, if it is the same one.
func (s *maker) finish(log *natslog.Log, n backup.New) error {
	from, err := readOrigin(s.dir.restored(log.ID()))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %q in %s", backup.ErrDatabaseExists, n.Name, s.dir.path)
	}
	if err != nil {
		return err
	}
	if err := s.dir.adopt(log.ID()); err != nil {
		return err
	}
	if from.Source != n.Source {
		return fmt.Errorf("%w: %q was being restored to another state, and that is done now", backup.ErrDatabaseExists, n.Name)
	}
	return nil
}

// begins returns the place after which the log of a restored database begins; zero if it is not known that the database is one.
func (d *directory) begins(log *natslog.Log) (events.Chain, error) {
	if after := log.After(); after != (events.Chain{}) {
		return after, nil
	}
	from, err := readOrigin(d.checkpoints(log.ID()))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return events.Chain{}, err
	}
	return from.After.Chain(), nil
}

// stage stores the checkpoint of a database that does not exist yet, in place of those that earlier tries have left.
func (s *maker) stage(ctx context.Context, id string, n backup.New) error {
	if err := s.clearStaged(ctx); err != nil {
		return err
	}
	store, err := projection.OpenStore(s.dir.restored(id), id)
	if err != nil {
		return err
	}
	written := sha256.New()
	chain, err := store.Put(ctx, func(ctx context.Context, w io.Writer, database string) (events.Chain, error) {
		return n.WriteCheckpoint(ctx, io.MultiWriter(w, written), database)
	})
	if err != nil {
		return err
	}
	if chain != n.After {
		return fmt.Errorf("the state is at %d, and the log begins after %d", chain.Applied, n.After.Applied)
	}
	if err := readBack(s.dir.restored(id), written.Sum(nil)); err != nil {
		return err
	}
	if err := writeBacklog(ctx, s.dir.restored(id), n); err != nil {
		return err
	}
	data, err := json.Marshal(origin{Name: n.Name, Source: n.Source, After: backup.PlaceOf(chain)})
	if err != nil {
		return err
	}
	if err := syncfile.Write(filepath.Join(s.dir.restored(id), originFile), append(data, '\n')); err != nil {
		return err
	}
	return errors.Join(syncfile.SyncDir(s.dir.restored("")), syncfile.SyncDir(s.dir.path))
}

// readBack compares the checkpoint that was stored in dir with what was written.
func readBack(dir string, written []byte) error {
	files, err := filepath.Glob(filepath.Join(dir, "checkpoint-*"))
	if err != nil || len(files) != 1 {
		return errors.Join(fmt.Errorf("read back the state: there are %d files", len(files)), err)
	}
	file, err := os.Open(files[0])
	if err != nil {
		return fmt.Errorf("read back the state: %w", err)
	}
	defer file.Close()
	read := sha256.New()
	if _, err := io.Copy(read, file); err != nil {
		return fmt.Errorf("read back the state: %w", err)
	}
	if !bytes.Equal(read.Sum(nil), written) {
		return errors.New("the state that was stored is not the one that was restored; look at the disk")
	}
	return nil
}

// clearStaged deletes what tries have left that did not come to make the log.
func (s *maker) clearStaged(ctx context.Context) error {
	dirs, err := os.ReadDir(s.dir.restored(""))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	names, err := natslog.List(ctx, s.js)
	if err != nil {
		return err
	}
	made := map[string]bool{}
	for _, name := range names {
		log, err := natslog.Open(ctx, s.js, name)
		if err != nil {
			return err
		}
		made[log.ID()] = true
	}
	for _, dir := range dirs {
		if !made[dir.Name()] {
			if err := os.RemoveAll(s.dir.restored(dir.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *directory) restored(id string) string    { return filepath.Join(d.path, "restored", id) }
func (d *directory) checkpoints(id string) string { return filepath.Join(d.path, "checkpoints", id) }

// adopt takes the last step of a restore, if it is left to take.
func (d *directory) adopt(id string) error {
	if _, err := os.Stat(d.restored(id)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	if err := os.MkdirAll(d.checkpoints(""), 0o700); err != nil {
		return err
	}
	if err := syncfile.SyncDir(d.path); err != nil {
		return err
	}
	return syncfile.Publish(d.restored(id), d.checkpoints(id))
}
