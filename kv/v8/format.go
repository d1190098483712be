package v8

import "fmt"

// The header is FF and the version. Versions 13 to 16 differ only in array buffer views, which have no flags in 13, and
// in byte lengths, which may pass 4 GiB in 16.
const (
	headerMark   = 0xff
	oldestFormat = 13
	writeFormat  = 15 // what Node 18 and later and Deno can read
	newestFormat = 16
)

// Tags, from V8's src/objects/value-serializer.cc. A varint is LEB128.
const (
	tagPadding     = 0x00 // aligns two-byte strings; skipped before any tag
	tagObjectCount = '?'  // varint; written by no version we read, ignored by V8
	tagHole        = '-'
	tagUndefined   = '_'
	tagNull        = '0'
	tagTrue        = 'T'
	tagFalse       = 'F'
	tagInt32       = 'I' // zigzag varint
	tagUint32      = 'U' // varint
	tagDouble      = 'N' // 8 bytes, little-endian
	tagBigint      = 'Z' // varint: bytes<<1 | negative; magnitude, little-endian
	tagUTF8        = 'S' // varint: bytes; UTF-8
	tagLatin1      = '"' // varint: bytes; one byte a unit
	tagUTF16       = 'c' // varint: bytes; two bytes a unit, little-endian
	tagReference   = '^' // varint: which object, counted in the order in which they begin
	tagObject      = 'o' // key, value, …
	tagObjectEnd   = '{' // varint: properties
	tagSparse      = 'a' // varint: length; key, value, …
	tagSparseEnd   = '@' // varint: properties; varint: length
	tagDense       = 'A' // varint: length; that many values or holes; key, value, …
	tagDenseEnd    = '$' // varint: properties; varint: length
	tagDate        = 'D' // milliseconds, 8 bytes as in a double
	tagTrueBox     = 'y'
	tagFalseBox    = 'x'
	tagNumberBox   = 'n'
	tagBigintBox   = 'z'
	tagStringBox   = 's'  // a string with its tag
	tagRegExp      = 'R'  // a string with its tag; varint: flags
	tagMap         = ';'  // key, value, …
	tagMapEnd      = ':'  // varint: keys and values
	tagSet         = '\'' // value, …
	tagSetEnd      = ','  // varint: values
	tagBuffer      = 'B'  // varint: bytes; the bytes
	tagResizable   = '~'  // varint: bytes; varint: maximum; the bytes
	tagView        = 'V'  // after its buffer. kind; varint: offset; varint: bytes; from 14 on varint: flags
	tagError       = 'r'  // tags of its own, up to errorEnd
	tagHostObject  = '\\' // whatever the embedder wrote

	tagTransferredBuffer = 't'
	tagSharedBuffer      = 'u'
	tagSharedObject      = 'p'
	tagWasmModule        = 'w'
	tagWasmMemory        = 'm'
)

// Tags within an error.
const (
	errorMessage = 'm' // a string with its tag
	errorCause   = 'c' // a value
	errorStack   = 's' // a string with its tag
	errorEnd     = '.'
)

// maxDepth bounds how deep values nest, in both directions, so that a forged value cannot exhaust the stack. V8 itself
// gives up at a depth of the same order, depending on its stack.
const maxDepth = 10_000

// maxBigintBytes is the size of V8's largest bigint, 2^30 bits.
const maxBigintBytes = 1 << 27

func readHeader(data []byte) (version byte, err error) {
	if len(data) < 2 || data[0] != headerMark {
		return 0, fmt.Errorf("not a V8 value: it does not start with ff and a format version")
	}
	if v := data[1]; v < oldestFormat || v > newestFormat {
		return 0, fmt.Errorf("V8 format version %d is not supported; versions %d to %d are", v, oldestFormat, newestFormat)
	}
	return data[1], nil
}
