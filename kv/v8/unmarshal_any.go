package v8

import (
	"fmt"
	"math"
	"reflect"
	"slices"
)

var anyType = reflect.TypeFor[any]()

func decodeInterface(u *unmarshaler, tag byte, v reflect.Value) error {
	if v.NumMethod() > 0 {
		return misfit(tag, v)
	}
	natural, err := u.natural(tag)
	if err == nil && natural != nil {
		v.Set(reflect.ValueOf(natural))
	}
	return err
}

// natural returns the value behind its tag as what Go programs use for it.
func (u *unmarshaler) natural(tag byte) (any, error) {
	switch tag {
	case tagUndefined, tagNull:
		return nil, nil
	case tagTrue, tagFalse:
		return tag == tagTrue, nil
	case tagInt32, tagUint32, tagDouble:
		return u.number(tag)
	case tagBigint:
		return u.bigint()
	case tagLatin1, tagUTF16, tagUTF8:
		return u.text(tag)
	case tagTrueBox, tagFalseBox, tagNumberBox, tagBigintBox, tagStringBox:
		tag, err := u.unbox(tag)
		if err != nil {
			return nil, err
		}
		return u.natural(tag)
	case tagReference:
		var v any
		return v, u.reference(planOf(anyType), reflect.ValueOf(&v).Elem())
	}
	if err := u.enter(1); err != nil {
		return nil, err
	}
	defer u.leave(1)
	return u.naturalObject(tag)
}

func (u *unmarshaler) naturalValue() (any, error) {
	tag, err := u.next()
	if err != nil {
		return nil, err
	}
	return u.natural(tag)
}

func (u *unmarshaler) naturalObject(tag byte) (any, error) {
	switch tag {
	case tagObject:
		return u.naturalMap()
	case tagDense, tagSparse:
		return u.naturalSlice(tag)
	case tagDate:
		u.count++
		millis, err := u.double()
		date := &Date{clipDate(millis)}
		if t, ok := date.Time(); ok {
			return t, err
		}
		return date, err
	case tagBuffer, tagResizable, tagHostObject:
		v, err := u.binary(tag)
		if err != nil {
			return nil, err
		}
		if view, ok := v.(*View); ok && view.Kind == KindUint8 {
			return slices.Clone(view.Bytes()), nil
		}
		if buffer, ok := v.(*ArrayBuffer); ok {
			return buffer.Data, nil
		}
		return v, nil
	}
	return u.tree(tag)
}

func (u *unmarshaler) naturalMap() (any, error) {
	u.count++
	m := map[string]any{}
	for {
		tag, err := u.next()
		if err != nil {
			return nil, err
		}
		if tag == tagObjectEnd {
			return m, u.skipNumbers(1)
		}
		key, err := u.key(tag)
		if err != nil {
			return nil, err
		}
		if m[key], err = u.naturalValue(); err != nil {
			return nil, inProperty(key, err)
		}
	}
}

func (u *unmarshaler) naturalSlice(tag byte) (any, error) {
	var elements []any
	v := reflect.ValueOf(&elements).Elem()
	err := (&slicePlan{t: v.Type(), elem: planOf(anyType)}).decodeArray(u, tag, v)
	return elements, err
}

// tree returns the value behind its tag as Decode does.
func (u *unmarshaler) tree(tag byte) (any, error) {
	if tag == tagBuffer || tag == tagResizable || tag == tagHostObject {
		return u.binary(tag)
	}
	number := u.count
	if err := u.skip(tag); err != nil {
		return nil, err
	}
	if u.count == number { // a primitive, which no type that asks is
		return nil, nil
	}
	return u.object(number)
}

// maxSparse is how many elements a slice may get for each byte of the value. It bounds the memory of a sparse array.
const maxSparse = 8

// slicePlan is the plan of a slice or an array.
type slicePlan struct {
	t    reflect.Type
	elem *plan
}

func (p *slicePlan) decode(u *unmarshaler, tag byte, v reflect.Value) error {
	if err := u.enter(1); err != nil {
		return err
	}
	defer u.leave(1)
	switch tag {
	case tagDense, tagSparse:
		return p.decodeArray(u, tag, v)
	case tagSet:
		return p.decodeSet(u, v)
	case tagBuffer, tagResizable, tagHostObject:
		b, err := u.binary(tag)
		if err != nil {
			return err
		}
		return p.setBinary(tag, b, v)
	}
	return misfit(tag, v)
}

// slot returns element i of v, with which a slice grows.
func (p *slicePlan) slot(v reflect.Value, i int) (reflect.Value, error) {
	if v.Kind() == reflect.Array {
		if i >= v.Len() {
			return v, p.wrongLength(v, "more elements")
		}
		return v.Index(i), nil
	}
	if i >= v.Cap() {
		v.Grow(1)
	}
	if i >= v.Len() {
		v.SetLen(i + 1)
	}
	return v.Index(i), nil
}

