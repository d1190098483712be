package v8

import (
	"bytes"
	"encoding"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/big"
	"reflect"
	"strconv"
	"time"
)

// maxExact is the largest integer up to which a number holds every one exactly.
const maxExact = 1 << 53

func encodeBool(m *marshaler, v reflect.Value) error {
	m.bool(v.Bool())
	return nil
}

func encodeInt(m *marshaler, v reflect.Value) error {
	n := v.Int()
	if n < -maxExact || n > maxExact {
		return inexact(strconv.FormatInt(n, 10))
	}
	m.number(float64(n))
	return nil
}

func encodeUint(m *marshaler, v reflect.Value) error {
	n := v.Uint()
	if n > maxExact {
		return inexact(strconv.FormatUint(n, 10))
	}
	m.number(float64(n))
	return nil
}

func inexact(n string) error {
	return fmt.Errorf("%s is beyond ±2^53, where a JavaScript number loses digits; a bigint (`v8:\",bigint\"` or *big.Int) does not", n)
}

func encodeIntBigint(m *marshaler, v reflect.Value) error {
	n := v.Int()
	if n < 0 {
		m.smallBigint(-uint64(n), true)
	} else {
		m.smallBigint(uint64(n), false)
	}
	return nil
}

func encodeUintBigint(m *marshaler, v reflect.Value) error {
	m.smallBigint(v.Uint(), false)
	return nil
}

func (m *marshaler) smallBigint(magnitude uint64, negative bool) {
	m.tag(tagBigint)
	switch {
	case magnitude == 0:
		m.varint(0)
		return
	case negative:
		m.varint(8<<1 | 1)
	default:
		m.varint(8 << 1)
	}
	m.buf = binary.LittleEndian.AppendUint64(m.buf, magnitude)
}

func encodeFloat(m *marshaler, v reflect.Value) error {
	m.number(v.Float())
	return nil
}

func encodeString(m *marshaler, v reflect.Value) error { return m.text(v.String()) }

func encodeScalarText(m *marshaler, v reflect.Value) error {
	switch {
	case v.Kind() == reflect.Bool:
		return m.text(strconv.FormatBool(v.Bool()))
	case v.CanInt():
		return m.text(strconv.FormatInt(v.Int(), 10))
	case v.CanUint():
		return m.text(strconv.FormatUint(v.Uint(), 10))
	}
	return m.text(FormatNumber(v.Float()))
}

func encodeTime(m *marshaler, v reflect.Value) error {
	millis := clipDate(float64(addressable(v).Interface().(*time.Time).UnixMilli()))
	if math.IsNaN(millis) {
		return fmt.Errorf("a time that is over 273,790 years from 1970, which a Date cannot hold")
	}
	m.count++
	m.tag(tagDate)
	m.double(millis)
	return nil
}

func encodeBigint(m *marshaler, v reflect.Value) error {
	return m.bigint(tagBigint, addressable(v).Interface().(*big.Int))
}

// addressable returns a pointer to v, or to a copy of it.
func addressable(v reflect.Value) reflect.Value {
	if v.CanAddr() {
		return v.Addr()
	}
	p := reflect.New(v.Type())
	p.Elem().Set(v)
	return p
}

// encodeOwn writes a value of a type of this package. It keeps its identity if a pointer led here.
func encodeOwn(m *marshaler, v reflect.Value) error {
	switch v.Interface().(type) {
	case UndefinedType, HoleType:
		return m.value(v.Interface())
	}
	return m.value(addressable(v).Interface())
}

func encodeJSON(m *marshaler, v reflect.Value) error {
	text, err := addressable(v).Interface().(json.Marshaler).MarshalJSON()
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var parsed any
	if err = d.Decode(&parsed); err == nil {
		if _, end := d.Token(); end != io.EOF {
			err = formatError("more than a value")
		}
	}
	if err != nil {
		return fmt.Errorf("the JSON of the Go type %s: %w", v.Type(), err)
	}
	return m.any(parsed)
}

func encodeJSONNumber(m *marshaler, v reflect.Value) error {
	text := v.String()
	if n, ok := new(big.Int).SetString(text, 10); ok && n.CmpAbs(big.NewInt(maxExact)) > 0 {
		return inexact(text)
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return fmt.Errorf("%.40q, which is no number", text)
	}
	m.number(f)
	return nil
}

func encodeText(m *marshaler, v reflect.Value) error {
	text, err := addressable(v).Interface().(encoding.TextMarshaler).MarshalText()
	if err != nil {
		return err
	}
	return m.text(string(text))
}

func encodeInterface(m *marshaler, v reflect.Value) error {
	return m.any(v.Interface())
}

func (b *planner) fillPointer(p *plan, t reflect.Type, f form) {
	elem := b.plan(t.Elem(), f)
	levels := 0
	if t.Elem().Kind() == reflect.Pointer {
		levels = 1 // a type can be a pointer to itself, and nothing else
	}
	p.encode = func(m *marshaler, v reflect.Value) error {
		if v.IsNil() {
			m.tag(tagNull)
			return nil
		}
		if err := m.enter(v, levels); err != nil {
			return err
		}
		defer m.leave(v, levels)
		return elem.encode(m, v.Elem())
	}
	p.decode = func(u *unmarshaler, tag byte, v reflect.Value) error {
		if err := u.enter(levels); err != nil {
			return err
		}
		defer u.leave(levels)
		if v.IsNil() {
			v.Set(reflect.New(t.Elem()))
		}
		return elem.decode(u, tag, v.Elem())
	}
	if p.own {
		p.decode = decodeOwn
	}
}
