package wire

import (
	"encoding/binary"
	"math"

	"github.com/millpondkv/millpond/internal/codec"
	"github.com/millpondkv/millpond/kv"
	"github.com/oklog/ulid/v2"
)

// Reads asks a reader for entries: all of its requests are answered from one snapshot.
type Reads struct {
	Mode     ReadMode
	Leader   ulid.ULID   // of ReadIndexed
	Least    kv.Position // the snapshot must have the record at this position
	Requests [][]byte    // each as EncodeRanges has it
}

// ReadMode is what a read must see, and by which clock it hides what has expired.
type ReadMode byte

const (
	// ReadStrong sees every commit that was answered before, and goes by the leader's clock.
	ReadStrong ReadMode = iota
	// ReadEventual sees what the reader has, and goes by its clock.
	ReadEventual
	// ReadIndexed sees what the reader has, and goes by the log alone: who asks has a read index of its own, or will have, and hides
	// what has expired since. Only a reader by whose log Leader leads answers it.
	ReadIndexed
)

// MaxEntries bounds the sum of the limits in one message, so that a message of many requests asks for no more than a single
// one may.
const MaxEntries = kv.MaxReadEntries

// The flags of a range.
const (
	rangeReverse  = 1
	rangeOneKey   = 2 // the end and the limit are left out
	rangeKeysOnly = 4 // the entries come without values
)

// EncodeRanges returns the ranges of one request as a member of a message.
func EncodeRanges(ranges []kv.Range) []byte {
	n := binary.MaxVarintLen16
	for i := range ranges {
		n += 1 + 2*len(ranges[i].Start) + len(ranges[i].End) + 3*binary.MaxVarintLen32
	}
	b := binary.AppendUvarint(make([]byte, 0, n), uint64(len(ranges)))
	for _, r := range ranges {
		var flags byte
		if r.Reverse {
			flags |= rangeReverse
		}
		if r.KeysOnly {
			flags |= rangeKeysOnly
		}
		if r.Limit == 1 && r.End == r.Start+"\x00" {
			b = codec.AppendBytes(append(b, flags|rangeOneKey), r.Start)
			continue
		}
		b = codec.AppendBytes(codec.AppendBytes(append(b, flags), r.Start), r.End)
		b = binary.AppendUvarint(b, uint64(max(r.Limit, 0)))
	}
	return b
}

// DecodeRanges reads a member of up to MaxEntries ranges. The ranges need not be valid.
func DecodeRanges(member []byte) ([]kv.Range, error) {
	d := newDecoder(member)
	ranges := make([]kv.Range, d.Count(2, MaxEntries))
	for i := range ranges {
		r := &ranges[i]
		flags := d.Byte()
		d.Want(flags <= rangeReverse|rangeOneKey|rangeKeysOnly)
		r.Reverse, r.KeysOnly = flags&rangeReverse != 0, flags&rangeKeysOnly != 0
		r.Start = d.Key()
		if flags&rangeOneKey != 0 {
			r.End, r.Limit = r.Start+"\x00", 1
			continue
		}
		r.End, r.Limit = d.Key(), int(d.Uvarint(math.MaxInt32))
	}
	return ranges, d.end()
}

// Encode returns the message.
func (r *Reads) Encode() []byte {
	b := append(begin(kindReads, 32+room(r.Requests)), byte(r.Mode))
	if r.Mode == ReadIndexed {
		b = append(b, r.Leader[:]...)
	}
	return appendMembers(binary.BigEndian.AppendUint64(b, uint64(r.Least)), r.Requests)
}

// DecodeReads reads the message.
func DecodeReads(data []byte) (*Reads, error) {
	d, err := decode(data, kindReads)
	if err != nil {
		return nil, err
	}
	r := &Reads{Mode: ReadMode(d.Byte())}
	d.Want(r.Mode <= ReadIndexed)
	if r.Mode == ReadIndexed {
		r.Leader = ulid.ULID(d.Take(len(r.Leader)))
	}
	r.Least = kv.Position(d.Uint64())
	r.Requests = d.members()
	return r, d.end()
}

