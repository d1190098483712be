package kv

import (
	"fmt"
	"math"
	"math/big"
	"reflect"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
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
		writeString(b, p)
	case *big.Int:
		b.WriteString(p.String() + "n")
	case float64:
		b.WriteString(formatNumber(p))
	case float32:
		b.WriteString(formatNumber(float64(p)))
	default:
		fmt.Fprint(b, p)
	}
}

// writeString writes s as a literal that is a string of JavaScript and of JSON alike, and that no terminal takes amiss:
// what does not print is escaped.
func writeString(b *strings.Builder, s string) {
	b.WriteByte('"')
	for _, r := range s {
		switch r {
		case '"', '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case '\b':
			b.WriteString(`\b`)
		case '\t':
			b.WriteString(`\t`)
		case '\n':
			b.WriteString(`\n`)
		case '\f':
			b.WriteString(`\f`)
		case '\r':
			b.WriteString(`\r`)
		default:
			if unicode.IsPrint(r) {
				b.WriteRune(r)
				continue
			}
			for _, unit := range utf16.Encode([]rune{r}) {
				fmt.Fprintf(b, `\u%04x`, unit)
			}
		}
	}
	b.WriteByte('"')
}

// formatNumber writes f as JavaScript does (ECMA-262, Number::toString), but -0 with its sign: as a part of a key it
// differs from 0.
func formatNumber(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	if a := math.Abs(f); math.IsNaN(f) || a == 0 || 1e-6 <= a && a < 1e21 {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	s := strconv.FormatFloat(f, 'e', -1, 64)
	return strings.Replace(s, "e-0", "e-", 1) // Go writes two digits of exponent at least
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
