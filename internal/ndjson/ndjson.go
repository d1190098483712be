// Package ndjson writes and reads entries as lines of JSON in the form of @deno/kv-utils, in which every key part and value
// carries its type:
//
//	{"key":[{"type":"string","value":"n"},{"type":"bigint","value":"2"}],"value":{"type":"KvU64","value":"7"},"versionstamp":"00000000000000010000"}
//
// Three things are added to that form. An entry that will expire has "expireAt", RFC 3339 in UTC, where it is known. A value
// that the form cannot express without loss (one that contains itself, an array with properties, a boxed primitive, a
// resizable buffer, an object of the runtime, or bytes that are not V8's format) has the type "V8" and its stored bytes. The
// number -0 is written as JSON's -0. Bytes are base64url without padding, as kv-utils has them. An object that
// occurs twice in a value is written twice, and of a view of a part of a buffer only that part, as kv-utils does it; such a value
// has its stored bytes as "v8" beside its "value", which kv-utils does not look at.
package ndjson

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"strconv"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kv/v8"
	"github.com/millpondkv/millpond/kv/v8/literal"
)

// Entry is a line. Without a versionstamp it says that the key is absent.
type Entry struct {
	Key          kv.Key
	Value        kv.Value
	Versionstamp kv.Versionstamp
	ExpireAt     kv.Millis // 0: never, or not known
}

// Append appends the line of e to b, with the line end.
func Append(b []byte, e Entry) []byte {
	b = append(b, `{"key":`...)
	b = AppendKey(b, e.Key)
	if e.Versionstamp.IsZero() {
		return append(b, `,"value":null,"versionstamp":null}`+"\n"...)
	}
	b = append(b, `,"value":`...)
	b = AppendValue(b, e.Value)
	b = append(b, `,"versionstamp":"`+e.Versionstamp.String()+`"`...)
	if e.ExpireAt != 0 {
		b = append(b, `,"expireAt":"`+e.ExpireAt.String()+`"`...)
	}
	return append(b, "}\n"...)
}

// AppendKey appends a key as an array of parts with their types.
func AppendKey(b []byte, key kv.Key) []byte {
	b = append(b, '[')
	for i, part := range key {
		if i > 0 {
			b = append(b, ',')
		}
		switch p := part.(type) {
		case []byte:
			b = appendBytes(b, "Uint8Array", p)
		case string, bool, *big.Int, float64:
			b = appendPrimitive(b, p)
		default: // a Go integer or float32, which is a number
			f, _ := strconv.ParseFloat(fmt.Sprint(p), 64)
			b = appendPrimitive(b, f)
		}
	}
	return append(b, ']')
}

// AppendValue appends a value with its type.
func AppendValue(b []byte, value kv.Value) []byte {
	switch value.Encoding {
	case kv.EncodingLE64:
		if len(value.Data) == 8 {
			return append(b, `{"type":"KvU64","value":"`+strconv.FormatUint(binary.LittleEndian.Uint64(value.Data), 10)+`"}`...)
		}
	case kv.EncodingBytes:
		return appendBytes(b, "Uint8Array", value.Data)
	}
	decoded, err := v8.Decode(value.Data)
	if err == nil {
		w := writer{b: b, open: map[any]bool{}}
		switch w.value(decoded); {
		case w.lossy:
		case w.inexact:
			w.b = append(w.b[:len(w.b)-1], `,"v8":"`...)
			return append(base64.RawURLEncoding.AppendEncode(w.b, value.Data), `"}`...)
		default:
			return w.b
		}
	}
	return appendBytes(b, "V8", value.Data)
}

func u64(n uint64) kv.Value {
	return kv.Value{Encoding: kv.EncodingLE64, Data: binary.LittleEndian.AppendUint64(nil, n)}
}

func appendBytes(b []byte, name string, data []byte) []byte {
	b = append(b, `{"type":"`+name+`","value":"`...)
	b = base64.RawURLEncoding.AppendEncode(b, data)
	return append(b, `","byteLength":`+strconv.Itoa(len(data))+"}"...)
}

// appendPrimitive appends a string, bool, float64 or *big.Int.
func appendPrimitive(b []byte, v any) []byte {
	switch v := v.(type) {
	case string:
		return append(b, `{"type":"string","value":`+literal.Quote(v)+"}"...)
	case bool:
		return append(b, `{"type":"boolean","value":`+strconv.FormatBool(v)+"}"...)
	case *big.Int:
		return append(b, `{"type":"bigint","value":"`+v.String()+`"}`...)
	}
	f := v.(float64)
	text := v8.FormatNumber(f)
	if math.IsInf(f, 0) || math.IsNaN(f) {
		text = `"` + text + `"`
	}
	if f == 0 && math.Signbit(f) {
		text = "-0"
	}
	return append(b, `{"type":"number","value":`+text+"}"...)
}
