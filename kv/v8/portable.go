package v8

import (
	"bytes"
	"strings"
)

// Portable returns the value in data in a form that Node reads as well as Deno, if data is in a form that only some of
// them read, and data itself otherwise. A server applies it to what clients write, since it cannot know who will read:
//
//   - Deno 2.8 and later write version 16, which Node 20 refuses although the bytes that follow are the same, as long as no
//     length passes 4 GiB. Such a value gets version 15, an Opaque too. (The maximum of a resizable ArrayBuffer can pass 4 GiB: Deno and
//     Decode read it also in version 15, Node 20 takes its low 32 bits.)
//   - Node's v8.serialize writes views of buffers as host objects of its own, which Deno refuses.
//   - Node 20 writes an error's cause before its stack, which Deno and Node 26 refuse.
//
// The last two are encoded anew. A Buffer in them becomes the Uint8Array that it is, as in structuredClone: nobody but
// Node has Buffers.
//
// A value that does not decode to its last byte, that would not decode to the same value afterwards, or that would grow
// beyond limit bytes, is left as it is. (Each such view grows by 4 bytes and more.) The result is a copy if it differs;
// data is never changed. A value in which nothing looks like one of the forms above costs a look at its bytes, any other
// time and memory proportional to its size.
func Portable(data []byte, limit int) []byte {
	switch {
	case len(data) < 2 || data[0] != headerMark:
		return data
	case data[1] == newestFormat:
		relabelled := bytes.Clone(data)
		relabelled[1] = writeFormat
		return relabelled
	case len(data) > limit || !looksForeign(data):
		return data
	}
	v, d, err := decode(data)
	if err != nil || !d.foreign || d.pos < len(data) {
		return data
	}
	portable, err := Encode(v)
	if err != nil || len(portable) > limit {
		return data
	}
	if again, err := Decode(portable); err != nil || !same(v, again) {
		return data
	}
	return portable
}

// looksForeign reports whether data has bytes with which Node begins a view, or an error that may have a cause. It errs
// on the side of true: the bytes can also be part of a string or a number.
func looksForeign(data []byte) bool {
	return follows(data, tagHostObject, beginsNodeView) || follows(data, tagError, beginsCausedError)
}

// follows reports whether what follows some occurrence of tag is as it should be.
func follows(data []byte, tag byte, is func(rest []byte) bool) bool {
	for {
		i := bytes.IndexByte(data, tag)
		if i < 0 {
			return false
		}
		data = data[i+1:]
		if is(data) {
			return true
		}
	}
}

func beginsNodeView(rest []byte) bool {
	return len(rest) > 0 && int(rest[0]) < len(nodeViews)
}

// Tags as in format.go: textTags begin a string, valueTags any value that can be stored.
const (
	textTags  = "\x00S\"c"
	valueTags = textTags + "_0TFINUZ^oaADyxnzsR;'B~r\\?"
)

// beginsCausedError reports whether rest goes on like an error with a message or a cause, after its class if it has one.
func beginsCausedError(rest []byte) bool {
	if len(rest) > 0 && errorName(rest[0]) != "" {
		rest = rest[1:]
	}
	if len(rest) < 2 {
		return false
	}
	switch rest[0] {
	case errorMessage:
		return strings.IndexByte(textTags, rest[1]) >= 0
	case errorCause:
		return strings.IndexByte(valueTags, rest[1]) >= 0
	}
	return false
}
