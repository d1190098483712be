package v8

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"slices"
)

// Decode returns the value in data, which shares no memory with data. Bytes after the value are ignored, as V8 does.
func Decode(data []byte) (any, error) {
	version, err := readHeader(data)
	if err != nil {
		return nil, err
	}
	d := decoder{data: data, pos: 2, version: version}
	v, err := d.value()
	if err != nil {
		return nil, fmt.Errorf("decode V8 value at byte %d: %w", d.pos, err)
	}
	return v, nil
}

type decoder struct {
	data    []byte
	pos     int
	version byte
}

type formatError string

func (e formatError) Error() string { return string(e) }

const errCutOff = formatError("the value is cut off")

func (d *decoder) value() (any, error) {
	tag, err := d.tag()
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
	return nil, fmt.Errorf("unknown tag 0x%02x", tag)
}

func (d *decoder) tag() (byte, error) {
	for d.pos < len(d.data) {
		d.pos++
		if tag := d.data[d.pos-1]; tag != tagPadding {
			return tag, nil
		}
	}
	return 0, errCutOff
}

func (d *decoder) varint() (uint64, error) {
	n, size := binary.Uvarint(d.data[d.pos:])
	if size == 0 {
		return 0, errCutOff
	}
	if size < 0 {
		return 0, formatError("a number of more than 64 bits")
	}
	d.pos += size
	return n, nil
}

func (d *decoder) uint32() (uint32, error) {
	n, err := d.varint()
	if err == nil && n > math.MaxUint32 {
		err = formatError("a number of more than 32 bits where the format has 32")
	}
	return uint32(n), err
}

// bytes returns the next n bytes, still in data.
func (d *decoder) bytes(n uint64) ([]byte, error) {
	if n > uint64(len(d.data)-d.pos) {
		return nil, errCutOff
	}
	d.pos += int(n)
	return d.data[d.pos-int(n) : d.pos], nil
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
	f := math.Float64frombits(binary.LittleEndian.Uint64(b))
	if math.IsNaN(f) {
		f = math.NaN()
	}
	return f, nil
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
	magnitude := slices.Clone(b)
	slices.Reverse(magnitude)
	n := new(big.Int).SetBytes(magnitude)
	if bitfield&1 == 1 {
		n.Neg(n)
	}
	return n, nil
}

func (d *decoder) text(tag byte) (string, error) {
	n, err := d.varint()
	if err != nil {
		return "", err
	}
	b, err := d.bytes(n)
	if err != nil {
		return "", err
	}
	switch {
	case tag == tagLatin1:
		return fromLatin1(b), nil
	case tag == tagUTF8:
		return string([]rune(string(b))), nil // each byte that is not UTF-8 becomes U+FFFD
	case len(b)%2 == 1:
		return "", formatError("a two-byte string of an odd number of bytes")
	}
	return fromUTF16(b), nil
}
