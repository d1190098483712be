package v8

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
)

func (s *structPlan) decode(u *unmarshaler, tag byte, v reflect.Value) error {
	if tag != tagObject {
		return misfit(tag, v)
	}
	if err := u.enter(1); err != nil {
		return err
	}
	u.count++
	for next := 0; ; {
		tag, err := u.next()
		if err != nil {
			return err
		}
		if tag == tagObjectEnd {
			u.leave(1)
			return u.skipNumbers(1)
		}
		i, err := s.find(u, tag, next)
		if err != nil {
			return err
		}
		if i < 0 {
			if err := u.skipValue(); err != nil {
				return err
			}
			continue
		}
		next = i + 1
		if err := s.fields[i].decode(u, v); err != nil {
			return inProperty(s.fields[i].name, err)
		}
	}
}

// find reads a property's name behind its tag and returns the index of its field, -1 if there is none. Programs write the
// properties of a type in one order, so it looks at the field next first.
func (s *structPlan) find(u *unmarshaler, tag byte, next int) (int, error) {
	if tag != tagLatin1 {
		name, err := u.key(tag)
		return s.named(name), err
	}
	name, err := u.sized()
	switch {
	case err != nil:
		return -1, err
	case next < len(s.fields) && s.fields[next].name == string(name) && isASCII(name):
		return next, nil
	case !isASCII(name):
		return s.named(fromLatin1(name)), nil
	}
	if i, ok := s.byName[string(name)]; ok { // without a copy of name
		return i, nil
	}
	return -1, nil
}

func (s *structPlan) named(name string) int {
	if i, ok := s.byName[name]; ok {
		return i
	}
	return -1
}

// decode reads the field of the struct v.
func (f *field) decode(u *unmarshaler, v reflect.Value) error {
	for i, n := range f.index {
		if i > 0 && v.Kind() == reflect.Pointer {
			if v.IsNil() {
				if !v.CanSet() {
					return fmt.Errorf("it is in the embedded pointer to the unexported Go type %s, which is nil", v.Type().Elem())
				}
				v.Set(reflect.New(v.Type().Elem()))
			}
			v = v.Elem()
		}
		v = v.Field(n)
	}
	return u.value(f.plan, v)
}

// decode reads an object or a Map.
func (p *mapPlan) decode(u *unmarshaler, tag byte, v reflect.Value) error {
	if tag != tagObject && tag != tagMap {
		return misfit(tag, v)
	}
	end := byte(tagObjectEnd)
	if tag == tagMap {
		end = tagMapEnd
	}
	return p.entries(u, end, v, func(keyTag byte, key, value reflect.Value) error {
		if tag == tagMap {
			if err := u.behind(keyTag, p.key, key); err != nil {
				return inPart(".keys()", err)
			}
			if err := u.value(p.elem, value); err != nil {
				return inPart(fmt.Sprintf(".get(%.40v)", key), err)
			}
			return nil
		}
		name, err := u.key(keyTag)
		if err != nil {
			return err
		}
		if err := setKey(key, name); err != nil {
			return inProperty(name, err)
		}
		if err := u.value(p.elem, value); err != nil {
			return inProperty(name, err)
		}
		return nil
	})
}

func (p *mapPlan) decodeSet(u *unmarshaler, tag byte, v reflect.Value) error {
	if tag != tagSet {
		return misfit(tag, v)
	}
	return p.entries(u, tagSetEnd, v, func(keyTag byte, key, _ reflect.Value) error {
		if err := u.behind(keyTag, p.key, key); err != nil {
			return inPart(".keys()", err)
		}
		return nil
	})
}

// entries has read set a key and a value at a time until the end tag comes, and puts them into v.
func (p *mapPlan) entries(u *unmarshaler, end byte, v reflect.Value, read func(tag byte, key, value reflect.Value) error) error {
	if err := u.enter(1); err != nil {
		return err
	}
	defer u.leave(1)
	u.count++
	if v.IsNil() {
		v.Set(reflect.MakeMap(p.t))
	}
	key, value := reflect.New(p.t.Key()).Elem(), reflect.New(p.t.Elem()).Elem()
	for {
		tag, err := u.next()
		if err != nil {
			return err
		}
		if tag == end {
			return u.skipNumbers(1)
		}
		key.SetZero()
		value.SetZero()
		if err := read(tag, key, value); err != nil {
			return err
		}
		if !key.Comparable() {
			return inPart(".keys()", fmt.Errorf("a key of the Go type %s, which cannot be one of a Go map", key.Elem().Type()))
		}
		v.SetMapIndex(key, value)
	}
}

// setKey sets the key of a map to the name of a property.
func setKey(key reflect.Value, name string) error {
	if u, ok := key.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(name))
	}
	switch k := key.Kind(); {
	case k == reflect.String:
		key.SetString(name)
		return nil
	case k == reflect.Interface && key.NumMethod() == 0:
		key.Set(reflect.ValueOf(name))
		return nil
	case (key.CanInt() || key.CanUint()) && setScalar(key, name):
		return nil
	}
	return &misfitError{"the name " + strconv.Quote(shortened(name)), key.Type()}
}
