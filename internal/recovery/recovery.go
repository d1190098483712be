// Package recovery puts backup together with what it works on: the logs of a cluster, data directories, projections.
package recovery

import (
	"crypto/rand"
	"io"
	"sync"

	"github.com/millpondkv/millpond/backup"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
	"github.com/oklog/ulid/v2"
)

// state makes a projection what backup restores with.
type state struct{ *projection.Projection }

func (s state) Count(now kv.Millis) (live, expired int) {
	s.View(func(v projection.View) {
		live, _ = v.Stats()
		expired = v.CountExpired(now)
	})
	return live - expired, expired
}

// ReadState is backup.Config.ReadState.
func ReadState(r io.Reader) (backup.State, string, error) {
	p, database, err := projection.ReadCheckpoint(r, projection.Options{})
	if err != nil {
		return nil, "", err
	}
	return state{p}, database, nil
}

// NewState returns the state before the first record of a log.
func NewState() backup.State { return state{projection.New(projection.Options{})} }

// NewID returns a function that returns ids, each larger than the ones before. It may be called from several goroutines.
func NewID() func() ulid.ULID {
	var mu sync.Mutex
	entropy := ulid.Monotonic(rand.Reader, 0)
	return func() ulid.ULID {
		mu.Lock()
		defer mu.Unlock()
		return ulid.MustNew(ulid.Now(), entropy)
	}
}
