package v8

import (
	"bytes"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"unsafe"
)

// Marshal returns the value of a Go program as Deno and Node read it, in format version 15.
//
//	struct                      a plain object; the tags json and v8 name its properties, see below
//	map                         a plain object, its keys strings, integers or encoding.TextMarshaler, sorted
//	MapOf, SetOf                a Map, a Set
//	slice, array                an array; of bytes, a Uint8Array
//	time.Time                   a Date, which has whole milliseconds and no location
//	big.Int                     a bigint
//	integers, floats            a number; an integer beyond ±2^53 is an error, since a number would lose digits
//	string, bool                a string, a boolean
//	nil, of any type            null
//	json.Marshaler              what JSON.parse makes of the JSON; json.Number a number
//	encoding.TextMarshaler      a string
//	pointer, interface          what it points to or holds
//	the types of this package   what they are for Encode
//
// Struct fields follow the rules of encoding/json: its tags with the options omitempty, omitzero and string, and embedded
// structs. A tag v8 has precedence over the tag json, in the same syntax, and knows one option more: with
// `v8:",bigint"` a field's integers, also in its slices and maps, are bigints.
//
// A pointer that occurs twice is written twice. What has no counterpart, such as a func, what contains itself, and what is
// nested more than 10,000 deep is an error, a *FieldError unless it is v itself.
func Marshal(v any) ([]byte, error) {
	m := marshalers.Get().(*marshaler)
	defer m.free()
	m.buf = append(m.buf[:0], headerMark, writeFormat)
	if o, ok := v.(*Opaque); ok && o != nil {
		return Encode(o)
	}
	if err := m.any(v); err != nil {
		return nil, fmt.Errorf("encode V8 value: %w", located(err))
	}
	return bytes.Clone(m.buf), nil
}

// marshalers keeps the buffers of earlier calls.
var marshalers = sync.Pool{New: func() any { return new(marshaler) }}

const maxKept = 64 << 10 // of a buffer; values in Deno KV are no larger

func (m *marshaler) free() {
	kept := m.buf
	if cap(kept) > maxKept {
		kept = nil
	}
	*m = marshaler{encoder: encoder{buf: kept}}
	marshalers.Put(m)
}

// marshaler is the encoder for Go values.
type marshaler struct {
	encoder
	open map[reference]bool // pointers, maps and slices that the value is in, from cyclesFrom deep on
}

type reference struct {
	at     unsafe.Pointer
	length int
	t      reflect.Type
}

// cyclesFrom is how deep a value is nested before Marshal looks whether it contains itself. Few ever are.
const cyclesFrom = 100

// any writes a value of any type, the usual ones without a look for their plan.
func (m *marshaler) any(v any) error {
	switch v := v.(type) {
	case nil:
		m.tag(tagNull)
		return nil
	case string:
		return m.text(v)
	case float64:
		m.number(v)
		return nil
	case bool:
		m.bool(v)
		return nil
	case map[string]any:
		return m.anyMap(v)
	}
	r := reflect.ValueOf(v)
	return planOf(r.Type()).encode(m, r)
}

// anyMap writes what the plan of its type would, with fewer allocations.
func (m *marshaler) anyMap(v map[string]any) error {
	if v == nil {
		m.tag(tagNull)
		return nil
	}
	r := reflect.ValueOf(v)
	if err := m.enter(r, 1); err != nil {
		return err
	}
	defer m.leave(r, 1)
	m.count++
	m.tag(tagObject)
	keys := slices.AppendSeq(make([]string, 0, len(v)), maps.Keys(v))
	slices.SortFunc(keys, compareNames)
	for _, key := range keys {
		if err := m.key(key); err != nil {
			return inProperty(key, err)
		}
		if err := m.any(v[key]); err != nil {
			return inProperty(key, err)
		}
	}
	m.tag(tagObjectEnd)
	m.varint(uint64(len(v)))
	return nil
}

// enter goes down into v, by so many levels. Each call without an error needs one of leave.
func (m *marshaler) enter(v reflect.Value, levels int) error {
	m.depth += levels
	if m.depth <= cyclesFrom {
		return nil
	}
	if m.depth > maxDepth {
		return errTooDeep
	}
	r, ok := referenceOf(v)
	if !ok {
		return nil
	}
	if m.open[r] {
		return errCycle
	}
	if m.open == nil {
		m.open = map[reference]bool{}
	}
	m.open[r] = true
	return nil
}

func (m *marshaler) leave(v reflect.Value, levels int) {
	m.depth -= levels
	if m.open != nil {
		if r, ok := referenceOf(v); ok {
			delete(m.open, r)
		}
	}
}

// referenceOf is ok for what can contain itself.
func referenceOf(v reflect.Value) (r reference, ok bool) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Map:
		return reference{at: v.UnsafePointer(), t: v.Type()}, true
	case reflect.Slice:
		return reference{at: v.UnsafePointer(), length: v.Len(), t: v.Type()}, v.Len() > 0
	}
	return r, false
}
