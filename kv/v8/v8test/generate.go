// Package v8test generates JavaScript values for tests and describes them, so that they can be compared with each other
// and with those of a real JavaScript engine.
package v8test

import (
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strconv"

	"github.com/millpondkv/millpond/kv/v8"
)

// Generator makes values of every type that Decode can return, save Host, which only Deno knows, and Opaque.
type Generator struct {
	Rand    *rand.Rand
	Acyclic bool // no object occurs within itself
	Float16 bool // with Float16Array, which Node 20 does not know

	shared []any // objects that can occur again
}

// Value returns a value that is nested at most depth deep. Objects that it shares are shared within it alone.
func (g *Generator) Value(depth int) any {
	g.shared = nil
	return g.value(depth)
}

func (g *Generator) value(depth int) any {
	if depth <= 0 || g.Rand.IntN(3) == 0 {
		return g.Primitive()
	}
	if len(g.shared) > 0 && g.Rand.IntN(8) == 0 {
		return g.shared[g.Rand.IntN(len(g.shared))]
	}
	return g.object(depth)
}

// Primitive returns a value that is not an object.
func (g *Generator) Primitive() any {
	switch g.Rand.IntN(10) {
	case 0:
		return v8.Undefined
	case 1:
		return nil
	case 2:
		return g.Rand.IntN(2) == 0
	case 3, 4, 5:
		return g.Number()
	case 6:
		return g.Bigint()
	}
	return g.Text()
}

// Number returns a number, often a special one.
func (g *Generator) Number() float64 {
	special := []float64{
		0, math.Copysign(0, -1), 1, -1, 0.1, math.NaN(), math.Inf(1), math.Inf(-1), math.MaxInt32, math.MinInt32,
		math.MaxInt32 + 1, math.MinInt32 - 1, math.MaxUint32, 1 << 30, 1 << 53, 1e21, 1e-7, 123456789012345680000,
		math.MaxFloat64, math.SmallestNonzeroFloat64,
	}
	switch g.Rand.IntN(4) {
	case 0:
		return special[g.Rand.IntN(len(special))]
	case 1:
		return float64(g.Rand.IntN(1000) - 500)
	case 2:
		return g.Rand.NormFloat64()
	}
	return math.Float64frombits(g.Rand.Uint64())
}

// Bigint returns a bigint of up to 320 bits.
func (g *Generator) Bigint() *big.Int {
	magnitude := make([]byte, g.Rand.IntN(41))
	for i := range magnitude {
		magnitude[i] = byte(g.Rand.Uint32())
	}
	n := new(big.Int).SetBytes(magnitude)
	if g.Rand.IntN(2) == 0 {
		n.Neg(n)
	}
	return n
}

// Text returns a string: of ASCII, of one-byte units, or of any, lone surrogates included.
func (g *Generator) Text() string {
	size := g.Rand.IntN(12)
	if g.Rand.IntN(20) == 0 {
		size = 100 + g.Rand.IntN(200)
	}
	limit := []rune{0x80, 0x100, 0x3000, 0x110000}[g.Rand.IntN(4)]
	var b []byte
	var last rune
	for range size {
		r := g.Rand.Int32N(limit)
		if limit == 0x110000 && g.Rand.IntN(3) == 0 {
			r = 0xd800 + g.Rand.Int32N(0x800)
		}
		if last>>10 == 0xd800>>10 && r>>10 == 0xdc00>>10 { // would be a pair, so another string when decoded
			r = 'x'
		}
		b, last = v8.AppendRune(b, r), r
	}
	return string(b)
}

func (g *Generator) object(depth int) any {
	switch g.Rand.IntN(12) {
	case 0, 1:
		return g.array(depth)
	case 2:
		m := &v8.Map{}
		done := g.open(m)
		var entries []v8.MapEntry
		for range g.Rand.IntN(5) {
			entries = append(entries, v8.MapEntry{Key: g.value(depth - 1), Value: g.value(depth - 1)})
		}
		*m = *v8.NewMap(entries...)
		done()
		return m
	case 3:
		s := &v8.Set{}
		done := g.open(s)
		var values []any
		for range g.Rand.IntN(5) {
			values = append(values, g.value(depth-1))
		}
		*s = *v8.NewSet(values...)
		done()
		return s
	case 4:
		return g.errorObject(depth)
	case 5, 6:
		return g.leaf()
	case 7, 8:
		return g.view()
	}
	o := &v8.Object{}
	done := g.open(o)
	o.Properties = g.properties(depth, 0)
	done()
	return o
}

// open makes v available to what is in it, or to what comes after it if values shall be acyclic.
func (g *Generator) open(v any) (done func()) {
	if g.Acyclic {
		return func() { g.shared = append(g.shared, v) }
	}
	g.shared = append(g.shared, v)
	return func() {}
}

