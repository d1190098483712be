package events

import (
	"fmt"
	"time"

	"github.com/millpondkv/millpond/internal/fault"
	"github.com/millpondkv/millpond/kv"
	"github.com/oklog/ulid/v2"
)

// Chain is how far a log has been read, and the rule of what counts. The zero Chain stands before the first record.
// Two chains at the same position of a log are equal.
type Chain struct {
	Applied kv.Position   // the last position read, whether its record counted or not
	Epoch   kv.Position   // the current epoch; 0 before the first
	Writer  ulid.ULID     // who began it; zero after a resignation and before the first epoch
	Lease   time.Duration // of that writer, as its epoch's record says; 0: it does not
	Counted kv.Position   // of the last record that counted
	Hash    Hash          // of that record
	Time    kv.Millis     // log time of that record
}

// Accept moves the chain on by one record and reports whether it counts.
//
// A record counts if it belongs to the current epoch and its previous hash is that of the last record that counted. A
// record of an older epoch is void for ever: its sequencer had been replaced when it was stored. So is an epoch record
// that does not continue the chain: its writer had not read to the end. So is a foreign message.
//
// Everything else is an error, and leaves the chain where it was: ErrGap if the record is not at the next position, ErrCopied if
// it continues the chain and is foreign, ErrDiverged if it continues another history than the one that was read.
func (c *Chain) Accept(s Sealed) (counts bool, err error) {
	r := s.Record
	if fault.Off("contiguity") && s.Position > c.Applied+1 {
		c.Applied, c.Hash = s.Position-1, r.Previous
	}
	if s.Position != c.Applied+1 {
		err := fmt.Errorf("%w: the last one read was at %d", ErrGap, c.Applied)
		return false, &RecordError{Position: s.Position, Err: err}
	}
	continues := r.Epoch == c.Epoch && r.Previous == c.Hash
	continues = continues || r.Epoch == c.Epoch && fault.Off("hash")
	switch {
	case s.Foreign && continues && r.Kind != KindForeign:
		return false, &RecordError{Position: s.Position, Err: ErrCopied}
	case s.Foreign:
		// void
	case continues && (r.Kind == KindEpoch || c.Epoch != 0):
		c.Counted, c.Hash = s.Position, s.Hash
		c.Time = max(c.Time, r.Time)
		if r.Kind == KindEpoch {
			c.Epoch, c.Writer, c.Lease = s.Position, r.Writer, r.Lease
		}
		counts = true
	case r.Epoch < c.Epoch || r.Epoch == c.Epoch && r.Kind == KindEpoch:
		counts = fault.Off("epoch") // void
	default:
		err := fmt.Errorf("%w: it belongs to epoch %d, which is %d here", ErrDiverged, r.Epoch, c.Epoch)
		return false, &RecordError{Position: s.Position, Err: err}
	}
	c.Applied = s.Position
	return counts, nil
}

// BeginAfter returns the chain at the start of a new log that continues the history of this one, as a restored database's
// does, and whose first record stands after last: no position of the two logs is the same. Nobody reigns there yet.
func (c Chain) BeginAfter(last kv.Position) Chain {
	c.Applied, c.Writer, c.Lease = last, ulid.ULID{}, 0
	return c
}
