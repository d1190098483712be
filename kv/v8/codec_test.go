package v8_test

import (
	"bytes"
	"errors"
	"math"
	"math/big"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millpondkv/millpond/kv/v8"
	"github.com/millpondkv/millpond/kv/v8/literal"
	"github.com/millpondkv/millpond/kv/v8/v8test"
)

// What Encode writes, Decode reads back as it was, identities included.
func TestRoundTrip(t *testing.T) {
	g := v8test.Generator{Rand: rand.New(rand.NewPCG(4, 0)), Float16: true}
	for range 5_000 {
		v := g.Value(5)
		data := encode(t, v)
		got, err := v8.Decode(data)
		if err != nil {
			t.Fatalf("Decode(%x): %v", data, err)
		}
		if diff := cmp.Diff(v8test.Describe(v), v8test.Describe(got)); diff != "" {
			t.Fatalf("Decode(%x) (-want +got):\n%s", data, diff)
		}
	}
}

// Decode reads all that V8 reads, also what V8 itself does not write.
func TestDecodeLenient(t *testing.T) {
	tests := map[string]string{
		"ff0f 4902 ffff":                              `1`, // bytes behind
		"ff0f 00 00 4902":                             `1`, // padding
		"ff0f 3f05 4902":                              `1`, // a count of objects
		"ff0f 55 ffffffff0f":                          `4294967295`,
		"ff0f 5304 f0908041":                          `"�A"`,
		"ff0f 5306 c3a9e697a5 41":                     `"é日A"`,
		"ff0f 5a11 0000000000000000":                  `0n`, // -0n
		"ff0f 49 82808080f0 00":                       `1`,  // more than 32 bits
		"ff0f 5a02 05":                                `5n`, // digits that are not whole
		"ff0f 44 000000000000f83f":                    `new Date("1970-01-01T00:00:00.001Z")`,
		"ff0f 41 02 4902 4904 4906 4902 24 01 02":     `[1, 2, <1 empty item>, 1]`,
		"ff0f 41 03 2d 4902 2d 24 00 03":              `[<1 empty item>, 1, <1 empty item>]`,
		"ff0f 61 ffffffff0f 40 00 ffffffff0f":         `[<4294967295 empty items>]`,
		"ff0f 3b 4902 4902 4902 4904 3a 04":           `new Map([[1, 2]])`,
		"ff0f 27 4e0000000000000080 2c 01":            `new Set([0])`,
		"ff0f 6f 4e000000000000f83f 4902 7b01":        `{ "1.5": 1 }`,
		"ff0f 6f 2201 62 30 4902 30 7b02":             `{ 1: null, b: null }`,
		"ff0f 72 63 4902 73 2201 73 6d 2201 6d 54 2e": `new TypeError("m", { cause: 1, stack: "s" })`, // any order
		"ff0d 42 03 010203 56 42 00 03 00":            `new Uint8Array([1, 2, 3])`,                    // 13 with flags
		"ff0f 7e 01 8080808020 00":                    `new ArrayBuffer([0], { maxByteLength: 8589934592 })`,
		"ff0f 52 2203 612f62 00":                      `new RegExp("a/b", "")`,
	}
	for text, want := range tests {
		v, err := v8.Decode(unhex(t, text))
		if err != nil {
			t.Errorf("Decode(%s): %v", text, err)
		} else if got := literal.Format(v); got != want {
			t.Errorf("Decode(%s) = %s, want %s", text, got, want)
		}
	}
}

