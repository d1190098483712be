package v8

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"slices"
)

// Encode returns v in format version 15, which Deno and Node 18 and later read. It takes the values that Decode returns,
// and fails on any other Go type, on strings that are not UTF-8 (or WTF-8, see the package comment), on values nested more
// than 10,000 deep, and on objects that contradict themselves, so that what it writes is always readable. Objects that
// occur several times, by their pointer, are written once. An *Opaque keeps the version that it has.
func Encode(v any) ([]byte, error) {
	e := encoder{buf: make([]byte, 0, 64)}
	e.buf = append(e.buf, headerMark, writeFormat)
	if err := e.whole(v); err != nil {
		return nil, fmt.Errorf("encode V8 value: %w", err)
	}
	return e.buf, nil
}

type encoder struct {
	buf     []byte
	depth   int
	count   uint64         // of the objects so far
	objects map[any]uint64 // pointer to number
	expands int            // the bytes up to which shared objects are written once more each time; 0: references are written
}

// whole writes a value that is part of no other.
func (e *encoder) whole(v any) error {
	o, ok := v.(*Opaque)
	if !ok {
		return e.value(v)
	}
	var err error
	e.buf, err = o.written()
	return err
}

func (e *encoder) value(v any) error {
	switch v := v.(type) {
	case UndefinedType:
		e.tag(tagUndefined)
	case nil:
		e.tag(tagNull)
	case bool:
		e.bool(v)
	case float64:
		e.number(v)
	case *big.Int:
		return e.bigint(tagBigint, v)
	case string:
		return e.text(v)
	default:
		e.depth++
		if e.depth > maxDepth {
			return errTooDeep
		}
		err := e.object(v)
		e.depth--
		return err
	}
	return nil
}

func (e *encoder) tag(tag byte) { e.buf = append(e.buf, tag) }

func (e *encoder) bool(b bool) {
	if b {
		e.tag(tagTrue)
	} else {
		e.tag(tagFalse)
	}
}

func (e *encoder) varint(n uint64) { e.buf = binary.AppendUvarint(e.buf, n) }

// number writes integers that fit in 32 bits as V8 does, shorter than a double.
func (e *encoder) number(f float64) {
	if n := int32(f); float64(n) == f && (n != 0 || !math.Signbit(f)) {
		e.tag(tagInt32)
		e.varint(uint64(uint32(n<<1) ^ uint32(n>>31)))
		return
	}
	e.tag(tagDouble)
	e.double(f)
}

func (e *encoder) double(f float64) {
	e.buf = binary.LittleEndian.AppendUint64(e.buf, doubleBits(f))
}

// doubleBits returns the bits of f, for every NaN those that V8 writes; Go's own NaN has others.
func doubleBits(f float64) uint64 {
	if math.IsNaN(f) {
		return 0x7ff8_0000_0000_0000
	}
	return math.Float64bits(f)
}

// bigint writes whole digits of 64 bits, as V8 does.
func (e *encoder) bigint(tag byte, n *big.Int) error {
	if n == nil {
		return formatError("a nil *big.Int")
	}
	size := (n.BitLen() + 63) / 64 * 8
	if size > maxBigintBytes {
		return fmt.Errorf("a bigint of %d bytes; V8 has at most %d", size, maxBigintBytes)
	}
	bitfield := uint64(size) << 1
	if n.Sign() < 0 {
		bitfield |= 1
	}
	e.tag(tag)
	e.varint(bitfield)
	magnitude := n.FillBytes(make([]byte, size))
	slices.Reverse(magnitude)
	e.buf = append(e.buf, magnitude...)
	return nil
}

func (e *encoder) text(s string) error {
	units, latin1, ok := measure(s)
	if !ok {
		return formatError("a string that is not UTF-8; use a Uint8Array for bytes")
	}
	if latin1 {
		e.tag(tagLatin1)
		e.varint(uint64(units))
		e.buf = appendLatin1(e.buf, s, units)
		return nil
	}
	size := uint64(units) * 2
	if start := len(e.buf) + 1 + varintSize(size); start%2 == 1 { // V8 reads the units in place
		e.tag(tagPadding)
	}
	e.tag(tagUTF16)
	e.varint(size)
	e.buf = appendUTF16(e.buf, s)
	return nil
}

func varintSize(n uint64) int {
	size := 1
	for n >= 0x80 {
		n, size = n>>7, size+1
	}
	return size
}
