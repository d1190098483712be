package v8

import (
	"errors"
	"fmt"
	"reflect"
	"sync"
)

// Unmarshal reads the value in data, written by Deno, Node or Marshal in the format versions 13 to 16, into what target
// points to. It is Marshal turned round, and takes a little more:
//
//   - Properties that the struct does not have are skipped. Fields without a property stay as they are, and so do all whose
//     property is undefined or null, save those that can be nil, which become it. Names must be equal, also in case.
//   - An integer takes any number and bigint that is one and fits. A float takes numbers.
//   - A slice takes arrays, Sets and typed arrays of numbers; a hole is a zero. A []byte takes what has bytes: an ArrayBuffer, a
//     DataView and arrays of bytes; an array takes as many elements as it has.
//   - A map takes objects and Maps, as MapOf does, and keeps the entries that it has. A struct takes objects.
//   - A boxed primitive is the primitive. A json.Unmarshaler gets JSON, an encoding.TextUnmarshaler a string.
//   - The types of this package take what Decode returns for it.
//   - any takes nil for undefined and null, bool, float64, *big.Int, string, time.Time, []byte, []any, map[string]any, and
//     what Decode returns for all others.
//
// An object that occurs twice is read twice. A value that contains itself, or that does not fit, is an error, a *FieldError
// unless it is the whole value; what comes before it may have been set by then. Bytes after the value are ignored, and what
// is skipped is not checked as Decode would.
func Unmarshal(data []byte, target any) error {
	v := reflect.ValueOf(target)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return fmt.Errorf("decode V8 value: it must go to a pointer that is not nil, not to a Go %T", target)
	}
	version, err := readHeader(data)
	if err != nil {
		return err
	}
	p := planOf(v.Type().Elem())
	budget := maxExpanded
	err = unmarshal(data, version, 0, &budget, p, v.Elem())
	var misfit *misfitError
	if err != nil && version == 13 && !errors.As(err, &misfit) {
		if unmarshal(data, 14, 0, &budget, p, v.Elem()) == nil { // as Decode does
			return nil
		}
	}
	if err == nil {
		return nil
	}
	if o, ok := opaque(data); ok && setOpaque(v.Elem(), o) {
		return nil
	}
	return fmt.Errorf("decode V8 value: %w", located(err))
}

// maxExpanded bounds the bytes that are read again because an object occurs more than once: a short value can have
// objects that stand for more than any memory holds.
const maxExpanded = 4 << 20

var unmarshalers = sync.Pool{New: func() any { return new(unmarshaler) }}

func unmarshal(data []byte, version byte, depth int, budget *int, p *plan, v reflect.Value) error {
	u := unmarshalers.Get().(*unmarshaler)
	*u = unmarshaler{decoder: decoder{data: data, pos: 2, version: version, depth: depth}, budget: budget}
	err := u.value(p, v)
	*u = unmarshaler{} // holds on to nothing
	unmarshalers.Put(u)
	return err
}

// unmarshaler is the decoder into Go values. It keeps no objects; who needs one that came before asks whole for it.
type unmarshaler struct {
	decoder
	count  int      // of the objects so far
	all    *decoder // of whole, after it has read
	budget *int     // what is left of maxExpanded
}

// misfitError says that a value that can be read does not fit the Go type.
type misfitError struct {
	what string
	t    reflect.Type
}

func (e *misfitError) Error() string { return e.what + " does not fit the Go type " + e.t.String() }

func misfit(tag byte, v reflect.Value) error { return &misfitError{tagName(tag), v.Type()} }

func (u *unmarshaler) value(p *plan, v reflect.Value) error {
	tag, err := u.next()
	if err != nil {
		return err
	}
	return u.behind(tag, p, v)
}

// next returns the next tag that says something.
func (u *unmarshaler) next() (byte, error) {
	tag, err := u.tag()
	if err != nil || tag != tagObjectCount {
		return tag, err
	}
	return u.skipCount(tag)
}

