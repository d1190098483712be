package v8

import (
	"cmp"
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

func (b *planner) fillStruct(p *plan, t reflect.Type) {
	s := &structPlan{fields: fieldsOf(t), t: t}
	s.byName = make(map[string]int, len(s.fields))
	for i := range s.fields {
		f := &s.fields[i]
		s.byName[f.name] = i
		f.plan = b.plan(f.t, f.form)
		if _, latin1, ok := measure(f.name); ok && latin1 {
			var e encoder
			if e.key(f.name) == nil {
				f.key = e.buf
			}
		}
	}
	p.encode, p.decode = s.encode, s.decode
}

// structPlan is the plan of a struct.
type structPlan struct {
	t      reflect.Type
	fields []field
	byName map[string]int // index in fields
}

func (s *structPlan) encode(m *marshaler, v reflect.Value) error {
	if err := m.enter(v, 1); err != nil {
		return err
	}
	defer m.leave(v, 1)
	m.count++
	m.tag(tagObject)
	written := uint64(0)
	for i := range s.fields {
		f := &s.fields[i]
		value, ok := f.of(v)
		if !ok || (f.omitEmpty || f.omitZero) && f.omits(value) {
			continue
		}
		if f.key != nil {
			m.buf = append(m.buf, f.key...)
		} else if err := m.key(f.name); err != nil {
			return inProperty(f.name, err)
		}
		if err := f.plan.encode(m, value); err != nil {
			return inProperty(f.name, err)
		}
		written++
	}
	m.tag(tagObjectEnd)
	m.varint(written)
	return nil
}

func (b *planner) fillSlice(p *plan, t reflect.Type, f form) {
	elem := b.plan(t.Elem(), f)
	if t.Elem().Kind() == reflect.Uint8 && f == asNumber && !hasMethods(t.Elem()) {
		p.encode = encodeBytes
	} else {
		p.encode = func(m *marshaler, v reflect.Value) error { return m.elements(elem, v) }
	}
	s := &slicePlan{elem: elem, t: t}
	p.decode = s.decode
}

// hasMethods reports whether a value of t is written by its own methods.
func hasMethods(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(jsonMarshaler) || p.Implements(textMarshaler)
}

func (m *marshaler) elements(elem *plan, v reflect.Value) error {
	if v.Kind() == reflect.Slice && v.IsNil() {
		m.tag(tagNull)
		return nil
	}
	if err := m.enter(v, 1); err != nil {
		return err
	}
	defer m.leave(v, 1)
	n := v.Len()
	m.count++
	m.tag(tagDense)
	m.varint(uint64(n))
	for i := range n {
		if err := elem.encode(m, v.Index(i)); err != nil {
			return inElement(i, err)
		}
	}
	m.tag(tagDenseEnd)
	m.varint(0)
	m.varint(uint64(n))
	return nil
}

func encodeBytes(m *marshaler, v reflect.Value) error {
	if v.Kind() == reflect.Slice && v.IsNil() {
		m.tag(tagNull)
		return nil
	}
	if v.Kind() == reflect.Array {
		v = addressable(v).Elem()
	}
	b := v.Bytes()
	m.count += 2 // the buffer and its view
	m.tag(tagBuffer)
	m.varint(uint64(len(b)))
	m.buf = append(m.buf, b...)
	m.tag(tagView)
	m.tag(byte(KindUint8))
	m.varint(0)
	m.varint(uint64(len(b)))
	m.varint(0)
	return nil
}

func (b *planner) fillMap(p *plan, t reflect.Type, f form) {
	plan := &mapPlan{t: t, key: b.plan(t.Key(), asNumber), elem: b.plan(t.Elem(), f)}
	switch {
	case t.Implements(asMap):
		p.encode, p.decode = plan.encodeMap, plan.decode
	case t.Implements(asSet):
		p.encode, p.decode = plan.encodeSet, plan.decodeSet
	default:
		p.encode, p.decode = plan.encodeObject, plan.decode
	}
}

// mapPlan is the plan of a Go map.
type mapPlan struct {
	t         reflect.Type
	key, elem *plan
}

// entry is a key with its value. The text is that of the property, if there is to be one.
type entry struct {
	text       string
	key, value reflect.Value
}

func (p *mapPlan) encodeObject(m *marshaler, v reflect.Value) error {
	return p.within(m, v, func() error {
		entries, err := p.named(v)
		if err != nil {
			return err
		}
		m.tag(tagObject)
		for i, e := range entries {
			if i > 0 && e.text == entries[i-1].text {
				return fmt.Errorf("two keys of the Go type %s are both the property %q", p.t.Key(), e.text)
			}
			if err := m.encoder.key(e.text); err != nil {
				return inProperty(e.text, err)
			}
			if err := p.elem.encode(m, e.value); err != nil {
				return inProperty(e.text, err)
			}
		}
		m.tag(tagObjectEnd)
		m.varint(uint64(len(entries)))
		return nil
	})
}

// within runs encode for a map that is not nil, and counts it as an object.
func (p *mapPlan) within(m *marshaler, v reflect.Value, encode func() error) error {
	if v.IsNil() {
		m.tag(tagNull)
		return nil
	}
	if err := m.enter(v, 1); err != nil {
		return err
	}
	defer m.leave(v, 1)
	m.count++
	return encode()
}

// named returns the entries of v with the text of their keys, sorted.
func (p *mapPlan) named(v reflect.Value) ([]entry, error) {
	entries := make([]entry, 0, v.Len())
	for iter := v.MapRange(); iter.Next(); {
		text, err := propertyName(iter.Key())
		if err != nil {
			return nil, err
		}
		entries = append(entries, entry{text: text, value: iter.Value()})
	}
	slices.SortFunc(entries, func(a, b entry) int { return compareNames(a.text, b.text) })
	return entries, nil
}

// compareNames is the order in which the properties of a map are written: JavaScript's for array indices, then that of bytes.
func compareNames(a, b string) int {
	if order := compareKeys(a, b); order != 0 {
		return order
	}
	return strings.Compare(a, b)
}

// propertyName returns the name of the property that a key of a map stands for.
func propertyName(key reflect.Value) (string, error) {
	if key.Kind() == reflect.String {
		return key.String(), nil
	}
	if marshaler, ok := key.Interface().(encoding.TextMarshaler); ok {
		if key.Kind() == reflect.Pointer && key.IsNil() {
			return "", nil
		}
		text, err := marshaler.MarshalText()
		return string(text), err
	}
	switch {
	case key.CanInt():
		return strconv.FormatInt(key.Int(), 10), nil
	case key.CanUint():
		return strconv.FormatUint(key.Uint(), 10), nil
	}
	return "", fmt.Errorf("a map with keys of the Go type %s cannot be an object; MapOf is a Map, which takes any keys", key.Type())
}

func (p *mapPlan) encodeMap(m *marshaler, v reflect.Value) error {
	return p.within(m, v, func() error {
		m.tag(tagMap)
		entries := p.ordered(v)
		for i, e := range entries {
			if err := p.key.encode(m, e.key); err != nil {
				return inPart(".keys()", inElement(i, err))
			}
			if err := p.elem.encode(m, e.value); err != nil {
				return inPart(fmt.Sprintf(".get(%.40v)", e.key), err)
			}
		}
		m.tag(tagMapEnd)
		m.varint(2 * uint64(len(entries)))
		return nil
	})
}

func (p *mapPlan) encodeSet(m *marshaler, v reflect.Value) error {
	return p.within(m, v, func() error {
		m.tag(tagSet)
		entries := p.ordered(v)
		for i, e := range entries {
			if err := p.key.encode(m, e.key); err != nil {
				return inPart(".keys()", inElement(i, err))
			}
		}
		m.tag(tagSetEnd)
		m.varint(uint64(len(entries)))
		return nil
	})
}

// ordered returns the entries of v, sorted if Go has an order for their keys.
func (p *mapPlan) ordered(v reflect.Value) []entry {
	entries := make([]entry, 0, v.Len())
	for iter := v.MapRange(); iter.Next(); {
		entries = append(entries, entry{key: iter.Key(), value: iter.Value()})
	}
	slices.SortFunc(entries, func(a, b entry) int {
		switch {
		case a.key.Kind() == reflect.String:
			return cmp.Compare(a.key.String(), b.key.String())
		case a.key.CanInt():
			return cmp.Compare(a.key.Int(), b.key.Int())
		case a.key.CanUint():
			return cmp.Compare(a.key.Uint(), b.key.Uint())
		case a.key.CanFloat():
			return cmp.Compare(a.key.Float(), b.key.Float())
		}
		return 0
	})
	return entries
}
