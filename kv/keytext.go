package kv

import (
	"fmt"
	"math"
	"math/big"
	"reflect"
	"strconv"
	"strings"
)

// String shows the key as JavaScript would write it: ["users", 1, 2n, true, new Uint8Array([1, 2])].
func (k Key) String() string {
	var b strings.Builder
	b.WriteByte('[')
	for i, part := range k {
		if i > 0 {
			b.WriteString(", ")
		}
		writePart(&b, part)
	}
	b.WriteByte(']')
	return b.String()
}

// String shows the key as JavaScript would write it, or its bytes in hex if it does not decode.
func (e EncodedKey) String() string {
	k, err := e.Decode()
	if err != nil {
		return fmt.Sprintf("0x%x", string(e))
	}
	return k.String()
}

func writePart(b *strings.Builder, part any) {
	switch p := part.(type) {
	case []byte:
		b.WriteString("new Uint8Array([")
		for i, c := range p {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(strconv.Itoa(int(c)))
		}
		b.WriteString("])")
	case string:
		b.WriteString(strconv.Quote(p))
	case *big.Int:
		b.WriteString(p.String() + "n")
	case float64:
		b.WriteString(formatNumber(p))
	default:
		fmt.Fprint(b, p)
	}
}

// formatNumber writes f as a JavaScript literal.
func formatNumber(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	case f == 0 && math.Signbit(f):
		return "-0"
	}
	if a := math.Abs(f); a < 1e21 && (a >= 1e-6 || a == 0) {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}

const maxExactInteger = 1 << 53

// integer returns part as a number if it is of an integer kind: nil if a number cannot hold it exactly.
func integer(part any) (f *float64, ok bool) {
	v := reflect.ValueOf(part)
	var n float64
	switch {
	case v.CanInt():
		if i := v.Int(); i < -maxExactInteger || i > maxExactInteger {
			return nil, true
		}
		n = float64(v.Int())
	case v.CanUint():
		if v.Uint() > maxExactInteger {
			return nil, true
		}
		n = float64(v.Uint())
	default:
		return nil, false
	}
	return &n, true
}

func typeName(v any) string {
	if v == nil {
		return "nil"
	}
	return reflect.TypeOf(v).String()
}
