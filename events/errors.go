package events

import (
	"errors"
	"fmt"

	"github.com/millpondkv/millpond/kv"
)

// What can be wrong with a message when it is read. Each stops whoever reads: nothing is ever skipped.
var (
	ErrCorrupt     = errors.New("the record is damaged")
	ErrNewerFormat = errors.New("the record is of a newer format; run a newer Millpond")
	ErrGap         = errors.New("records are missing")
	ErrTrimmed     = errors.New("the log was trimmed")
	ErrCopied      = fmt.Errorf("%w: it is a copy, as a mirror or source of a stream makes, without what tells records from other messages", ErrDiverged)
	ErrDiverged    = errors.New("the record does not continue the history that was read before it")
)

// RecordError names the place of a record that cannot be accepted.
type RecordError struct {
	Position kv.Position
	Err      error
}

func (e *RecordError) Error() string { return fmt.Sprintf("record %d: %v", e.Position, e.Err) }
func (e *RecordError) Unwrap() error { return e.Err }
