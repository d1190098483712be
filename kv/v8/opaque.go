package v8

import (
	"bytes"
	"reflect"
)

// Opaque is a whole value, its header included, that only the program that wrote it can read: it has a host object of that
// program's own, as a subclass of Node's v8.Serializer writes them. Nothing in the bytes tells where such an object ends, so
// what comes behind it cannot be read either, and the value cannot be part of another. Encode and Marshal write Data as it is.
type Opaque struct {
	Data []byte
}

// opaque returns the value in data, a copy, if only its writer can read it.
func opaque(data []byte) (*Opaque, bool) {
	if _, d, _ := decode(data); !d.strange {
		return nil, false
	}
	return &Opaque{Data: bytes.Clone(data)}, true
}

// written returns the bytes of o, a copy. It fails if they are not such a value.
func (o *Opaque) written() ([]byte, error) {
	if o == nil {
		return nil, formatError("a nil *Opaque")
	}
	again, ok := opaque(o.Data)
	if !ok {
		return nil, formatError("an Opaque whose bytes are not a value with a host object of an unknown class")
	}
	return again.Data, nil
}

// setOpaque sets what v stands for to o, if its type can hold it.
func setOpaque(v reflect.Value, o *Opaque) bool {
	if v.Kind() == reflect.Interface && v.NumMethod() == 0 {
		v.Set(reflect.ValueOf(o))
		return true
	}
	return setOwn(tagHostObject, o, v) == nil
}
