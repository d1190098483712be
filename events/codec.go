package events

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"time"

	"github.com/millpondkv/millpond/internal/codec"
	"github.com/millpondkv/millpond/kv"
	"github.com/oklog/ulid/v2"
)

// The versions of the format. A record has the first one that can say what it says.
const (
	formatVersion = 1
	formatLease   = 2 // an epoch record with a lease
)

// headerSize is that of: version (1), kind (1), epoch (8), hash of the previous record (32), log time (8).
const headerSize = 50

const checksumSize = 4

// The first byte of an effect: 0 for a delete, otherwise the value's encoding, with a flag if there is an expiry.
const (
	effectDelete    = 0
	effectHasExpiry = 0x80
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Encode returns the record's bytes, as FORMAT.md lays them out.
func (r *Record) Encode() []byte {
	b := make([]byte, 0, r.EncodedSize())
	b = append(b, r.version(), byte(r.Kind))
	b = binary.BigEndian.AppendUint64(b, uint64(r.Epoch))
	b = append(b, r.Previous[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(r.Time))
	switch r.Kind {
	case KindEpoch:
		b = append(b, r.Writer[:]...)
		if r.Lease != 0 {
			b = binary.AppendUvarint(b, uint64(r.Lease.Milliseconds()))
		}
	case KindCommits:
		b = binary.AppendUvarint(b, uint64(len(r.Commits)))
		for i := range r.Commits {
			b = appendCommit(b, &r.Commits[i])
		}
	}
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func (r *Record) version() byte {
	if r.Kind == KindEpoch && r.Lease != 0 {
		return formatLease
	}
	return formatVersion
}

func appendCommit(b []byte, c *Commit) []byte {
	b = append(b, c.ID[:]...)
	b = binary.AppendUvarint(b, uint64(len(c.Effects)))
	for i := range c.Effects {
		b = appendEffect(b, &c.Effects[i])
	}
	b = binary.AppendUvarint(b, uint64(len(c.Enqueues)))
	for i := range c.Enqueues {
		b = codec.AppendEnqueue(b, &c.Enqueues[i])
	}
	return b
}

func appendEffect(b []byte, e *Effect) []byte {
	if e.Delete {
		return codec.AppendBytes(append(b, effectDelete), e.Key)
	}
	tag := byte(e.Value.Encoding)
	if e.ExpireAt != 0 {
		tag |= effectHasExpiry
	}
	b = codec.AppendBytes(append(b, tag), e.Key)
	if e.ExpireAt != 0 {
		b = binary.AppendUvarint(b, uint64(e.ExpireAt))
	}
	return codec.AppendBytes(b, e.Value.Data)
}

// EncodedSize returns an upper bound of len(r.Encode()), a few bytes an item too high at most.
func (r *Record) EncodedSize() int {
	n := headerSize + checksumSize + binary.MaxVarintLen64 + len(ulid.ULID{}) + binary.MaxVarintLen64
	for i := range r.Commits {
		n += r.Commits[i].EncodedSize()
	}
	return n
}

// EncodedSize returns an upper bound of what the commit takes in a record, in bytes.
func (c *Commit) EncodedSize() int {
	const length = 3 // uvarint of up to 2^21
	n := len(c.ID) + 2*length
	for i := range c.Effects {
		e := &c.Effects[i]
		n += 1 + length + len(e.Key) + binary.MaxVarintLen64 + length + len(e.Value.Data)
	}
	for i := range c.Enqueues {
		q := &c.Enqueues[i]
		n += length + len(q.Payload) + binary.MaxVarintLen64 + 2*length + 5*len(q.BackoffSchedule)
		for _, k := range q.KeysIfUndelivered {
			n += length + len(k)
		}
	}
	return n
}

// Decode reads a record. Values share data's memory. It fails with ErrCorrupt if data was not made by Encode, and with
// ErrNewerFormat if a later version made it.
func Decode(data []byte) (*Record, error) {
	if len(data) < headerSize+checksumSize {
		return nil, fmt.Errorf("%w: it has %d bytes, at least %d are needed", ErrCorrupt, len(data), headerSize+checksumSize)
	}
	body, sum := data[:len(data)-checksumSize], data[len(data)-checksumSize:]
	if crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(sum) {
		return nil, fmt.Errorf("%w: its checksum does not match", ErrCorrupt)
	}
	version := body[0]
	if version != formatVersion && version != formatLease {
		return nil, fmt.Errorf("%w (it has format %d, this one knows up to %d)", ErrNewerFormat, version, formatLease)
	}
	r := &Record{
		Kind:     Kind(body[1]),
		Epoch:    kv.Position(binary.BigEndian.Uint64(body[2:])),
		Previous: Hash(body[10:42]),
		Time:     kv.Millis(binary.BigEndian.Uint64(body[42:])),
	}
	d := decoder{codec.Decoder{Rest: body[headerSize:], Most: MaxRecordSize}}
	switch r.Kind {
	case KindEpoch:
		r.Writer = ulid.ULID(d.Take(len(r.Writer)))
		if version == formatLease {
			r.Lease = time.Duration(d.Uvarint(uint64(MaxLease.Milliseconds()))) * time.Millisecond
		}
	case KindCommits:
		r.Commits = d.commits()
	default:
		return nil, fmt.Errorf("%w (its kind %d is unknown)", ErrNewerFormat, r.Kind)
	}
	d.Want(version == r.version())
	if !d.Done() || r.Time < 0 {
		return nil, fmt.Errorf("%w: its contents do not decode", ErrCorrupt)
	}
	return r, nil
}

// decoder reads the contents of a record.
type decoder struct{ codec.Decoder }

func (d *decoder) commits() []Commit {
	list := make([]Commit, d.Count(len(ulid.ULID{})+2, MaxCommits))
	for i := range list {
		c := &list[i]
		c.ID = ulid.ULID(d.Take(len(c.ID)))
		c.Effects = make([]Effect, d.Count(2, kv.MaxMutations))
		for j := range c.Effects {
			c.Effects[j] = d.effect()
		}
		if n := d.Count(4, kv.MaxMutations); n > 0 {
			c.Enqueues = make([]kv.Enqueue, n)
			for j := range c.Enqueues {
				c.Enqueues[j] = d.Enqueue()
			}
		}
	}
	return list
}

func (d *decoder) effect() (e Effect) {
	tag := d.Byte()
	e.Key = d.Key()
	if tag == effectDelete {
		e.Delete = true
		return e
	}
	if tag&effectHasExpiry != 0 {
		e.ExpireAt = kv.Millis(d.Uvarint(math.MaxInt64))
		d.Want(e.ExpireAt != 0)
	}
	e.Value = kv.Value{Encoding: kv.Encoding(tag &^ effectHasExpiry), Data: d.Bytes()}
	d.Want(e.Value.Encoding >= kv.EncodingV8 && e.Value.Encoding <= kv.EncodingBytes)
	return e
}
