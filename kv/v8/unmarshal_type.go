package v8

import (
	"encoding"
	"encoding/json"
	"math"
	"math/big"
	"reflect"
	"strconv"
	"time"
)

func decodeBool(_ *unmarshaler, tag byte, v reflect.Value) error {
	if tag != tagTrue && tag != tagFalse {
		return misfit(tag, v)
	}
	v.SetBool(tag == tagTrue)
	return nil
}

func decodeInt(u *unmarshaler, tag byte, v reflect.Value) error {
	switch tag {
	case tagInt32, tagUint32, tagDouble:
		f, err := u.number(tag)
		if err != nil {
			return err
		}
		n := int64(f)
		if f != math.Trunc(f) || f < -1<<63 || f >= 1<<63 || v.OverflowInt(n) {
			return numberMisfit(f, v)
		}
		v.SetInt(n)
		return nil
	case tagBigint:
		n, err := u.bigint()
		if err != nil {
			return err
		}
		if !n.IsInt64() || v.OverflowInt(n.Int64()) {
			return bigintMisfit(n, v)
		}
		v.SetInt(n.Int64())
		return nil
	}
	return misfit(tag, v)
}

func decodeUint(u *unmarshaler, tag byte, v reflect.Value) error {
	switch tag {
	case tagInt32, tagUint32, tagDouble:
		f, err := u.number(tag)
		if err != nil {
			return err
		}
		if f != math.Trunc(f) || f < 0 || f >= 1<<64 || v.OverflowUint(uint64(f)) {
			return numberMisfit(f, v)
		}
		v.SetUint(uint64(f))
		return nil
	case tagBigint:
		n, err := u.bigint()
		if err != nil {
			return err
		}
		if !n.IsUint64() || v.OverflowUint(n.Uint64()) {
			return bigintMisfit(n, v)
		}
		v.SetUint(n.Uint64())
		return nil
	}
	return misfit(tag, v)
}

func numberMisfit(f float64, v reflect.Value) error {
	return &misfitError{"the number " + FormatNumber(f), v.Type()}
}

func bigintMisfit(n *big.Int, v reflect.Value) error {
	if n.BitLen() > 256 {
		return misfit(tagBigint, v)
	}
	return &misfitError{"the bigint " + n.String(), v.Type()}
}

func decodeFloat(u *unmarshaler, tag byte, v reflect.Value) error {
	if tag != tagInt32 && tag != tagUint32 && tag != tagDouble {
		return misfit(tag, v)
	}
	f, err := u.number(tag)
	if err != nil {
		return err
	}
	if v.OverflowFloat(f) {
		return numberMisfit(f, v)
	}
	v.SetFloat(f)
	return nil
}

func decodeString(u *unmarshaler, tag byte, v reflect.Value) error {
	s, err := u.textFor(tag, v)
	if err == nil {
		v.SetString(s)
	}
	return err
}

// textFor reads a string for v behind its tag.
func (u *unmarshaler) textFor(tag byte, v reflect.Value) (string, error) {
	if tag != tagLatin1 && tag != tagUTF16 && tag != tagUTF8 {
		return "", misfit(tag, v)
	}
	return u.text(tag)
}

// decodeScalarText reads what encodeScalarText writes, or the scalar itself.
func decodeScalarText(u *unmarshaler, tag byte, v reflect.Value) error {
	if tag != tagLatin1 && tag != tagUTF16 && tag != tagUTF8 {
		switch {
		case v.Kind() == reflect.Bool:
			return decodeBool(u, tag, v)
		case v.CanInt():
			return decodeInt(u, tag, v)
		case v.CanUint():
			return decodeUint(u, tag, v)
		}
		return decodeFloat(u, tag, v)
	}
	text, err := u.text(tag)
	if err != nil {
		return err
	}
	if !setScalar(v, text) {
		return &misfitError{"the string " + strconv.Quote(shortened(text)), v.Type()}
	}
	return nil
}

// setScalar reports whether v could be set to what text says.
func setScalar(v reflect.Value, text string) bool {
	bits := 0
	if v.Kind() != reflect.Bool {
		bits = v.Type().Bits()
	}
	switch {
	case v.Kind() == reflect.Bool:
		b, err := strconv.ParseBool(text)
		v.SetBool(b)
		return err == nil
	case v.CanInt():
		n, err := strconv.ParseInt(text, 10, bits)
		v.SetInt(n)
		return err == nil
	case v.CanUint():
		n, err := strconv.ParseUint(text, 10, bits)
		v.SetUint(n)
		return err == nil
	}
	f, err := strconv.ParseFloat(text, bits)
	v.SetFloat(f)
	return err == nil
}

func decodeTime(u *unmarshaler, tag byte, v reflect.Value) error {
	if tag != tagDate {
		return misfit(tag, v)
	}
	u.count++
	millis, err := u.double()
	if err != nil {
		return err
	}
	t, ok := (&Date{millis}).Time()
	if !ok {
		return &misfitError{"an invalid Date", v.Type()}
	}
	*v.Addr().Interface().(*time.Time) = t
	return nil
}

func decodeBigint(u *unmarshaler, tag byte, v reflect.Value) error {
	n := v.Addr().Interface().(*big.Int)
	switch tag {
	case tagBigint:
		read, err := u.bigint()
		if err == nil {
			n.Set(read)
		}
		return err
	case tagInt32, tagUint32, tagDouble:
		f, err := u.number(tag)
		if err != nil {
			return err
		}
		if f != math.Trunc(f) || math.IsInf(f, 0) {
			return numberMisfit(f, v)
		}
		big.NewFloat(f).Int(n)
		return nil
	}
	return misfit(tag, v)
}

// decodeOwn sets v, of a type of this package or a pointer to one, to what Decode returns.
func decodeOwn(u *unmarshaler, tag byte, v reflect.Value) error {
	o, err := u.tree(tag)
	if err != nil {
		return err
	}
	return setOwn(tag, o, v)
}

func setOwn(tag byte, o any, v reflect.Value) error {
	p := reflect.ValueOf(o)
	switch {
	case p.Kind() != reflect.Pointer:
	case p.Type() == v.Type():
		v.Set(p)
		return nil
	case p.Type().Elem() == v.Type():
		v.Set(p.Elem())
		return nil
	}
	return misfit(tag, v)
}

func decodeJSON(u *unmarshaler, tag byte, v reflect.Value) error {
	natural, err := u.natural(tag)
	if err != nil {
		return err
	}
	if !inJSON(natural) {
		return misfit(tag, v)
	}
	text, err := json.Marshal(natural)
	if err != nil {
		return err
	}
	return v.Addr().Interface().(json.Unmarshaler).UnmarshalJSON(text)
}

// inJSON reports whether JSON has a form for what natural has returned.
func inJSON(v any) bool {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			if !inJSON(e) {
				return false
			}
		}
	case map[string]any:
		for _, e := range v {
			if !inJSON(e) {
				return false
			}
		}
	case *big.Int:
	default:
		return v == nil || !isOwn(reflect.TypeOf(v))
	}
	return true
}

func decodeJSONNumber(u *unmarshaler, tag byte, v reflect.Value) error {
	if tag != tagInt32 && tag != tagUint32 && tag != tagDouble {
		return misfit(tag, v)
	}
	f, err := u.number(tag)
	if err != nil {
		return err
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return numberMisfit(f, v)
	}
	v.SetString(FormatNumber(f))
	return nil
}

func decodeText(u *unmarshaler, tag byte, v reflect.Value) error {
	text, err := u.textFor(tag, v)
	if err != nil {
		return err
	}
	return v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text))
}
