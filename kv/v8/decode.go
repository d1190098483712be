package v8

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"slices"
)

// Decode returns the value in data, as the package comment lists them. The value shares no memory with data. An object
// that occurs twice is the same pointer twice, so the value can contain itself.
//
// Decode reads what V8 reads and refuses what V8 refuses, save that it compiles no regular expressions. Bytes after the
// value are ignored, as V8 does. The memory it takes is at most proportional to len(data). It fails on values nested more
// than 10,000 deep, and on what cannot be stored in Deno KV or be read outside its process, such as a SharedArrayBuffer;
// who must not lose such a value keeps the bytes. A value with a host object of a class that neither Deno nor Node has
// is an *Opaque.
func Decode(data []byte) (any, error) {
	v, d, err := decode(data)
	if d.strange {
		return &Opaque{Data: bytes.Clone(data)}, nil
	}
	return v, err
}

// decode is Decode that also returns its decoder, after the value, and fails where Decode returns an *Opaque.
func decode(data []byte) (any, decoder, error) {
	version, err := readHeader(data)
	if err != nil {
		return nil, decoder{}, err
	}
	d := decoder{data: data, pos: 2, version: version}
	v, err := d.value()
	if err != nil && version == 13 {
		// V8 9.8 wrote flags of views in version 13 (crbug.com/1284506); V8 tries both readings too.
		again := decoder{data: data, pos: 2, version: 14}
		if v, againErr := again.value(); againErr == nil {
			return v, again, nil
		}
		d.strange = d.strange || again.strange
	}
	if err != nil {
		return nil, d, fmt.Errorf("decode V8 value at byte %d: %w", d.pos, err)
	}
	return v, d, nil
}

type decoder struct {
	data    []byte
	pos     int // of the next byte to read
	version byte
	depth   int
	objects []any  // by the number that references use
	ascii   string // a copy of data that strings are cut from, if data is short
	foreign bool   // the value has a part that not every engine reads; see Portable
	strange bool   // the value has a host object that only its writer can read; see Opaque
}

// maxShared is the size of values whose strings share one copy of the bytes, which spares most allocations. A string that
// outlives the rest of a longer value would hold on to too much.
const maxShared = 4096

type formatError string

func (e formatError) Error() string { return string(e) }

const (
	errCutOff  = formatError("the value is cut off")
	errTooDeep = formatError("the value is nested more than 10000 deep")

	errCycle    = formatError("the value contains itself, which only Encode and Decode can keep")
	errExpanded = formatError("the value has shared objects that take more than 4 MiB if each is read where it is; use Decode")
)

func (d *decoder) value() (any, error) {
	tag, err := d.tag()
	if err != nil {
		return nil, err
	}
	return d.tagged(tag)
}

func (d *decoder) tagged(tag byte) (any, error) {
	tag, err := d.skipCount(tag)
	if err != nil {
		return nil, err
	}
	switch tag {
	case tagUndefined:
		return Undefined, nil
	case tagNull:
		return nil, nil
	case tagTrue:
		return true, nil
	case tagFalse:
		return false, nil
	case tagInt32, tagUint32, tagDouble:
		return d.number(tag)
	case tagBigint:
		return d.bigint()
	case tagLatin1, tagUTF16, tagUTF8:
		return d.text(tag)
	}
	d.depth++
	if d.depth > maxDepth {
		return nil, errTooDeep
	}
	v, err := d.object(tag)
	d.depth--
	return v, err
}

// tag returns the next tag that is not padding.
func (d *decoder) tag() (byte, error) {
	for d.pos < len(d.data) {
		d.pos++
		if tag := d.data[d.pos-1]; tag != tagPadding {
			return tag, nil
		}
	}
	return 0, errCutOff
}