// Bad bytes get an error that says what is wrong with them.
func TestDecodeErrors(t *testing.T) {
	tests := map[string]string{
		"":                                       "not a V8 value: it does not start with ff and a format version",
		"4902":                                   "not a V8 value: it does not start with ff and a format version",
		"ff0c 4902":                              "V8 format version 12 is not supported; versions 13 to 16 are",
		"ff11 4902":                              "V8 format version 17 is not supported; versions 13 to 16 are",
		"ff0f":                                   "the value is cut off",
		"ff0f 49":                                "the value is cut off",
		"ff0f 22 05 61":                          "the value is cut off",
		"ff0f 22 ffffffffffffffffff01":           "the value is cut off",
		"ff10 22 ffffffffffffffffffff01":         "a length of more than 64 bits",
		"ff0f 63 03 616161":                      "a two-byte string of an odd number of bytes",
		"ff0f 5a01":                              "a negative bigint without digits",
		"ff0f 7f":                                "unknown tag 0x7f",
		"ff0f 2d":                                "unknown tag 0x2d",
		"ff0f 5e 00":                             "a reference to object 0 of 0",
		"ff0f 6f 54 4902 7b01":                   "the tag 0x54 where a string should be",
		"ff0f 6f 2201 61 4902 7b02":              "1 properties where there should be 2",
		"ff0f 6f 2201 61 4902 2201 61 4902 7b02": `the property "a" occurs twice`,
		"ff0f 41 01 4902 24 00 02":               "an array that begins and ends with different lengths",
		"ff0f 41 ffffffff0f":                     "the value is cut off",
		"ff0f 3b 4902 3a 01":                     "a Map with a key without a value",
		"ff0f 52 2201 61 40":                     `a RegExp with the flags "?"`,
		"ff0f 52 2201 61 9002":                   "u and v exclude each other",
		"ff0f 52 2201 61 8004":                   "a RegExp with unknown flags 0x200",
		"ff0f 72 58":                             "unknown tag 0x58 in an Error",
		"ff0f 42 02 00 56 42 00 01 00":           "",
		"ff0f 42 01 00 56 42 00 02 00":           "a view that reaches beyond its buffer",
		"ff0f 42 01 00 56 42 ffffffffffffffffff01 0100": "a view that reaches beyond its buffer",
		"ff0f 42 04 00000000 56 64 02 00 00":            "a Int32Array that is not aligned to elements of 4 bytes",
		"ff0f 42 01 00 56 41 00 01 00":                  "a view of the unknown kind 0x41",
		"ff0f 42 01 00 56 42 00 01 02":                  "a view and its buffer of which only one is resizable",
		"ff0f 42 01 00 56 42 00 00 01":                  "tracks the length of a buffer that cannot be resized",
		"ff0f 7e 02 01 0000":                            "an ArrayBuffer of 2 bytes that says it has at most 1",
		"ff0f 75 00":                                    "shares memory with the process that wrote it",
		"ff0f 5c":                                       "the value is cut off",
		"ff0f 5c ffffffff0f":                            "the value is cut off",
	}
	for text, want := range tests {
		_, err := v8.Decode(unhex(t, text))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("Decode(%s)\n got %v\nwant …%s", text, err, want)
		}
	}
}

// A value cut off anywhere is refused, never half read.
func TestDecodeTruncated(t *testing.T) {
	for _, g := range readGolden(t) {
		data := unhex(t, g.hex)
		for n := range data {
			if v, err := v8.Decode(data[:n]); err == nil && !strings.HasPrefix(g.literal, "new ") {
				t.Errorf("%s of %s cut to %d bytes is %s", g.name, g.writer, n, literal.Format(v))
			}
		}
	}
}

// Forged lengths and depths cost an error, not memory.
func TestDecodeBounds(t *testing.T) {
	deep := strings.Repeat("4101", 20_000)
	tests := []string{
		"ff0f 41 ffffffff0f" + strings.Repeat("30", 1000),
		"ff0f 42 ffffffff0f 00",
		"ff10 7e ffffffffff01 ffffffffff01 00",
		"ff0f 5a ffffffff0f 00",
		"ff0f" + deep,
	}
	for _, text := range tests {
		data := unhex(t, text)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := v8.Decode(data)
		runtime.ReadMemStats(&after)
		if err == nil {
			t.Errorf("Decode(%.40s…) succeeds", text)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 10<<20 {
			t.Errorf("Decode(%.40s…) allocates %d bytes for %d", text, used, len(data))
		}
	}
}

// Values may nest 10,000 deep and no deeper, whichever way they go.
func TestDepth(t *testing.T) {
	nested := func(depth int) any {
		v := any(nil)
		for range depth {
			v = &v8.Array{Elements: []any{v}}
		}
		return v
	}
	v, err := v8.Decode(encode(t, nested(10_000)))
	if err != nil {
		t.Errorf("at the limit: %v", err)
	}
	if text := literal.FormatIndent(v); len(text) > 100_000 {
		t.Errorf("the text has %d bytes", len(text))
	}
	if _, err := v8.Encode(nested(10_001)); err == nil {
		t.Error("Encode takes a value that Decode refuses")
	}
}

// Encode refuses what would not be readable, and says why.
func TestEncodeErrors(t *testing.T) {
	tests := []struct {
		value any
		want  string
	}{
		{1, "a Go value of type int; a number is a float64"},
		{[]byte("x"), "a []byte; use Uint8Array"},
		{map[string]any{}, "a Go value of type map[string]interface {}"},
		{&struct{}{}, "a Go value of type *struct {}"},
		{v8.Hole, "a Hole that is not an element of an array"},
		{"\xff", "a string that is not UTF-8; use a Uint8Array for bytes"},
		{(*v8.Object)(nil), "a nil *v8.Object; nil alone is null"},
		{(*big.Int)(nil), "a nil *big.Int"},
		{&v8.Object{Properties: []v8.Property{{Key: "a"}, {Key: "a"}}}, `the property "a" occurs twice`},
		{&v8.Array{Elements: []any{1.0}, Properties: []v8.Property{{Key: "0"}}}, "the array element 0 occurs twice"},
		{&v8.RegExp{Source: "a", Flags: "x"}, `a RegExp with the flags "x"`},
		{&v8.Boxed{}, "a Boxed <nil>"},
		{&v8.View{Kind: v8.KindUint8}, "a Uint8Array without a buffer"},
		{&v8.View{Kind: v8.KindUint8, Buffer: &v8.ArrayBuffer{}, Length: 1}, "a Uint8Array that reaches beyond its buffer"},
		{&v8.ArrayBuffer{Data: []byte{1, 2}, Resizable: true}, "an ArrayBuffer of 2 bytes that says it has at most 0"},
	}
	for _, test := range tests {
		_, err := v8.Encode(test.value)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("Encode(%#v)\n got %v\nwant …%s", test.value, err, test.want)
		}
	}
}

