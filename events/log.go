package events

import (
	"context"
	"errors"

	"github.com/millpondkv/millpond/kv"
)

// ErrFenced says that a log did not take a record because it holds other records than the writer thought. It does not
// say that the record is not there: a server that has lost its peers answers from a frozen log, and a record that was
// sent twice is refused the second time.
var ErrFenced = errors.New("the log holds other records than expected")

// Append is a request to add one record.
type Append struct {
	Kind Kind // of the record, which decides its subject
	Data []byte
	Last kv.Position // the record must become the next one after this position
	// Of commits: the position of the last epoch record of the log, the epoch in which they were decided.
	Epoch kv.Position
}

// Log is a database's log. Its methods may be called from several goroutines.
type Log interface {
	// Append adds a record and returns its position, which is a.Last+1, once the log will keep it whatever process or
	// machine is lost. It blocks until then, or until ctx ends.
	//
	// After any error the outcome is unknown: the record may be in the log, or may appear there later, at that very
	// position. The error is ErrFenced if a server of the log refused it.
	Append(ctx context.Context, a Append) (kv.Position, error)

	// Read returns a reader of all messages from position from on, those yet to come included.
	Read(ctx context.Context, from kv.Position) (Reader, error)

	// Bounds returns the positions of the first and the last message that some server of the log knows of; last is
	// first-1 if there are none. Later ones may exist.
	Bounds(ctx context.Context) (first, last kv.Position, err error)
}

// Reader reads a log in the order of positions. It is for one goroutine.
type Reader interface {
	// Next blocks until there is a message, or ctx ends. Messages may be missing or damaged: whoever folds them checks.
	// The message's data is the caller's.
	Next(ctx context.Context) (Message, error)
	Close()
}
