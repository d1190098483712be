// Package codec has the fields that records of the log and messages of the service are made of: what both write alike.
//
// Integers are big-endian, or uvarints as encoding/binary has them; bytes are a uvarint length and so many bytes.
package codec

import (
	"encoding/binary"
	"math"

	"github.com/millpondkv/millpond/kv"
)

// AppendBytes appends a length and s.
func AppendBytes[T ~string | ~[]byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// AppendEnqueue appends a message to be delivered.
func AppendEnqueue(b []byte, q *kv.Enqueue) []byte {
	b = AppendBytes(b, q.Payload)
	b = binary.AppendUvarint(b, uint64(q.Deadline))
	b = binary.AppendUvarint(b, uint64(len(q.KeysIfUndelivered)))
	for _, key := range q.KeysIfUndelivered {
		b = AppendBytes(b, key)
	}
	if q.BackoffSchedule == nil { // the default, told apart from no retries at all
		return binary.AppendUvarint(b, 0)
	}
	b = binary.AppendUvarint(b, uint64(len(q.BackoffSchedule))+1)
	for _, ms := range q.BackoffSchedule {
		b = binary.AppendUvarint(b, uint64(ms))
	}
	return b
}

// Decoder reads from Rest; after the first mistake it is Bad and returns zeros.
type Decoder struct {
	Rest []byte
	Most uint64 // bytes of one field, at most
	Bad  bool
}

// Done reports whether everything was read, without a mistake.
func (d *Decoder) Done() bool { return !d.Bad && len(d.Rest) == 0 }

// Want makes d bad unless ok is true.
func (d *Decoder) Want(ok bool) { d.Bad = d.Bad || !ok }

// Uvarint reads a number of at most most.
func (d *Decoder) Uvarint(most uint64) uint64 {
	v, n := binary.Uvarint(d.Rest)
	if n <= 0 || v > most || d.Bad {
		d.Bad = true
		return 0
	}
	d.Rest = d.Rest[n:]
	return v
}

// Count reads the length of a list whose items take at least size bytes each, so that a forged length allocates little.
func (d *Decoder) Count(size, most int) int {
	n := int(d.Uvarint(uint64(most)))
	if n*size > len(d.Rest) {
		d.Bad = true
		return 0
	}
	return n
}

// Byte reads one byte.
func (d *Decoder) Byte() byte { return d.Take(1)[0] }

// Uint16 reads two bytes.
func (d *Decoder) Uint16() uint16 { return binary.BigEndian.Uint16(d.Take(2)) }

// Uint32 reads four bytes.
func (d *Decoder) Uint32() uint32 { return binary.BigEndian.Uint32(d.Take(4)) }

// Uint64 reads eight bytes.
func (d *Decoder) Uint64() uint64 { return binary.BigEndian.Uint64(d.Take(8)) }

// Key reads bytes, which it copies.
func (d *Decoder) Key() kv.EncodedKey { return kv.EncodedKey(d.Bytes()) }

// Bytes reads a length and so many bytes, which share Rest's memory; nil if there are none.
func (d *Decoder) Bytes() []byte {
	if n := int(d.Uvarint(d.Most)); n > 0 {
		return d.Take(n)
	}
	return nil
}

// Take returns the next n bytes, or n zeros if there are fewer.
func (d *Decoder) Take(n int) []byte {
	if n > len(d.Rest) || d.Bad {
		d.Bad = true
		return make([]byte, n)
	}
	taken := d.Rest[:n:n]
	d.Rest = d.Rest[n:]
	return taken
}

// Enqueue reads what AppendEnqueue has written.
func (d *Decoder) Enqueue() (q kv.Enqueue) {
	q.Payload = d.Bytes()
	q.Deadline = kv.Millis(d.Uvarint(math.MaxInt64))
	if n := d.Count(1, kv.MaxUndeliveredKeys); n > 0 {
		q.KeysIfUndelivered = make([]kv.EncodedKey, n)
		for i := range q.KeysIfUndelivered {
			q.KeysIfUndelivered[i] = d.Key()
		}
	}
	if n := d.Uvarint(kv.MaxBackoffSteps + 1); n > 0 {
		q.BackoffSchedule = make([]uint32, n-1)
		for i := range q.BackoffSchedule {
			q.BackoffSchedule[i] = uint32(d.Uvarint(math.MaxUint32))
		}
	}
	return q
}
