package service

import (
	"encoding/binary"
	"fmt"

	"github.com/millpondkv/millpond/kv"
)

// formatVersion is the first byte of every message. FORMAT.md lays the messages out.
const formatVersion = 1

// kind is the second byte of a message.
type kind byte

const (
	kindCommit      kind = 1
	kindCommitReply kind = 2
	kindIndex       kind = 3
	kindIndexReply  kind = 4
	kindHeartbeat   kind = 5
)

// maxMessage bounds what a field of a message may say that it is long, in bytes: NATS' own default for a message.
const maxMessage = 1 << 20

// begin returns the start of a message.
func begin(k kind) []byte { return []byte{formatVersion, byte(k)} }

func appendBytes[T ~string | ~[]byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// decoder reads from rest; after the first mistake it is bad and returns zeros.
type decoder struct {
	rest []byte
	bad  bool
}

// decode returns a decoder of what follows the start of a message of that kind.
func decode(data []byte, want kind) (*decoder, error) {
	switch {
	case len(data) < 2:
		return nil, kv.Invalidf("the message has %d bytes and is none of Millpond's", len(data))
	case data[0] != formatVersion:
		return nil, kv.Invalidf("the message has format %d and this process knows %d; run the same version of Millpond everywhere", data[0], formatVersion)
	case kind(data[1]) != want:
		return nil, kv.Invalidf("the message is of kind %d; %d is expected here", data[1], want)
	}
	return &decoder{rest: data[2:]}, nil
}

// end returns an error unless everything was read, without a mistake.
func (d *decoder) end() error {
	if d.bad || len(d.rest) > 0 {
		return fmt.Errorf("%w: the message does not decode", kv.ErrInvalid)
	}
	return nil
}

func (d *decoder) uvarint(most uint64) uint64 {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 || v > most || d.bad {
		d.bad = true
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

// count reads the length of a list whose items take at least size bytes each, so that a forged length allocates little.
func (d *decoder) count(size, most int) int {
	n := int(d.uvarint(uint64(most)))
	if n*size > len(d.rest) {
		d.bad = true
		return 0
	}
	return n
}

func (d *decoder) byte() byte { return d.take(1)[0] }

func (d *decoder) uint32() uint32 { return binary.BigEndian.Uint32(d.take(4)) }

func (d *decoder) uint64() uint64 { return binary.BigEndian.Uint64(d.take(8)) }

// bytes reads a length and so many bytes, which share the message's memory; nil if there are none.
func (d *decoder) bytes() []byte {
	if n := int(d.uvarint(maxMessage)); n > 0 {
		return d.take(n)
	}
	return nil
}

// take returns the next n bytes, or n zeros if there are fewer.
func (d *decoder) take(n int) []byte {
	if n > len(d.rest) || d.bad {
		d.bad = true
		return make([]byte, n)
	}
	taken := d.rest[:n:n]
	d.rest = d.rest[n:]
	return taken
}
