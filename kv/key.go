package kv

import (
	"encoding/binary"
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Key is a list of parts. A part is one of
//
//	[]byte            a JavaScript Uint8Array
//	string            a string; must be valid UTF-8
//	*big.Int          a bigint, of any size up to 255 bytes
//	float64, float32  a number
//	int, uint, …      a number too: Key{"a", 1} in Go is ["a", 1] in JavaScript. Beyond ±2^53 that would lose digits and
//	                  is an error; use *big.Int
//	bool              a boolean
//
// The number 1 and the bigint 1n are different parts. Keys sort part by part, and between types in the order
// Uint8Array < string < bigint < number < false < true.
type Key []any

// EncodedKey is a key in Deno KV's order-preserving encoding: comparing two encoded keys byte by byte compares the keys.
// It need not be decodable when it serves as the bound of a range.
type EncodedKey string

// The first byte of an encoded part (denokv proto/codec.rs; a subset of FoundationDB's tuple layer).
const (
	tagBytes       = 0x01 // content, 00 escaped as 00 FF, then 00
	tagString      = 0x02 // UTF-8, escaped and ended likewise
	tagNegativeBig = 0x0b // length (1, inverted), magnitude inverted; longer than 8 bytes
	tagZero        = 0x14 // 0n; 14+n: magnitude of n bytes; 14-n: the same inverted, for a negative
	tagPositiveBig = 0x1d // length (1), magnitude; longer than 8 bytes
	tagNumber      = 0x21 // IEEE 754 big-endian; positive: sign bit set; negative: all bits inverted
	tagFalse       = 0x26
	tagTrue        = 0x27
)

const maxBigintBytes = 255

// Encode returns the encoding of k. It fails with ErrInvalid if a part is of a type that is not in the list above, or
// cannot be encoded exactly. The size is not checked; that is up to the limits of the request that the key is used in.
func (k Key) Encode() (EncodedKey, error) {
	b := make([]byte, 0, 64) // on the stack, and most keys fit
	for i, part := range k {
		var err error
		if b, err = appendPart(b, part); err != nil {
			return "", Invalidf("key part %d %s", i, err)
		}
	}
	return EncodedKey(b), nil
}

// MustEncode is Encode for keys that are known to be good, such as literals; it panics if they are not.
func (k Key) MustEncode() EncodedKey {
	e, err := k.Encode()
	if err != nil {
		panic(err)
	}
	return e
}

// partError completes the sentence "key part 3 …".
type partError string

func (e partError) Error() string { return string(e) }

func appendPart(b []byte, part any) ([]byte, error) {
	switch p := part.(type) {
	case []byte:
		return appendEscaped(append(b, tagBytes), string(p)), nil
	case string:
		if !utf8.ValidString(p) {
			return nil, partError("is a string that is not valid UTF-8; use []byte for bytes")
		}
		return appendEscaped(append(b, tagString), p), nil
	case bool:
		if p {
			return append(b, tagTrue), nil
		}
		return append(b, tagFalse), nil
	case *big.Int:
		if p == nil {
			return nil, partError("is a nil *big.Int")
		}
		return appendBigint(b, p)
	case float64:
		return appendNumber(b, p), nil
	case float32:
		return appendNumber(b, float64(p)), nil
	}
	n, ok := integer(part)
	if !ok {
		return nil, partError("is of type " + typeName(part) + "; use string, []byte, bool, *big.Int, a float or an integer")
	}
	if n == nil {
		return nil, partError("is an integer beyond ±2^53, which a number cannot hold; use *big.Int for a bigint")
	}
	return appendNumber(b, *n), nil
}

func appendEscaped(b []byte, s string) []byte {
	for {
		i := strings.IndexByte(s, 0)
		if i < 0 {
			return append(append(b, s...), 0)
		}
		b = append(append(b, s[:i]...), 0, 0xff)
		s = s[i+1:]
	}
}

func appendNumber(b []byte, f float64) []byte {
	bits := math.Float64bits(f)
	if math.IsNaN(f) { // one NaN of each sign
		bits = bits&(1<<63) | 0x7ff8_0000_0000_0000
	}
	if bits>>63 == 0 {
		bits ^= 1 << 63
	} else {
		bits = ^bits
	}
	return binary.BigEndian.AppendUint64(append(b, tagNumber), bits)
}

func appendBigint(b []byte, n *big.Int) ([]byte, error) {
	magnitude := n.Bytes()
	size := len(magnitude)
	if size > maxBigintBytes {
		return nil, partError("is a bigint of " + strconv.Itoa(size) + " bytes; at most 255 can be encoded")
	}
	negative := n.Sign() < 0
	switch {
	case size <= 8 && !negative:
		b = append(b, byte(tagZero+size))
	case size <= 8:
		b = append(b, byte(tagZero-size))
	case negative:
		b = append(b, tagNegativeBig, ^byte(size))
	default:
		b = append(b, tagPositiveBig, byte(size))
	}
	if negative {
		for i := range magnitude {
			magnitude[i] = ^magnitude[i]
		}
	}
	return append(b, magnitude...), nil
}

// Decode returns the parts of e: []byte, string, *big.Int, float64 and bool. It fails with ErrInvalid if e is not the
// canonical encoding of a key.
func (e EncodedKey) Decode() (Key, error) {
	k := Key{}
	for rest := string(e); len(rest) > 0; {
		tag, content, n, err := scanPart(rest)
		if err != nil {
			return nil, Invalidf("part %d of the key %s", len(k), err)
		}
		k = append(k, decodePart(tag, content))
		rest = rest[n:]
	}
	return k, nil
}

// Check reports with ErrInvalid if e is not the canonical encoding of a key. It allocates nothing when e is good.
func (e EncodedKey) Check() error {
	part := 0
	for rest := string(e); len(rest) > 0; part++ {
		_, _, n, err := scanPart(rest)
		if err != nil {
			return Invalidf("part %d of the key %s", part, err)
		}
		rest = rest[n:]
	}
	return nil
}

// scanPart reads the first part of s: its tag, its content still escaped or inverted, and the number of bytes it takes.
// It accepts only canonical encodings, so equal keys have equal bytes.
func scanPart(s string) (tag byte, content string, n int, err error) {
	tag = s[0]
	switch {
	case tag == tagBytes || tag == tagString:
		content, n, err = scanEscaped(s)
		if err == nil && tag == tagString && !utf8.ValidString(strings.ReplaceAll(content, "\x00\xff", "\x00")) {
			err = partError("is a string that is not valid UTF-8")
		}
	case tag == tagNegativeBig || tag == tagPositiveBig:
		content, n, err = scanLongBigint(s)
	case tag > tagNegativeBig && tag < tagPositiveBig:
		size := int(tag) - tagZero
		if size < 0 {
			size = -size
		}
		if content, n, err = take(s, 1, size); err == nil && size > 0 && !minimal(content, tag < tagZero) {
			err = partError("is a bigint with leading zeros")
		}
	case tag == tagNumber:
		if content, n, err = take(s, 1, 8); err == nil && !canonicalNumber(content) {
			err = partError("is a NaN in another form than the canonical one")
		}
	case tag == tagFalse || tag == tagTrue:
		n = 1
	default:
		err = partError("starts with the unknown tag 0x" + strconv.FormatUint(uint64(tag), 16))
	}
	return tag, content, n, err
}

const errCutOff = partError("is cut off")

func scanEscaped(s string) (content string, n int, err error) {
	for i := 1; i < len(s); i++ {
		if s[i] != 0 {
			continue
		}
		if i+1 < len(s) && s[i+1] == 0xff {
			i++
			continue
		}
		return s[1:i], i + 1, nil
	}
	return "", 0, errCutOff
}

func scanLongBigint(s string) (content string, n int, err error) {
	if len(s) < 2 {
		return "", 0, errCutOff
	}
	size, negative := int(s[1]), s[0] == tagNegativeBig
	if negative {
		size = int(^s[1])
	}
	content, n, err = take(s, 2, size)
	if err == nil && (size <= 8 || !minimal(content, negative)) {
		err = partError("is a bigint that is not in its shortest form")
	}
	return content, n, err
}

func take(s string, skip, size int) (content string, n int, err error) {
	if len(s) < skip+size {
		return "", 0, errCutOff
	}
	return s[skip : skip+size], skip + size, nil
}

func minimal(magnitude string, inverted bool) bool {
	if inverted {
		return magnitude[0] != 0xff
	}
	return magnitude[0] != 0
}

func canonicalNumber(content string) bool {
	f := decodeNumber(content)
	return !math.IsNaN(f) || content == "\xff\xf8\x00\x00\x00\x00\x00\x00" || content == "\x00\x07\xff\xff\xff\xff\xff\xff"
}

func decodePart(tag byte, content string) any {
	switch tag {
	case tagBytes:
		return []byte(strings.ReplaceAll(content, "\x00\xff", "\x00"))
	case tagString:
		return strings.ReplaceAll(content, "\x00\xff", "\x00")
	case tagNumber:
		return decodeNumber(content)
	case tagFalse, tagTrue:
		return tag == tagTrue
	}
	magnitude := []byte(content)
	if tag >= tagZero {
		return new(big.Int).SetBytes(magnitude)
	}
	for i := range magnitude {
		magnitude[i] = ^magnitude[i]
	}
	n := new(big.Int).SetBytes(magnitude)
	return n.Neg(n)
}

func decodeNumber(content string) float64 {
	bits := binary.BigEndian.Uint64([]byte(content))
	if bits>>63 == 1 {
		bits ^= 1 << 63
	} else {
		bits = ^bits
	}
	return math.Float64frombits(bits)
}
