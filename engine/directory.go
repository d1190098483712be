package engine

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/gofrs/flock"
	"github.com/millpondkv/millpond/internal/syncfile"
)

// A data directory has
//
//	millpond     a line that says what this is and in which format
//	lock         locked by the process that uses it
//	nats/        the logs: JetStream's files
//	checkpoints/ a directory for each database, by its UUID
//	restored/    the same of a database that is being restored, until its log is there
const (
	formatFile   = "millpond"
	formatPrefix = "millpond data "
	formatLine   = formatPrefix + "1"
	lockFile     = "lock"
	asideFile    = formatFile + syncfile.AsideSuffix
)

// directory is a data directory that this process has locked, or a temporary one.
type directory struct {
	path      string
	lock      *flock.Flock // nil for a temporary one
	temporary bool
}

func openDirectory(c Config) (*directory, error) {
	if c.Memory {
		path, err := os.MkdirTemp("", "millpond-")
		if err != nil {
			return nil, fmt.Errorf("make a temporary directory: %w", err)
		}
		return &directory{path: path, temporary: true}, nil
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	if err := checkFormat(c.Dir); err != nil {
		return nil, err
	}
	lock := flock.New(filepath.Join(c.Dir, lockFile))
	locked, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock the data directory: %w", err)
	}
	if !locked {
		return nil, fmt.Errorf("the data directory %s is in use, by a millpond server or by a program that has opened it (perhaps this one); close it there, or choose another directory", c.Dir)
	}
	d := &directory{path: c.Dir, lock: lock}
	if err := d.writeFormat(); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

// checkFormat refuses a directory that has something else in it, or data of a newer format.
func checkFormat(path string) error {
	line, err := readFormat(path)
	switch {
	case err == nil && line == formatLine:
		return nil
	case err == nil && strings.HasPrefix(line, formatPrefix):
		return fmt.Errorf("the data directory %s has the format %q; this millpond reads %q, run a newer one", path, line, formatLine)
	case err == nil:
		return fmt.Errorf("%s is not a data directory of millpond (its file %q says something else); choose another directory", path, formatFile)
	}
	if !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("read the data directory's format: %w", err)
	}
	files, err := os.ReadDir(path)
	if err != nil {
		return fmt.Errorf("read the data directory: %w", err)
	}
	for _, f := range files {
		switch f.Name() {
		case lockFile, asideFile: // left by a first start that was interrupted
		case "lost+found": // of a file system of its own
		default:
			return fmt.Errorf("%s is not empty and not a data directory of millpond (it has no file %q); choose another directory", path, formatFile)
		}
	}
	return nil
}

// readFormat returns the line of the format file, or the start of whatever else is there.
func readFormat(path string) (string, error) {
	file, err := os.Open(filepath.Join(path, formatFile))
	if err != nil {
		return "", err
	}
	defer file.Close()
	line, err := io.ReadAll(io.LimitReader(file, 100))
	return strings.TrimSpace(string(line)), err
}

// writeFormat marks a new directory. The file is written aside and synced, so that it is there whole or not at all.
func (d *directory) writeFormat() error {
	file := filepath.Join(d.path, formatFile)
	if _, err := os.Stat(file); err == nil {
		return nil
	}
	if err := syncfile.Write(file, []byte(formatLine+"\n")); err != nil {
		return fmt.Errorf("mark the data directory: %w", err)
	}
	return nil
}

func (d *directory) nats() string { return filepath.Join(d.path, "nats") }

func (d *directory) close() error {
	if d.temporary {
		return os.RemoveAll(d.path)
	}
	return d.lock.Unlock()
}
