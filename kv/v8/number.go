package v8

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// FormatNumber writes f as JavaScript's Number.prototype.toString does, except that -0 is "-0".
func FormatNumber(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	if a := math.Abs(f); a == 0 || a >= 1e-6 && a < 1e21 {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	s := strconv.FormatFloat(f, 'e', -1, 64) // Go writes 1e-07, JavaScript 1e-7
	mantissa, exponent, _ := strings.Cut(s, "e")
	return mantissa + "e" + exponent[:1] + strings.TrimLeft(exponent[1:], "0")
}

// Numeric is a number, or a bigint if Bigint is not nil.
type Numeric struct {
	Number float64
	Bigint *big.Int
}

// ErrNotNumeric says that a value is readable but neither a number nor a bigint.
var ErrNotNumeric = errors.New("the value is neither a number nor a bigint")

// DecodeNumeric is Decode for a number or a bigint; a number costs it no allocation. It fails with ErrNotNumeric if the
// value begins as one of another type, which it does not read further.
func DecodeNumeric(data []byte) (Numeric, error) {
	version, err := readHeader(data)
	if err != nil {
		return Numeric{}, err
	}
	d := decoder{data: data, pos: 2, version: version}
	n, err := d.numeric()
	if err != nil && err != ErrNotNumeric {
		err = fmt.Errorf("decode V8 number: %w", err)
	}
	return n, err
}

func (d *decoder) numeric() (n Numeric, err error) {
	tag, err := d.tag()
	if err == nil {
		tag, err = d.skipCount(tag)
	}
	switch {
	case err != nil:
	case tag == tagInt32 || tag == tagUint32 || tag == tagDouble:
		n.Number, err = d.number(tag)
	case tag == tagBigint:
		n.Bigint, err = d.bigint()
	default:
		err = ErrNotNumeric
	}
	return n, err
}

// fromFloat16 and toFloat16 convert IEEE 754 binary16; toFloat16 rounds to the nearest, ties to even.
func fromFloat16(h uint16) float64 {
	sign, exponent, fraction := 1.0, int(h>>10)&0x1f, float64(h&0x3ff)
	if h>>15 == 1 {
		sign = -1
	}
	switch {
	case exponent == 0x1f && fraction != 0:
		return math.NaN()
	case exponent == 0x1f:
		return math.Inf(int(sign))
	case exponent == 0:
		return math.Copysign(math.Ldexp(fraction, -24), sign)
	}
	return sign * math.Ldexp(1024+fraction, exponent-25)
}

func toFloat16(f float64) uint16 {
	var sign uint16
	if math.Signbit(f) {
		sign = 0x8000
	}
	a := math.Abs(f)
	switch {
	case math.IsNaN(f):
		return 0x7e00
	case a >= 65520: // rounds past the largest, 65504
		return sign | 0x7c00
	case a < math.Ldexp(1, -14): // subnormal, or rounds up into the smallest normal
		return sign | uint16(math.RoundToEven(math.Ldexp(a, 24)))
	}
	fraction, exponent := math.Frexp(a) // a = fraction * 2^exponent, 0.5 <= fraction < 1
	// A mantissa that rounds up to 2048 carries into the exponent, as it should.
	return sign | uint16((exponent+14)<<10) + uint16(math.RoundToEven(fraction*2048)) - 1024
}
