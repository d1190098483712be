package wire

import (
	"encoding/binary"

	"github.com/millpondkv/millpond/kv"
)

// Index is what a strong read has to keep to; see writer.ReadIndex.
type Index struct {
	Position kv.Position
	Now      kv.Millis
}

// EncodeIndex returns a request for a read index.
func EncodeIndex() []byte { return begin(kindIndex, 0) }

// DecodeIndex checks a request for a read index.
func DecodeIndex(data []byte) error {
	d, err := decode(data, kindIndex)
	if err != nil {
		return err
	}
	return d.end()
}

// EncodeIndexReply returns the answer, or the error.
func EncodeIndexReply(index Index, err error) []byte {
	b := begin(kindIndexReply, 32)
	if err != nil {
		return appendError(b, err)
	}
	b = binary.BigEndian.AppendUint64(append(b, statusOK), uint64(index.Position))
	return binary.BigEndian.AppendUint64(b, uint64(index.Now))
}

// DecodeIndexReply returns the index, or the error that the reply carries.
func DecodeIndexReply(data []byte) (index Index, err error) {
	d, err := decode(data, kindIndexReply)
	if err != nil {
		return index, err
	}
	var carried error
	switch d.Byte() {
	case statusOK:
		index = Index{Position: kv.Position(d.Uint64()), Now: kv.Millis(d.Uint64())}
		d.Want(index.Position != 0 && index.Now >= 0)
	case statusError:
		carried = d.error()
	default:
		d.Bad = true
	}
	if err := d.end(); err != nil {
		return Index{}, err
	}
	return index, carried
}