func TestDecodeNumeric(t *testing.T) {
	for _, f := range []float64{0, 1, -1, 0.5, math.MaxInt32, math.MinInt32, math.MaxUint32, 1e300, math.Inf(1)} {
		n, err := v8.DecodeNumeric(encode(t, f))
		if err != nil || n.Number != f || n.Bigint != nil {
			t.Errorf("DecodeNumeric(%v) = %v, %v", f, n, err)
		}
	}
	n, err := v8.DecodeNumeric(encode(t, big.NewInt(-5)))
	if err != nil || n.Bigint.Int64() != -5 {
		t.Errorf("DecodeNumeric(-5n) = %v, %v", n, err)
	}
	if _, err := v8.DecodeNumeric(encode(t, "1")); !errors.Is(err, v8.ErrNotNumeric) {
		t.Errorf("DecodeNumeric of a string: %v", err)
	}
	if _, err := v8.DecodeNumeric(unhex(t, "ff0f 4e00")); err == nil || errors.Is(err, v8.ErrNotNumeric) {
		t.Errorf("DecodeNumeric of half a number: %v", err)
	}
	data := encode(t, 0.5)
	if allocs := testing.AllocsPerRun(100, func() { v8.DecodeNumeric(data) }); allocs != 0 {
		t.Errorf("DecodeNumeric allocates %v times for a number", allocs)
	}
}

// Every Float16 survives the way through its element.
func TestFloat16(t *testing.T) {
	for h := range 1 << 16 {
		v := &v8.View{Kind: v8.KindFloat16, Buffer: &v8.ArrayBuffer{Data: []byte{byte(h), byte(h >> 8)}}, Length: 2}
		f := v.At(0).(float64)
		got, err := v.Kind.AppendElement(nil, f)
		if err != nil || !bytes.Equal(got, v.Bytes()) && !math.IsNaN(f) {
			t.Fatalf("%04x is %v and comes back as %x, %v", h, f, got, err)
		}
	}
	for f, want := range map[float64]string{65519: "ff7b", 65520: "007c", 1.0 / (1 << 25): "0000", 0.1: "662e", 2049: "0068", 2051: "0268"} {
		if got, _ := v8.KindFloat16.AppendElement(nil, f); !bytes.Equal(got, unhex(t, want)) {
			t.Errorf("%v is %x, want %s", f, got, want)
		}
	}
}

func TestDate(t *testing.T) {
	now := time.Date(2024, 1, 31, 12, 0, 0, 5e6, time.UTC)
	got, ok := v8.NewDate(now).Time()
	if !ok || !got.Equal(now) {
		t.Errorf("got %v, %v", got, ok)
	}
	if _, ok := (&v8.Date{Millis: math.NaN()}).Time(); ok {
		t.Error("an invalid Date has a time")
	}
}