// behind reads the value behind its tag.
func (u *unmarshaler) behind(tag byte, p *plan, v reflect.Value) error {
	switch tag {
	case tagUndefined, tagNull:
		switch v.Kind() {
		case reflect.Pointer, reflect.Interface, reflect.Map, reflect.Slice:
			v.SetZero()
		}
		return nil
	case tagReference:
		return u.reference(p, v)
	case tagTrueBox, tagFalseBox, tagNumberBox, tagBigintBox, tagStringBox:
		if p.own {
			break
		}
		var err error
		if tag, err = u.unbox(tag); err != nil {
			return err
		}
	}
	return p.decode(u, tag, v)
}

// unbox returns the tag of the primitive in a box, whose value comes next.
func (u *unmarshaler) unbox(tag byte) (byte, error) {
	u.count++
	switch tag {
	case tagTrueBox:
		return tagTrue, nil
	case tagFalseBox:
		return tagFalse, nil
	case tagNumberBox:
		return tagDouble, nil
	case tagBigintBox:
		return tagBigint, nil
	}
	return u.tag()
}

// enter goes down by so many levels. Each call without an error needs one of leave.
func (u *unmarshaler) enter(levels int) error {
	if u.depth += levels; u.depth > maxDepth {
		return errTooDeep
	}
	return nil
}

func (u *unmarshaler) leave(levels int) { u.depth -= levels }

// reference reads an object that has occurred before, once more.
func (u *unmarshaler) reference(p *plan, v reflect.Value) error {
	o, err := u.referred()
	if err != nil {
		return err
	}
	if p.own {
		return setOwn(tagObject, o, v)
	}
	data, err := u.expand(o)
	if err != nil {
		return err
	}
	return unmarshal(data, writeFormat, u.depth, u.budget, p, v)
}

// referred returns the object that a reference means, behind the reference's tag.
func (u *unmarshaler) referred() (any, error) {
	n, err := u.uint32()
	if err != nil {
		return nil, err
	}
	objects, err := u.whole()
	if err != nil {
		return nil, err
	}
	if uint64(n) >= uint64(min(u.count, len(objects))) {
		return nil, fmt.Errorf("a reference to object %d of %d", n, u.count)
	}
	buffer, ok := objects[n].(*ArrayBuffer)
	if !ok {
		return objects[n], nil
	}
	o, err := u.viewAfter(buffer)
	if o != any(buffer) {
		u.count++
	}
	return o, err
}

// whole returns the objects of the whole value, by the numbers of references.
func (u *unmarshaler) whole() ([]any, error) {
	if u.all == nil {
		_, d, err := decode(u.data)
		if err != nil {
			return nil, errors.Unwrap(err)
		}
		u.all = &d
	}
	return u.all.objects, nil
}

// expand returns o as a value without references.
func (u *unmarshaler) expand(o any) ([]byte, error) {
	if *u.budget <= 0 {
		return nil, errExpanded
	}
	e := encoder{expands: *u.budget, buf: []byte{headerMark, writeFormat}}
	if err := e.value(o); err != nil {
		return nil, err
	}
	*u.budget -= len(e.buf)
	return e.buf, nil
}

func tagName(tag byte) string {
	switch tag {
	case tagTrue, tagFalse:
		return "a boolean"
	case tagInt32, tagUint32, tagDouble:
		return "a number"
	case tagBigint:
		return "a bigint"
	case tagLatin1, tagUTF16, tagUTF8:
		return "a string"
	case tagObject:
		return "an object"
	case tagDense, tagSparse:
		return "an array"
	case tagMap:
		return "a Map"
	case tagSet:
		return "a Set"
	case tagDate:
		return "a Date"
	case tagRegExp:
		return "a RegExp"
	case tagError:
		return "an Error"
	case tagBuffer, tagResizable:
		return "an ArrayBuffer, or a view of one,"
	case tagTrueBox, tagFalseBox, tagNumberBox, tagBigintBox, tagStringBox:
		return "a boxed primitive"
	case tagHostObject:
		return "an object of the runtime"
	}
	return fmt.Sprintf("the tag 0x%02x, which begins no value,", tag)
}