// ReadReply is the answer to one request of Reads.
type ReadReply struct {
	Ranges [][]kv.Entry // one list for each range
	Err    error        // why there are none
}

// EncodeReadReplies returns the body of the reply to Reads, which goes into Split: the position of the snapshot and a reply to
// each request in their order.
func EncodeReadReplies(position kv.Position, replies []ReadReply) []byte {
	n := 32
	for i := range replies {
		n += 8 + sizeOf(replies[i].Ranges)
	}
	b := binary.BigEndian.AppendUint64(append(make([]byte, 0, n), statusOK), uint64(position))
	b = binary.AppendUvarint(b, uint64(len(replies)))
	for i := range replies {
		at := len(b)
		b = appendReadReply(append(b, 0, 0, 0, 0), &replies[i])
		binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4))
	}
	return b
}

// EncodeReadRefusal returns the body of the reply to Reads that cannot be answered.
func EncodeReadRefusal(err error) []byte { return appendError(nil, err) }

// sizeOf returns about how long the entries are as bytes.
func sizeOf(ranges [][]kv.Entry) (n int) {
	for _, entries := range ranges {
		n += 3
		for i := range entries {
			n += 30 + len(entries[i].Key) + len(entries[i].Value.Data)
		}
	}
	return n
}

func appendReadReply(b []byte, r *ReadReply) []byte {
	if r.Err != nil {
		return appendError(b, r.Err)
	}
	b = binary.AppendUvarint(append(b, statusOK), uint64(len(r.Ranges)))
	for _, entries := range r.Ranges {
		b = binary.AppendUvarint(b, uint64(len(entries)))
		for i := range entries {
			b = appendEntry(b, &entries[i])
		}
	}
	return b
}

func appendEntry(b []byte, e *kv.Entry) []byte {
	b = append(codec.AppendBytes(b, e.Key), e.Versionstamp[:]...)
	b = binary.AppendUvarint(append(b, byte(e.Value.Encoding)), uint64(e.ExpireAt))
	return codec.AppendBytes(b, e.Value.Data)
}

// DecodeReadReplies returns the position of the snapshot and the replies to so many requests, each for DecodeReadReply; or the
// error that they all have.
func DecodeReadReplies(body []byte, requests int) (position kv.Position, members [][]byte, err error) {
	d := newDecoder(body)
	var carried error
	switch d.Byte() {
	case statusOK:
		position = kv.Position(d.Uint64())
		members = make([][]byte, d.Count(4, MaxRequests))
		d.Want(len(members) == requests)
		for i := range members {
			members[i] = d.Take(min(int(d.Uint32()), len(d.Rest)+1))
		}
	case statusError:
		carried = d.error()
	default:
		d.Bad = true
	}
	if err := d.end(); err != nil {
		return 0, nil, err
	}
	return position, members, carried
}

// DecodeReadReply returns the entries of so many ranges, or the error that the reply carries. The entries' data shares the
// memory of member.
func DecodeReadReply(member []byte, ranges int) (results [][]kv.Entry, err error) {
	d := newDecoder(member)
	var carried error
	switch d.Byte() {
	case statusOK:
		results = make([][]kv.Entry, d.Count(1, MaxEntries))
		d.Want(len(results) == ranges)
		for i := range results {
			results[i] = d.entries(kv.MaxReadEntries)
		}
	case statusError:
		carried = d.error()
	default:
		d.Bad = true
	}
	if err := d.end(); err != nil {
		return nil, err
	}
	return results, carried
}

func (d *decoder) entries(most int) (list []kv.Entry) {
	const least = 14 // bytes of an entry
	if n := d.Count(least, most); n > 0 {
		list = make([]kv.Entry, n)
	}
	for i := range list {
		list[i] = d.entry()
	}
	return list
}

func (d *decoder) entry() (e kv.Entry) {
	e.Key = d.Key()
	e.Versionstamp = kv.Versionstamp(d.Take(len(e.Versionstamp)))
	e.Value.Encoding = kv.Encoding(d.Byte())
	e.ExpireAt = kv.Millis(d.Uvarint(math.MaxInt64))
	e.Value.Data = d.Bytes()
	return e
}
