package projection

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/internal/fault"
	"github.com/millpondkv/millpond/internal/syncfile"
	"github.com/millpondkv/millpond/kv"
)

// Store keeps the checkpoints of one database as files of a directory.
type Store struct {
	dir      string
	database string // UUID
}

const (
	keptCheckpoints   = 2 // the newest, and the one before it in case that one turns out to be damaged
	checkpointPattern = "checkpoint-*.millpond"
	unfinishedSuffix  = syncfile.AsideSuffix
)

// OpenStore makes the directory if it is absent, and clears away what an interrupted Save has left.
func OpenStore(dir, database string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the checkpoints: %w", err)
	}
	unfinished, err := filepath.Glob(filepath.Join(dir, checkpointPattern+unfinishedSuffix))
	for _, file := range unfinished {
		err = errors.Join(err, os.Remove(file))
	}
	if err != nil {
		return nil, fmt.Errorf("clear unfinished checkpoints: %w", err)
	}
	return &Store{dir: dir, database: database}, nil
}

// Save writes a checkpoint of p's current state, synced to disk, and deletes all but the last ones. A crash on the way
// leaves a file that OpenStore clears, and the checkpoints that were there.
func (s *Store) Save(ctx context.Context, p *Projection) (events.Chain, error) {
	return s.Put(ctx, p.WriteCheckpoint)
}

// Put is Save of a checkpoint that write writes, for the database with the UUID that it is given.
func (s *Store) Put(ctx context.Context, write func(ctx context.Context, w io.Writer, database string) (events.Chain, error)) (events.Chain, error) {
	file, err := os.CreateTemp(s.dir, checkpointPattern+unfinishedSuffix)
	if err != nil {
		return events.Chain{}, fmt.Errorf("create a checkpoint: %w", err)
	}
	chain, err := write(ctx, file, s.database)
	fault.Point("checkpoint")
	if err == nil {
		err = file.Sync()
	}
	err = errors.Join(err, file.Close())
	if err == nil {
		err = s.publish(file.Name(), chain.Applied)
	}
	if err != nil {
		os.Remove(file.Name())
		return events.Chain{}, fmt.Errorf("save a checkpoint: %w", err)
	}
	return chain, errors.Join(s.Mark(chain), s.prune())
}

func (s *Store) publish(file string, at kv.Position) error {
	name := strings.Replace(checkpointPattern, "*", fmt.Sprintf("%020d", uint64(at)), 1)
	return syncfile.Publish(file, filepath.Join(s.dir, name))
}

func (s *Store) prune() error {
	files, err := s.files()
	for _, old := range files[min(keptCheckpoints, len(files)):] {
		err = errors.Join(err, os.Remove(old))
	}
	return err
}

// files returns the checkpoints, newest first.
func (s *Store) files() ([]string, error) {
	files, err := filepath.Glob(filepath.Join(s.dir, checkpointPattern))
	slices.Sort(files) // by position: the digits are of one width
	slices.Reverse(files)
	return files, err
}

// Load returns the projection of the newest checkpoint that is whole, or an empty projection if there is none. What was wrong
// with newer ones is in skipped; they stay until newer ones replace them.
func (s *Store) Load(o Options) (p *Projection, skipped error, err error) {
	files, err := s.files()
	if err != nil {
		return nil, nil, fmt.Errorf("list the checkpoints: %w", err)
	}
	for _, file := range files {
		p, err := s.load(file, o)
		if err == nil {
			return p, skipped, nil
		}
		skipped = errors.Join(skipped, fmt.Errorf("%s: %w", file, err))
	}
	return New(o), skipped, nil
}

// StoredCheckpoint is a checkpoint in a Store's directory, which may be replaced by a newer one at any time.
type StoredCheckpoint struct {
	Chain events.Chain
	File  string
}

// List returns the checkpoints whose beginnings are whole, newest first.
func (s *Store) List() (list []StoredCheckpoint, err error) {
	files, err := s.files()
	if err != nil {
		return nil, fmt.Errorf("list the checkpoints: %w", err)
	}
	for _, name := range files {
		file, err := os.Open(name)
		if err != nil {
			continue // replaced just now
		}
		chain, _, err := ScanCheckpoint(file, func(kv.Entry) bool { return false })
		file.Close()
		if err == nil {
			list = append(list, StoredCheckpoint{Chain: chain, File: name})
		}
	}
	return list, nil
}

func (s *Store) load(name string, o Options) (*Projection, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	p, database, err := ReadCheckpoint(file, o)
	if err != nil {
		return nil, err
	}
	if database != s.database {
		p.Close()
		return nil, fmt.Errorf("%w: it is of the database %s and not of %s", ErrCheckpoint, database, s.database)
	}
	return p, nil
}
