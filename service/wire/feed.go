package wire

import (
	"encoding/binary"
	"math"

	"github.com/millpondkv/millpond/internal/codec"
	"github.com/millpondkv/millpond/kv"
)

// Feed asks a reader for the commits behind a place of the log, as they come.
type Feed struct {
	Least kv.Position // if Latest is asked for, the feed begins behind the record at this position, or later
	kv.Feed
}

// Encode returns the message.
func (f *Feed) Encode() []byte {
	b := binary.BigEndian.AppendUint64(begin(kindFeed, 32+len(f.Start)+len(f.End)), uint64(f.Least))
	if f.Latest {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	b = append(b, f.After[:]...)
	return codec.AppendBytes(codec.AppendBytes(b, f.Start), f.End)
}

// DecodeFeed reads the message. The range need not be valid.
func DecodeFeed(data []byte) (f Feed, err error) {
	d, err := decode(data, kindFeed)
	if err != nil {
		return f, err
	}
	f.Least = kv.Position(d.Uint64())
	latest := d.Byte()
	d.Want(latest <= 1)
	f.Latest = latest == 1
	f.After = kv.Versionstamp(d.Take(len(f.After)))
	f.Start, f.End = d.Key(), d.Key()
	return f, d.end()
}

// Piece is what a reader sends for a feed: what comes next of it; or, if it is Alive, that the piece of that number was sent.
type Piece struct {
	Number uint64 // from 1
	Alive  bool
	kv.Changes
}

// The first byte of an effect, as in a record of the log: 0 for a delete, otherwise the value's encoding, with a flag if there is an
// expiry.
const (
	effectDelete    = 0
	effectHasExpiry = 0x80
)

// Encode returns the message.
func (p *Piece) Encode() []byte {
	if p.Alive {
		return binary.BigEndian.AppendUint64(append(begin(kindPiece, 16), statusAlive), p.Number)
	}
	n := 64
	for i := range p.Commits {
		n += p.Commits[i].Size()
	}
	b := append(begin(kindPiece, n), statusOK)
	b = binary.BigEndian.AppendUint64(b, p.Number)
	b = append(b, p.Through[:]...)
	b = binary.AppendUvarint(b, uint64(len(p.Commits)))
	for i := range p.Commits {
		b = appendCommit(b, &p.Commits[i])
	}
	return b
}

func appendCommit(b []byte, c *kv.Commit) []byte {
	b = append(b, c.Versionstamp[:]...)
	b = binary.AppendUvarint(b, uint64(c.Time))
	b = binary.AppendUvarint(b, uint64(len(c.Effects)))
	for i := range c.Effects {
		b = appendEffect(b, &c.Effects[i])
	}
	return b
}

func appendEffect(b []byte, e *kv.Effect) []byte {
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

// EncodeFeedError returns the piece that ends a feed.
func EncodeFeedError(err error) []byte { return appendError(begin(kindPiece, 64), err) }

// DecodePiece reads a piece, or returns the error that it carries. The values share the memory of data.
func DecodePiece(data []byte) (p Piece, err error) {
	d, err := decode(data, kindPiece)
	if err != nil {
		return p, err
	}
	var carried error
	switch d.Byte() {
	case statusOK:
		p.Number = d.Uint64()
		p.Through = kv.Versionstamp(d.Take(len(p.Through)))
		p.Commits = d.commits()
	case statusAlive:
		p.Number, p.Alive = d.Uint64(), true
	case statusError:
		carried = d.error()
	default:
		d.Bad = true
	}
	if err := d.end(); err != nil {
		return Piece{}, err
	}
	return p, carried
}

func (d *decoder) commits() (list []kv.Commit) {
	const least, most = 14, maxMessage / 14 // bytes of a commit
	if n := d.Count(least, most); n > 0 {
		list = make([]kv.Commit, n)
	}
	for i := range list {
		c := &list[i]
		c.Versionstamp = kv.Versionstamp(d.Take(len(c.Versionstamp)))
		c.Time = kv.Millis(d.Uvarint(math.MaxInt64))
		c.Effects = make([]kv.Effect, d.Count(2, kv.MaxMutations))
		for j := range c.Effects {
			c.Effects[j] = d.effect()
		}
	}
	return list
}

func (d *decoder) effect() (e kv.Effect) {
	tag := d.Byte()
	e.Key = d.Key()
	if e.Delete = tag == effectDelete; e.Delete {
		return e
	}
	if tag&effectHasExpiry != 0 {
		e.ExpireAt = kv.Millis(d.Uvarint(math.MaxInt64))
		d.Want(e.ExpireAt != 0)
	}
	e.Value = kv.Value{Encoding: kv.Encoding(tag &^ effectHasExpiry), Data: d.Bytes()}
	return e
}