func (p *slicePlan) wrongLength(v reflect.Value, what string) error {
	return &misfitError{"an array of " + what, v.Type()}
}

// start makes room for n elements, for a few only if there can be many: that they come is not known yet.
func (p *slicePlan) start(v reflect.Value, n int) error {
	if v.Kind() == reflect.Array {
		if n != v.Len() {
			return p.wrongLength(v, fmt.Sprint(n, " elements"))
		}
		v.SetZero()
		return nil
	}
	v.Set(reflect.MakeSlice(p.t, 0, min(n, 64)))
	return nil
}

func (p *slicePlan) decodeArray(u *unmarshaler, tag byte, v reflect.Value) error {
	u.count++
	length, err := u.uint32()
	if err != nil {
		return err
	}
	if tag == tagSparse {
		return p.decodeSparse(u, length, v)
	}
	if uint64(length) > uint64(len(u.data)-u.pos) {
		return errCutOff
	}
	if err := p.start(v, int(length)); err != nil {
		return err
	}
	for i := range int(length) {
		slot, err := p.slot(v, i)
		if err != nil {
			return err
		}
		tag, err := u.next()
		if err != nil {
			return err
		}
		if tag == tagHole {
			continue
		}
		if err := u.behind(tag, p.elem, slot); err != nil {
			return inElement(i, err)
		}
	}
	return u.skipUntil(tagDenseEnd, 2)
}

// decodeSparse reads an array whose elements come as properties.
func (p *slicePlan) decodeSparse(u *unmarshaler, length uint32, v reflect.Value) error {
	if uint64(length) > uint64(maxSparse*len(u.data)) {
		return p.wrongLength(v, fmt.Sprint(length, " elements, nearly all of them holes,"))
	}
	if err := p.start(v, int(length)); err != nil {
		return err
	}
	for i := range int(length) {
		if _, err := p.slot(v, i); err != nil {
			return err
		}
	}
	for {
		tag, err := u.next()
		if err != nil {
			return err
		}
		if tag == tagSparseEnd {
			return u.skipNumbers(2)
		}
		key, err := u.key(tag)
		if err != nil {
			return err
		}
		if i, ok := ArrayIndex(key); ok && i < length {
			if err := u.value(p.elem, v.Index(int(i))); err != nil {
				return inElement(int(i), err)
			}
		} else if err := u.skipValue(); err != nil {
			return err
		}
	}
}

func (p *slicePlan) decodeSet(u *unmarshaler, v reflect.Value) error {
	u.count++
	if v.Kind() == reflect.Slice {
		v.Set(reflect.MakeSlice(p.t, 0, 0))
	}
	for n := 0; ; n++ {
		tag, err := u.next()
		if err != nil {
			return err
		}
		if tag == tagSetEnd {
			if v.Kind() == reflect.Array && n != v.Len() {
				return p.wrongLength(v, fmt.Sprint(n, " elements"))
			}
			return u.skipNumbers(1)
		}
		slot, err := p.slot(v, n)
		if err != nil {
			return err
		}
		if err := u.behind(tag, p.elem, slot); err != nil {
			return inElement(n, err)
		}
	}
}

// setBinary sets v to the bytes or the numbers of an ArrayBuffer or a view.
func (p *slicePlan) setBinary(tag byte, binary any, v reflect.Value) error {
	view, ok := binary.(*View)
	if buffer, isBuffer := binary.(*ArrayBuffer); isBuffer {
		view, ok = Uint8Array(buffer.Data), true
	}
	if !ok {
		return misfit(tag, v)
	}
	if p.t.Elem().Kind() == reflect.Uint8 && view.Kind.ElementSize() == 1 && view.Kind != KindInt8 {
		return p.setBytes(view.Bytes(), v)
	}
	if err := p.start(v, view.Len()); err != nil {
		return err
	}
	for i := range view.Len() {
		slot, err := p.slot(v, i)
		if err != nil {
			return err
		}
		if err := setElement(slot, view.At(i)); err != nil {
			return inElement(i, err)
		}
	}
	return nil
}

func (p *slicePlan) setBytes(b []byte, v reflect.Value) error {
	if v.Kind() == reflect.Slice {
		v.Set(reflect.MakeSlice(p.t, len(b), len(b)))
	} else if err := p.start(v, len(b)); err != nil {
		return err
	}
	copy(v.Bytes(), b)
	return nil
}

// setElement sets v to an element of a typed array, by the rules for a value of its own.
func setElement(v reflect.Value, element any) error {
	data, err := Encode(element)
	if err != nil {
		return err
	}
	budget := math.MaxInt
	return unmarshal(data, writeFormat, 0, &budget, planOf(v.Type()), v)
}