// properties returns up to six properties, whose keys are no array indices below firstIndex.
func (g *Generator) properties(depth int, firstIndex uint32) []v8.Property {
	var properties []v8.Property
	for range g.Rand.IntN(7) {
		key := g.Text()
		switch g.Rand.IntN(8) {
		case 0:
			key = strconv.FormatUint(uint64(firstIndex)+uint64(g.Rand.IntN(100)), 10)
		case 1:
			key = []string{"__proto__", "constructor", "length", "-1", "01", "1.5", "4294967295", "valueOf"}[g.Rand.IntN(8)]
		case 2, 3:
			key = "key" + strconv.Itoa(g.Rand.IntN(10))
		}
		if i, ok := v8.ArrayIndex(key); ok && i < firstIndex || firstIndex > 0 && key == "length" {
			continue
		}
		if !slices.ContainsFunc(properties, func(p v8.Property) bool { return p.Key == key }) {
			properties = append(properties, v8.Property{Key: key, Value: g.value(depth - 1)})
		}
	}
	v8.SortProperties(properties)
	return properties
}

func (g *Generator) array(depth int) *v8.Array {
	a := &v8.Array{}
	done := g.open(a)
	defer done()
	for range g.Rand.IntN(6) {
		a.Elements = append(a.Elements, g.value(depth-1))
	}
	switch g.Rand.IntN(5) {
	case 0: // holes between elements
		for range g.Rand.IntN(4) {
			a.Elements = append(a.Elements, v8.Hole, g.value(depth-1))
		}
	case 1: // holes at the end
		a.Length = uint32(len(a.Elements) + 1 + g.Rand.IntN(100))
	case 2: // properties, some of them elements far away
		a.Properties = g.properties(depth, uint32(len(a.Elements)+1000))
		if n := a.Len(); n > uint32(len(a.Elements)) {
			a.Length = n
		}
	case 3:
		if g.Rand.IntN(4) == 0 {
			a.Length = math.MaxUint32
		}
	}
	return a
}

func (g *Generator) errorObject(depth int) *v8.Error {
	names := []string{"Error", "EvalError", "RangeError", "ReferenceError", "SyntaxError", "TypeError", "URIError"}
	e := &v8.Error{Name: names[g.Rand.IntN(len(names))], Message: g.Text(), Stack: g.Text()}
	if g.Rand.IntN(2) == 0 {
		e.HasCause, e.Cause = true, g.value(depth-1)
	}
	g.shared = append(g.shared, e) // not earlier: Node 20 cannot read an error that is its own cause
	return e
}

func (g *Generator) leaf() any {
	var v any
	switch g.Rand.IntN(4) {
	case 0:
		dates := []float64{0, -1, 1.7e12, 8.64e15, -8.64e15, math.NaN(), float64(g.Rand.Int64N(4e15) - 2e15)}
		v = &v8.Date{Millis: dates[g.Rand.IntN(len(dates))]}
	case 1:
		sources := []string{"(?:)", "a+b", `a\/b`, `[a/]`, `\d{1,3}`, `\n`, "日本", "é"}
		flags := []string{"", "g", "gi", "dgimsuy", "my"}
		v = &v8.RegExp{Source: sources[g.Rand.IntN(len(sources))], Flags: flags[g.Rand.IntN(len(flags))]}
	default:
		boxed := []any{true, false, g.Number(), g.Bigint(), g.Text()}
		v = &v8.Boxed{Value: boxed[g.Rand.IntN(len(boxed))]}
	}
	g.shared = append(g.shared, v)
	return v
}

// view returns a view, or now and then its buffer.
func (g *Generator) view() any {
	buffer := &v8.ArrayBuffer{Data: make([]byte, g.Rand.IntN(10)*8)}
	for i := range buffer.Data {
		buffer.Data[i] = byte(g.Rand.Uint32() % 127) // no NaN among the floats: its bits are not JavaScript's to keep
	}
	if g.Rand.IntN(4) == 0 {
		buffer.Resizable, buffer.MaxByteLength = true, uint64(len(buffer.Data)+8+g.Rand.IntN(1000))
	}
	g.shared = append(g.shared, buffer)
	if g.Rand.IntN(6) == 0 {
		return buffer
	}
	view := &v8.View{Kind: v8.ViewKinds[g.Rand.IntN(len(v8.ViewKinds))], Buffer: buffer, Length: len(buffer.Data)}
	if view.Kind == v8.KindFloat16 && !g.Float16 {
		view.Kind = v8.KindUint8
	}
	if g.Rand.IntN(3) == 0 {
		view.Offset = g.Rand.IntN(len(buffer.Data)/8+1) * 8
		view.Length = g.Rand.IntN((len(buffer.Data)-view.Offset)/8+1) * 8
	}
	if buffer.Resizable && g.Rand.IntN(2) == 0 {
		view.Tracking, view.Length = true, 0
	}
	g.shared = append(g.shared, view)
	return view
}
