package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/millpondkv/millpond/internal/ndjson"
	"github.com/millpondkv/millpond/internal/syncfile"
	"github.com/millpondkv/millpond/kv"
)

const partialSuffix = ".partial"

// exportFile is the file of an export. Until it is whole it has the name with partialSuffix, so that nobody takes a part for the
// whole; what is in there after a stop are whole lines, and perhaps a piece of one more.
type exportFile struct {
	*bufio.Writer
	file *os.File
	name string
	last kv.Key // of the last entry of an export that is resumed
}

// beginExport opens the partial file: a new one, or with resume that of an earlier export, cut behind its last whole line.
func beginExport(cmd *cobra.Command, name string, resume bool, sure *confirmation) (*exportFile, error) {
	if info, err := os.Stat(name); err == nil {
		if info.IsDir() {
			return nil, usagef("%s is a directory; name a file", name)
		}
		if err := sure.confirm(cmd, name+" is there and will be replaced"); err != nil {
			return nil, err
		}
	}
	mode := os.O_CREATE | os.O_EXCL
	if resume {
		mode = 0
	}
	f, err := os.OpenFile(name+partialSuffix, mode|os.O_RDWR, 0o600)
	switch {
	case errors.Is(err, os.ErrExist):
		return nil, usagef("%s is there: an earlier export was stopped; add --resume to go on with it, or delete it", name+partialSuffix)
	case errors.Is(err, os.ErrNotExist) && resume:
		return nil, usagef("there is no %s to go on with; export without --resume", name+partialSuffix)
	case err != nil:
		return nil, err
	}
	e := &exportFile{Writer: bufio.NewWriterSize(f, 1<<20), file: f, name: name}
	if err := e.seekEnd(); err != nil {
		return nil, errors.Join(fmt.Errorf("go on with %s: %w", e.partial(), err), f.Close())
	}
	return e, nil
}

// seekEnd cuts the file behind its last whole line.
func (e *exportFile) seekEnd() error {
	lines, end, last := bufio.NewReader(e.file), int64(0), ""
	for {
		line, err := lines.ReadString('\n')
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		end, last = end+int64(len(line)), line
	}
	if last != "" {
		entry, err := ndjson.Parse(strings.TrimSpace(last))
		if err != nil {
			return fmt.Errorf("its last line cannot be read: %w", err)
		}
		e.last = entry.Key
	}
	if err := e.file.Truncate(end); err != nil {
		return err
	}
	_, err := e.file.Seek(end, io.SeekStart)
	return err
}

func (e *exportFile) partial() string { return e.name + partialSuffix }

// finish syncs the file and gives it its name.
func (e *exportFile) finish() error {
	if err := errors.Join(e.Flush(), e.file.Sync(), e.Close()); err != nil {
		return err
	}
	return syncfile.Publish(e.partial(), e.name)
}

// discardEmpty deletes the partial file if nothing has been written to it, and reports whether it did.
func (e *exportFile) discardEmpty() bool {
	if err := e.Close(); err != nil {
		return false
	}
	info, err := os.Stat(e.partial())
	return err == nil && info.Size() == 0 && os.Remove(e.partial()) == nil
}

// Close writes what is left; after finish it does nothing.
func (e *exportFile) Close() error {
	err := errors.Join(e.Flush(), e.file.Close())
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}
