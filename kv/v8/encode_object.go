package v8

import (
	"fmt"
	"math/big"
	"reflect"
	"strings"
)

func (e *encoder) object(v any) error {
	switch p := reflect.ValueOf(v); {
	case p.Kind() != reflect.Pointer:
		return unknownType(v)
	case p.IsNil():
		return fmt.Errorf("a nil %T; nil alone is null", v)
	}
	if e.expands > 0 {
		return e.expanded(v)
	}
	if n, ok := e.objects[v]; ok {
		e.tag(tagReference)
		e.varint(n)
		return nil
	}
	return e.newObject(v)
}

// expanded writes v also if it was written before, unless it is in itself.
func (e *encoder) expanded(v any) error {
	if _, ok := e.objects[v]; ok {
		return errCycle
	}
	if len(e.buf) > e.expands {
		return errExpanded
	}
	defer delete(e.objects, v)
	return e.newObject(v)
}

func (e *encoder) newObject(v any) error {
	switch v := v.(type) {
	case *Object:
		e.begin(v)
		e.tag(tagObject)
		return e.properties(v.Properties, tagObjectEnd, 0)
	case *Array:
		return e.array(v)
	case *Map:
		return e.mapObject(v)
	case *Set:
		return e.setObject(v)
	case *Date:
		e.begin(v)
		e.tag(tagDate)
		e.double(clipDate(v.Millis))
		return nil
	case *RegExp:
		return e.regExp(v)
	case *Error:
		return e.errorObject(v)
	case *Boxed:
		return e.boxed(v)
	case *ArrayBuffer:
		return e.buffer(v)
	case *View:
		return e.view(v)
	case *Host:
		e.begin(v)
		e.tag(tagHostObject)
		e.varint(denoHostObject)
		return e.value(v.Description)
	}
	return unknownType(v)
}

func unknownType(v any) error {
	switch v.(type) {
	case HoleType:
		return formatError("a Hole that is not an element of an array")
	case *Opaque:
		return formatError("an Opaque as part of a value; it can only be the whole value")
	case []byte:
		return formatError("a []byte; use Uint8Array")
	}
	return fmt.Errorf("a Go value of type %T; a number is a float64, an object an *Object, and so on", v)
}

// begin gives v its number, the next one.
func (e *encoder) begin(v any) {
	if e.objects == nil {
		e.objects = make(map[any]uint64)
	}
	e.objects[v] = e.count
	e.count++
}

// properties writes properties and the end after them, which counts those that the caller wrote before too.
func (e *encoder) properties(properties []Property, end byte, before int) error {
	var seen keySet
	for i, p := range properties {
		if !seen.add(p.Key, properties[:i]) {
			return fmt.Errorf("the property %q occurs twice", p.Key)
		}
		if err := e.key(p.Key); err != nil {
			return err
		}
		if err := e.value(p.Value); err != nil {
			return err
		}
	}
	e.tag(end)
	e.varint(uint64(before + len(properties)))
	return nil
}

// key writes array indices as numbers, as V8 does.
func (e *encoder) key(key string) error {
	if i, ok := ArrayIndex(key); ok {
		e.number(float64(i))
		return nil
	}
	return e.text(key)
}

// array writes an array without holes in the dense form and any other in the sparse one, as V8 does.
func (e *encoder) array(a *Array) error {
	length, holes := a.Len(), 0
	for _, v := range a.Elements {
		if v == any(Hole) {
			holes++
		}
	}
	for _, p := range a.Properties {
		if i, ok := ArrayIndex(p.Key); ok && i < uint32(len(a.Elements)) {
			return fmt.Errorf("the array element %d occurs twice", i)
		}
	}
	e.begin(a)
	if holes > 0 || length > uint32(len(a.Elements)) {
		return e.sparse(a, length, len(a.Elements)-holes)
	}
	e.tag(tagDense)
	e.varint(uint64(length))
	for _, v := range a.Elements {
		if err := e.value(v); err != nil {
			return err
		}
	}
	if err := e.properties(a.Properties, tagDenseEnd, 0); err != nil {
		return err
	}
	e.varint(uint64(length))
	return nil
}

func (e *encoder) sparse(a *Array, length uint32, present int) error {
	e.tag(tagSparse)
	e.varint(uint64(length))
	for i, v := range a.Elements {
		if v == any(Hole) {
			continue
		}
		e.number(float64(i))
		if err := e.value(v); err != nil {
			return err
		}
	}
	if err := e.properties(a.Properties, tagSparseEnd, present); err != nil {
		return err
	}
	e.varint(uint64(length))
	return nil
}

