package wire

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/millpondkv/millpond/kv"
	"github.com/oklog/ulid/v2"
)

// StaleError refuses a request that was meant for the leader of an earlier epoch; who leads now says so. It is kv.ErrUnknownOutcome,
// for that leader may have got the request as well, and have committed it in time. It is safe to ask the leader that is named.
type StaleError struct {
	Leader   ulid.ULID
	Epoch    kv.Position
	Position kv.Position // the last that the leader has applied
}

func (e *StaleError) Error() string {
	return fmt.Sprintf("the writer that was asked leads no more: epoch %d has begun; it is not known whether that writer had decided the request, so ask the leader again", e.Epoch)
}

// Unwrap implements the interface of package errors.
func (e *StaleError) Unwrap() error { return kv.ErrUnknownOutcome }

// kindStale is the number of a StaleError in a message, beside those of errorKinds.
const kindStale = 255

// appendStale writes err if it is a StaleError, and reports whether it is.
func appendStale(b []byte, err error) ([]byte, bool) {
	var stale *StaleError
	if !errors.As(err, &stale) {
		return b, false
	}
	b = append(append(b, statusError, kindStale), stale.Leader[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(stale.Epoch))
	return binary.BigEndian.AppendUint64(b, uint64(stale.Position)), true
}

func (d *decoder) stale() error {
	e := &StaleError{Leader: ulid.ULID(d.Take(len(ulid.ULID{}))), Epoch: kv.Position(d.Uint64()), Position: kv.Position(d.Uint64())}
	d.Want(!e.Leader.IsZero() && e.Epoch != 0)
	return e
}
