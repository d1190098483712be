package wire

import (
	"encoding/binary"
	"math"

	"github.com/millpondkv/millpond/internal/codec"
	"github.com/millpondkv/millpond/kv"
)

// History asks a reader for something of the past.
type History struct {
	Least kv.Position // the reader must have the record at this position
	kv.HistoryRead
}

// Encode returns the message.
func (h *History) Encode() []byte {
	n := 96 + len(h.Start) + len(h.End)
	for _, key := range h.Keys {
		n += 3 + len(key)
	}
	b := binary.BigEndian.AppendUint64(begin(kindHistory, n), uint64(h.Least))
	b = appendMoment(appendMoment(append(b, byte(h.Kind)), h.From), h.To)
	b = binary.AppendUvarint(b, uint64(len(h.Keys)))
	for _, key := range h.Keys {
		b = codec.AppendBytes(b, key)
	}
	b = codec.AppendBytes(codec.AppendBytes(b, h.Start), h.End)
	if h.Reverse {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	return append(binary.AppendUvarint(b, uint64(h.Limit)), h.After[:]...)
}

// DecodeHistory reads the message. What it asks for need not be valid.
func DecodeHistory(data []byte) (h History, err error) {
	d, err := decode(data, kindHistory)
	if err != nil {
		return h, err
	}
	h.Least, h.Kind = kv.Position(d.Uint64()), kv.HistoryKind(d.Byte())
	h.From, h.To = d.moment(), d.moment()
	if n := d.Count(1, kv.MaxHistoryKeys); n > 0 {
		h.Keys = make([]kv.EncodedKey, n)
	}
	for i := range h.Keys {
		h.Keys[i] = d.Key()
	}
	h.Start, h.End = d.Key(), d.Key()
	reverse := d.Byte()
	d.Want(reverse <= 1)
	h.Reverse, h.Limit = reverse == 1, int(d.Uvarint(math.MaxInt32))
	h.After = d.versionstamp()
	return h, d.end()
}

// HistoryPart is what a reader sends for a History: the next part of the answer; or, if it is Alive, that the part of that number
// was sent and the next one is being made.
type HistoryPart struct {
	Number uint64 // from 1
	Alive  bool
	Last   bool // there is no other one
	kv.HistoryPart
}

// Encode returns the message.
func (p *HistoryPart) Encode() []byte {
	if p.Alive {
		return binary.BigEndian.AppendUint64(append(begin(kindHistoryPart, 16), statusAlive), p.Number)
	}
	b := append(begin(kindHistoryPart, p.size()), statusOK)
	b = binary.BigEndian.AppendUint64(b, p.Number)
	if p.Last {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	b = appendMoment(appendMoment(b, p.From), p.To)
	b = binary.AppendUvarint(b, uint64(len(p.Entries)))
	for i := range p.Entries {
		b = appendEntry(b, &p.Entries[i])
	}
	b = binary.AppendUvarint(b, uint64(len(p.Versions)))
	for i := range p.Versions {
		b = appendVersion(b, &p.Versions[i])
	}
	b = binary.AppendUvarint(b, uint64(len(p.Differences)))
	for i := range p.Differences {
		d := &p.Differences[i]
		b = codec.AppendBytes(b, d.Key)
		b = appendState(appendState(b, &d.Before), &d.After)
	}
	return b
}

// size returns about how long the part is as bytes.
func (p *HistoryPart) size() int {
	n := 96 + sizeOf([][]kv.Entry{p.Entries})
	for i := range p.Versions {
		n += 40 + len(p.Versions[i].Value.Data)
	}
	for i := range p.Differences {
		d := &p.Differences[i]
		n += 64 + len(d.Key) + len(d.Before.Value.Data) + len(d.After.Value.Data)
	}
	return n
}

// EncodeHistoryError returns the part that ends an answer.
func EncodeHistoryError(err error) []byte { return appendError(begin(kindHistoryPart, 64), err) }

// DecodeHistoryPart reads a part, or returns the error that it carries. The values share the memory of data.
func DecodeHistoryPart(data []byte) (p HistoryPart, err error) {
	d, err := decode(data, kindHistoryPart)
	if err != nil {
		return p, err
	}
	var carried error
	switch d.Byte() {
	case statusOK:
		p.Number = d.Uint64()
		last := d.Byte()
		d.Want(last <= 1)
		p.Last = last == 1
		p.From, p.To = d.moment(), d.moment()
		p.Entries = d.entries(maxMessage / 14)
		p.Versions = d.versions()
		p.Differences = d.differences()
	case statusAlive:
		p.Number, p.Alive = d.Uint64(), true
	case statusError:
		carried = d.error()
	default:
		d.Bad = true
	}
	if err := d.end(); err != nil {
		return HistoryPart{}, err
	}
	return p, carried
}

func appendMoment(b []byte, m kv.Moment) []byte {
	return binary.AppendUvarint(append(b, m.Versionstamp[:]...), uint64(m.Time))
}

func (d *decoder) moment() (m kv.Moment) {
	m.Versionstamp = d.versionstamp()
	m.Time = kv.Millis(d.Uvarint(math.MaxInt64))
	return m
}

func (d *decoder) versionstamp() kv.Versionstamp {
	return kv.Versionstamp(d.Take(len(kv.Versionstamp{})))
}

func appendVersion(b []byte, v *kv.Version) []byte {
	b = append(append(b, byte(v.State)), v.Versionstamp[:]...)
	b = binary.AppendUvarint(b, uint64(v.Time))
	if v.State != kv.VersionSet {
		return b
	}
	b = binary.AppendUvarint(append(b, byte(v.Value.Encoding)), uint64(v.ExpireAt))
	return codec.AppendBytes(b, v.Value.Data)
}

func (d *decoder) versions() (list []kv.Version) {
	const least = 12 // bytes of a version
	if n := d.Count(least, maxMessage/least); n > 0 {
		list = make([]kv.Version, n)
	}
	for i := range list {
		v := &list[i]
		v.State = kv.VersionState(d.Byte())
		d.Want(v.State >= kv.VersionSet && v.State <= kv.VersionExpired)
		v.Versionstamp, v.Time = d.versionstamp(), kv.Millis(d.Uvarint(math.MaxInt64))
		if v.State == kv.VersionSet {
			v.Value.Encoding, v.ExpireAt = kv.Encoding(d.Byte()), kv.Millis(d.Uvarint(math.MaxInt64))
			v.Value.Data = d.Bytes()
		}
	}
	return list
}

// appendState writes an entry without its key; one that is absent is a zero versionstamp.
func appendState(b []byte, e *kv.Entry) []byte {
	b = append(b, e.Versionstamp[:]...)
	if !e.Exists() {
		return b
	}
	b = binary.AppendUvarint(append(b, byte(e.Value.Encoding)), uint64(e.ExpireAt))
	return codec.AppendBytes(b, e.Value.Data)
}

func (d *decoder) state(key kv.EncodedKey) (e kv.Entry) {
	e.Versionstamp = d.versionstamp()
	if !e.Exists() {
		return kv.Entry{}
	}
	e.Key = key
	e.Value.Encoding, e.ExpireAt = kv.Encoding(d.Byte()), kv.Millis(d.Uvarint(math.MaxInt64))
	e.Value.Data = d.Bytes()
	return e
}

func (d *decoder) differences() (list []kv.Difference) {
	const least = 21 // bytes of a difference
	if n := d.Count(least, maxMessage/least); n > 0 {
		list = make([]kv.Difference, n)
	}
	for i := range list {
		key := d.Key()
		list[i] = kv.Difference{Key: key, Before: d.state(key), After: d.state(key)}
	}
	return list
}
