package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/millpondkv/millpond/internal/syncfile"
)

// Directory is a Blob in a directory of the file system. Names become files, readable by the owner only.
type Directory struct{ root string }

// asidePrefix begins the names of files that are being written, or were when the process ended.
const asidePrefix = ".unfinished-"

// NewDirectory returns the Blob in root, which is made when something is put there.
func NewDirectory(root string) *Directory { return &Directory{root: root} }

func (d *Directory) String() string { return d.root }

func (d *Directory) path(name string) string { return filepath.Join(d.root, filepath.FromSlash(name)) }

// Put implements Blob. The file is written aside, synced, and linked to its name: a crash leaves a file that List does not
// tell, and Clear removes.
func (d *Directory) Put(ctx context.Context, name string, r io.Reader) error {
	path := d.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("store %s: %w", name, err)
	}
	file, err := os.CreateTemp(filepath.Dir(path), asidePrefix+"*")
	if err != nil {
		return fmt.Errorf("store %s: %w", name, err)
	}
	defer os.Remove(file.Name())
	_, err = io.Copy(file, contextReader{ctx, r})
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("store %s: %w", name, err)
	}
	if err := os.Link(file.Name(), path); errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("store %s: %w", name, ErrExists)
	} else if err != nil {
		return fmt.Errorf("store %s: %w", name, err)
	}
	return syncfile.SyncDir(filepath.Dir(path))
}

// contextReader ends with its context.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(b)
}

// Get implements Blob.
func (d *Directory) Get(_ context.Context, name string) (io.ReadCloser, error) {
	file, err := os.Open(d.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read %s: %w", name, ErrNotFound)
	}
	return file, err
}

// List implements Blob.
func (d *Directory) List(ctx context.Context, prefix string) (names []string, err error) {
	err = filepath.WalkDir(d.root, func(path string, e fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case e.IsDir() || strings.HasPrefix(e.Name(), asidePrefix):
			return ctx.Err()
		}
		name, err := filepath.Rel(d.root, path)
		if name = filepath.ToSlash(name); strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", d.root, err)
	}
	return names, nil
}

// Delete implements Blob.
func (d *Directory) Delete(_ context.Context, name string) error {
	if err := os.Remove(d.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete %s: %w", name, err)
	}
	return nil
}

// Clear deletes the files that Put had not finished, and that nobody has written to since then.
func (d *Directory) Clear(ctx context.Context, since time.Time) error {
	err := filepath.WalkDir(d.root, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || e.IsDir() || !strings.HasPrefix(e.Name(), asidePrefix) {
			return errors.Join(err, ctx.Err())
		}
		info, err := e.Info()
		if err != nil || info.ModTime().After(since) {
			return nil // it was finished meanwhile, or is being written
		}
		return os.Remove(path)
	})
	if err != nil {
		return fmt.Errorf("clear %s: %w", d.root, err)
	}
	return nil
}