// skipCount returns the next tag that is no count of objects, which may stand before any value and says nothing.
func (d *decoder) skipCount(tag byte) (byte, error) {
	for tag == tagObjectCount {
		if _, err := d.uint32(); err != nil {
			return 0, err
		}
		var err error
		if tag, err = d.tag(); err != nil {
			return 0, err
		}
	}
	return tag, nil
}

// varint reads a length of bytes, which has 64 bits since version 16.
func (d *decoder) varint() (uint64, error) {
	if d.version < 16 {
		n, err := d.uint32()
		return uint64(n), err
	}
	return d.uint64()
}

func (d *decoder) uint64() (uint64, error) {
	n, size := binary.Uvarint(d.data[d.pos:])
	if size == 0 {
		return 0, errCutOff
	}
	if size < 0 {
		return 0, formatError("a length of more than 64 bits")
	}
	d.pos += size
	return n, nil
}

// uint32 reads a varint of 32 bits. Like V8 it drops the bits beyond and stops after five bytes, save at the end of data.
func (d *decoder) uint32() (uint32, error) {
	var n uint32
	for i, b := range d.data[d.pos:] {
		n |= uint32(b&0x7f) << (7 * i)
		if b < 0x80 || i == 4 && d.pos+5 < len(d.data) {
			d.pos += i + 1
			return n, nil
		}
	}
	return 0, errCutOff
}

// bytes returns the next n bytes, still in data.
func (d *decoder) bytes(n uint64) ([]byte, error) {
	if n > uint64(len(d.data)-d.pos) {
		return nil, errCutOff
	}
	d.pos += int(n)
	return d.data[d.pos-int(n) : d.pos], nil
}

// sized returns as many of the next bytes as a varint before them says, still in data.
func (d *decoder) sized() ([]byte, error) {
	n, err := d.varint()
	if err != nil {
		return nil, err
	}
	return d.bytes(n)
}

func (d *decoder) number(tag byte) (float64, error) {
	if tag == tagDouble {
		return d.double()
	}
	n, err := d.uint32()
	if tag == tagUint32 {
		return float64(n), err
	}
	return float64(int32(n>>1) ^ -int32(n&1)), err
}

func (d *decoder) double() (float64, error) {
	b, err := d.bytes(8)
	if err != nil {
		return 0, err
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(b)), nil
}

func (d *decoder) bigint() (*big.Int, error) {
	bitfield, err := d.uint32()
	if err != nil {
		return nil, err
	}
	b, err := d.bytes(uint64(bitfield >> 1))
	if err != nil {
		return nil, err
	}
	if bitfield == 1 {
		return nil, formatError("a negative bigint without digits")
	}
	magnitude := slices.Clone(b)
	slices.Reverse(magnitude)
	n := new(big.Int).SetBytes(magnitude)
	if bitfield&1 == 1 {
		n.Neg(n)
	}
	return n, nil
}

// text reads a string after its tag.
func (d *decoder) text(tag byte) (string, error) {
	if tag != tagLatin1 && tag != tagUTF16 && tag != tagUTF8 {
		return "", fmt.Errorf("the tag 0x%02x where a string should be", tag)
	}
	b, err := d.sized()
	switch {
	case err != nil:
		return "", err
	case tag == tagLatin1:
		return d.latin1(b), nil
	case tag == tagUTF8:
		return fromUTF8(b), nil
	case len(b)%2 == 1:
		return "", formatError("a two-byte string of an odd number of bytes")
	}
	return fromUTF16(b), nil
}

// latin1 returns the string whose units are the bytes of b, which end at d.pos.
func (d *decoder) latin1(b []byte) string {
	if len(d.data) > maxShared || !isASCII(b) {
		return fromLatin1(b)
	}
	if d.ascii == "" {
		d.ascii = string(d.data)
	}
	return d.ascii[d.pos-len(b) : d.pos]
}

// taggedText reads a string with its tag.
func (d *decoder) taggedText() (string, error) {
	tag, err := d.tag()
	if err != nil {
		return "", err
	}
	return d.text(tag)
}
