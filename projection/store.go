package projection

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/millpondkv/millpond/events"
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
	unfinishedSuffix  = ".tmp"
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
	file, err := os.CreateTemp(s.dir, checkpointPattern+unfinishedSuffix)
	if err != nil {
		return events.Chain{}, fmt.Errorf("create a checkpoint: %w", err)
	}
	chain, err := p.WriteCheckpoint(ctx, file, s.database)
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
	return chain, s.prune()
}

func (s *Store) publish(file string, at kv.Position) error {
	name := strings.Replace(checkpointPattern, "*", fmt.Sprintf("%020d", uint64(at)), 1)
	if err := os.Rename(file, filepath.Join(s.dir, name)); err != nil {
		return err
	}
	dir, err := os.Open(s.dir)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
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

// Load returns the projection of the newest checkpoint that is whole and not beyond the end of the log, or an empty
// projection if there is none. What was wrong with newer ones is in skipped; those that cannot be used are deleted. (One
// beyond the end must not stay: once the log has grown past it, nothing would tell that it is of another history.)
func (s *Store) Load(end kv.Position, o Options) (p *Projection, skipped error, err error) {
	files, err := s.files()
	if err != nil {
		return nil, nil, fmt.Errorf("list the checkpoints: %w", err)
	}
	for _, file := range files {
		p, err := s.load(file, end, o)
		if err == nil {
			return p, skipped, nil
		}
		if errors.Is(err, ErrCheckpoint) {
			err = errors.Join(err, os.Remove(file))
		}
		skipped = errors.Join(skipped, fmt.Errorf("%s: %w", file, err))
	}
	return New(o), skipped, nil
}

func (s *Store) load(name string, end kv.Position, o Options) (*Projection, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	p, database, err := ReadCheckpoint(file, o)
	if err != nil {
		return nil, err
	}
	if applied := p.Chain().Applied; database != s.database || applied > end {
		p.Close()
		return nil, fmt.Errorf("%w: it is of position %d of the database %s; the log at hand is of %s and ends at %d",
			ErrCheckpoint, applied, database, s.database, end)
	}
	return p, nil
}
