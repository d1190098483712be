package backup_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/millpondkv/millpond/backup"
	"github.com/millpondkv/millpond/backup/blobtest"
)

// memory is a Blob in memory that can crash: the operation that is counted down to does not happen, or happens and is not answered,
// and neither does any later one, until it is mended.
type memory struct {
	mu    sync.Mutex
	files map[string][]byte

	countdown int // of changes until the crash; negative: none
	keep      bool
	crashed   bool
	onCrash   func()
}

func newMemory() *memory { return &memory{files: map[string][]byte{}, countdown: -1} }

func TestBlob(t *testing.T) {
	t.Run("directory", func(t *testing.T) {
		blobtest.TestBlob(t, func(t *testing.T) backup.Blob { return backup.NewDirectory(t.TempDir()) })
	})
	t.Run("memory", func(t *testing.T) {
		blobtest.TestBlob(t, func(t *testing.T) backup.Blob { return newMemory() })
	})
}

var errCrash = errors.New("crash")

// change does f unless it is the one that is lost.
func (m *memory) change(f func() error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.crashed {
		return errCrash
	}
	if m.countdown == 0 {
		m.crashed = true
		if m.keep {
			f()
		}
		m.onCrash()
		return errCrash
	}
	m.countdown--
	return f()
}

// crashAfter has the operation crash that comes after n other changes.
func (m *memory) crashAfter(n int, keep bool, onCrash func()) {
	m.countdown, m.keep, m.onCrash = n, keep, onCrash
}

// mend reports whether there was a crash, and ends it.
func (m *memory) mend() (crashed bool) {
	crashed = m.crashed
	m.crashed, m.countdown = false, -1
	return crashed
}

func (m *memory) Put(_ context.Context, name string, r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	return m.change(func() error {
		if _, ok := m.files[name]; ok {
			return backup.ErrExists
		}
		m.files[name] = data
		return nil
	})
}

func (m *memory) Get(_ context.Context, name string) (io.ReadCloser, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	data, ok := m.files[name]
	switch {
	case m.crashed:
		return nil, errCrash
	case !ok:
		return nil, backup.ErrNotFound
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

func (m *memory) List(_ context.Context, prefix string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.crashed {
		return nil, errCrash
	}
	return slices.DeleteFunc(slices.Collect(maps.Keys(m.files)), func(name string) bool { return !strings.HasPrefix(name, prefix) }), nil
}

func (m *memory) Delete(_ context.Context, name string) error {
	return m.change(func() error { delete(m.files, name); return nil })
}

func (m *memory) String() string { return "memory" }
