package wire

import (
	"encoding/binary"

	"github.com/google/uuid"
	"github.com/millpondkv/millpond/kv"
	"github.com/oklog/ulid/v2"
)

// Found is what a reader knows of a database.
type Found struct {
	ID       string      // its UUID, lowercase and with hyphens
	Leader   ulid.ULID   // by the last epoch's record; zero: it has resigned
	Epoch    kv.Position // begun by that record
	Position kv.Position // the last that the reader has applied
}

// EncodeFind returns the question for a database.
func EncodeFind() []byte { return begin(kindFind, 0) }

// DecodeFind checks the question.
func DecodeFind(data []byte) error {
	d, err := decode(data, kindFind)
	if err != nil {
		return err
	}
	return d.end()
}

// EncodeFindReply returns the answer, or the error.
func EncodeFindReply(f Found, err error) []byte {
	b := begin(kindFindReply, 64)
	id, parseErr := uuid.Parse(f.ID)
	switch {
	case err != nil:
		return appendError(b, err)
	case parseErr != nil:
		return appendError(b, parseErr)
	}
	b = append(append(append(b, statusOK), id[:]...), f.Leader[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(f.Epoch))
	return binary.BigEndian.AppendUint64(b, uint64(f.Position))
}

// DecodeFindReply returns the answer, or the error that the reply carries.
func DecodeFindReply(data []byte) (f Found, err error) {
	d, err := decode(data, kindFindReply)
	if err != nil {
		return f, err
	}
	var carried error
	switch d.Byte() {
	case statusOK:
		f.ID = uuid.UUID(d.Take(len(uuid.UUID{}))).String()
		f.Leader = ulid.ULID(d.Take(len(f.Leader)))
		f.Epoch, f.Position = kv.Position(d.Uint64()), kv.Position(d.Uint64())
	case statusError:
		carried = d.error()
	default:
		d.Bad = true
	}
	if err := d.end(); err != nil {
		return Found{}, err
	}
	return f, carried
}