func (e *encoder) mapObject(m *Map) error {
	e.begin(m)
	e.tag(tagMap)
	for _, entry := range m.Entries {
		if err := e.value(entry.Key); err != nil {
			return err
		}
		if err := e.value(entry.Value); err != nil {
			return err
		}
	}
	e.tag(tagMapEnd)
	e.varint(uint64(len(m.Entries)) * 2)
	return nil
}

func (e *encoder) setObject(s *Set) error {
	e.begin(s)
	e.tag(tagSet)
	for _, v := range s.Values {
		if err := e.value(v); err != nil {
			return err
		}
	}
	e.tag(tagSetEnd)
	e.varint(uint64(len(s.Values)))
	return nil
}

// CheckRegExpFlags says what is wrong with the flags of a regular expression, if anything is.
func CheckRegExpFlags(flags string) error {
	for i, letter := range flags {
		if !strings.ContainsRune("dgimsuvy", letter) || strings.ContainsRune(flags[:i], letter) {
			return fmt.Errorf("a RegExp with the flags %q; each of d, g, i, m, s, u, v and y can be there once", flags)
		}
	}
	if strings.Contains(flags, "u") && strings.Contains(flags, "v") {
		return fmt.Errorf("a RegExp with the flags %q; u and v exclude each other", flags)
	}
	return nil
}

func (e *encoder) regExp(r *RegExp) error {
	if err := CheckRegExpFlags(r.Flags); err != nil {
		return err
	}
	e.begin(r)
	e.tag(tagRegExp)
	if err := e.text(r.Source); err != nil {
		return err
	}
	var bits uint64
	for _, letter := range r.Flags {
		bits |= 1 << strings.IndexRune(regExpFlags, letter)
	}
	e.varint(bits)
	return nil
}

// errorName returns the class that a tag in an error stands for, and "" if it stands for none.
func errorName(tag byte) string {
	switch tag {
	case 'E':
		return "EvalError"
	case 'R':
		return "RangeError"
	case 'F':
		return "ReferenceError"
	case 'S':
		return "SyntaxError"
	case 'T':
		return "TypeError"
	case 'U':
		return "URIError"
	}
	return ""
}

// errorObject writes the stack before the cause. Older V8 wrote them the other way round and reads both orders; newer V8,
// such as Deno's, reads only this one (see Portable).
func (e *encoder) errorObject(v *Error) error {
	e.begin(v)
	e.tag(tagError)
	for _, tag := range []byte("ERFSTU") {
		if errorName(tag) == v.Name {
			e.tag(tag)
		}
	}
	if v.Message != "" {
		e.tag(errorMessage)
		if err := e.text(v.Message); err != nil {
			return err
		}
	}
	if v.Stack != "" {
		e.tag(errorStack)
		if err := e.text(v.Stack); err != nil {
			return err
		}
	}
	if v.HasCause {
		e.tag(errorCause)
		if err := e.value(v.Cause); err != nil {
			return err
		}
	}
	e.tag(errorEnd)
	return nil
}

func (e *encoder) boxed(b *Boxed) error {
	e.begin(b)
	switch v := b.Value.(type) {
	case bool:
		if v {
			e.tag(tagTrueBox)
		} else {
			e.tag(tagFalseBox)
		}
		return nil
	case float64:
		e.tag(tagNumberBox)
		e.double(v)
		return nil
	case *big.Int:
		return e.bigint(tagBigintBox, v)
	case string:
		e.tag(tagStringBox)
		return e.text(v)
	}
	return fmt.Errorf("a Boxed %T; only a bool, float64, *big.Int or string can be boxed", b.Value)
}

func (e *encoder) buffer(b *ArrayBuffer) error {
	e.begin(b)
	size := uint64(len(b.Data))
	if !b.Resizable {
		e.tag(tagBuffer)
		e.varint(size)
	} else {
		if b.MaxByteLength < size || b.MaxByteLength > maxSafeInteger {
			return fmt.Errorf("an ArrayBuffer of %d bytes that says it has at most %d", size, b.MaxByteLength)
		}
		e.tag(tagResizable)
		e.varint(size)
		e.varint(b.MaxByteLength)
	}
	e.buf = append(e.buf, b.Data...)
	return nil
}

// view writes the buffer, or a reference to it, and then the view.
func (e *encoder) view(v *View) error {
	if err := v.check(); err != nil {
		return err
	}
	if err := e.object(v.Buffer); err != nil {
		return err
	}
	e.begin(v)
	e.tag(tagView)
	e.tag(byte(v.Kind))
	e.varint(uint64(v.Offset))
	e.varint(uint64(v.Length))
	var flags uint64
	if v.Buffer.Resizable {
		flags |= flagResizable
	}
	if v.Tracking {
		flags |= flagTracking
	}
	e.varint(flags)
	return nil
}
