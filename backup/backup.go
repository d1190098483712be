// Package backup keeps the history of a database outside of the servers that hold its log: archives that grow behind the log,
// and from which the database can be had again as it was at any of its commits.
//
// An archive is made of parts, which never change. A full part is a checkpoint of the whole state at a position. A segment
// is a piece of the log. FORMAT.md has the layout, and what a crash at any step leaves behind.
package backup

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"filippo.io/age"
	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
	"github.com/oklog/ulid/v2"
)

// ErrDamaged says that an archive does not have what was written to it.
var ErrDamaged = errors.New("the archive is damaged")

// ErrIncomplete says that an archive does not have what is asked for.
var ErrIncomplete = errors.New("the archive does not have that")

// Config is how an archive is used. Writers need Now and NewID; whoever restores or verifies needs ReadState.
type Config struct {
	Blob     Blob
	Database string // its name, which is where in the Blob the archive is

	Recipients []age.Recipient // new parts are encrypted to these; none: they are not encrypted
	Identities []age.Identity  // with which encrypted parts are read

	ReadState func(r io.Reader) (s State, database string, err error) // reads a checkpoint

	Now      func() time.Time
	NewID    func() ulid.ULID // ordered by time
	Logger   *slog.Logger
	Progress func(step string, bytes int64) // is told what has been read or written since it was told last; may be nil
}

// State is a database's state at a position. It is for one goroutine.
type State interface {
	// Apply folds in the records that come after the state's position. It fails with an error of events.
	Apply(records ...events.Sealed) error

	Chain() events.Chain

	// Count returns the number of entries that are live, and of those that have expired, at that time.
	Count(now kv.Millis) (live, expired int)

	// WriteCheckpoint writes the state for the database with that UUID. Equal states are written as equal bytes.
	WriteCheckpoint(ctx context.Context, w io.Writer, database string) (events.Chain, error)

	// BeginAfter moves the state on to a position after which another log begins: see events.Chain.
	BeginAfter(last kv.Position)

	Close() error
}

// Source is a database that is backed up.
type Source interface {
	ID() string // the database's UUID
	Bounds(ctx context.Context) (first, last kv.Position, err error)
	Read(ctx context.Context, from kv.Position) (events.Reader, error)

	// WriteCheckpoint writes the database's state, at a position that the log had reached when it was called or later, and
	// returns where that is. The log goes on meanwhile.
	WriteCheckpoint(ctx context.Context, w io.Writer) (events.Chain, error)
}

// Archive is the archive of one database. Its methods may be called from several goroutines.
type Archive struct{ Config }

// Open returns an archive, which need not exist yet.
func Open(c Config) *Archive {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Progress == nil {
		c.Progress = func(string, int64) {}
	}
	return &Archive{c}
}

// name returns the name in the Blob of something that belongs to this archive.
func (a *Archive) name(file string) string { return a.Database + "/" + file }
