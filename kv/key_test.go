package kv_test

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"errors"
	"math"
	"math/big"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/millpondkv/millpond/kv"
)

var equalParts = gocmp.Options{
	cmpopts.EquateNaNs(),
	gocmp.Comparer(func(a, b *big.Int) bool { return a.Cmp(b) == 0 }),
}

// What Deno 2.9.6 and @deno/kv 0.14.0 put on the wire, and the vectors of denokv's proto/codec.rs.
func TestEncode(t *testing.T) {
	for _, c := range []struct {
		key kv.Key
		hex string
	}{
		{kv.Key{}, ""},
		{kv.Key{[]byte{}}, "0100"},
		{kv.Key{[]byte{0, 255}}, "0100ffff00"},
		{kv.Key{""}, "0200"},
		{kv.Key{"a"}, "026100"},
		{kv.Key{"a\x00b"}, "026100ff6200"},
		{kv.Key{"é😀"}, "02c3a9f09f988000"},
		{kv.Key{bigint("0")}, "14"},
		{kv.Key{bigint("1")}, "1501"},
		{kv.Key{bigint("255")}, "15ff"},
		{kv.Key{bigint("256")}, "160100"},
		{kv.Key{bigint("-1")}, "13fe"},
		{kv.Key{bigint("-255")}, "1300"},
		{kv.Key{bigint("-256")}, "12feff"},
		{kv.Key{bigint("18446744073709551615")}, "1cffffffffffffffff"},
		{kv.Key{bigint("18446744073709551616")}, "1d09010000000000000000"},
		{kv.Key{bigint("-18446744073709551615")}, "0c0000000000000000"},
		{kv.Key{bigint("-18446744073709551616")}, "0bf6feffffffffffffffff"},
		{kv.Key{1.5}, "21bff8000000000000"},
		{kv.Key{-1.5}, "214007ffffffffffff"},
		{kv.Key{0.0}, "218000000000000000"},
		{kv.Key{math.Copysign(0, -1)}, "217fffffffffffffff"},
		{kv.Key{math.Inf(1)}, "21fff0000000000000"},
		{kv.Key{math.Inf(-1)}, "21000fffffffffffff"},
		{kv.Key{math.NaN()}, "21fff8000000000000"},
		{kv.Key{math.Float64frombits(0x7ff0_0000_0000_0001)}, "21fff8000000000000"},
		{kv.Key{math.Float64frombits(0xffff_ffff_ffff_ffff)}, "210007ffffffffffff"},
		{kv.Key{1}, "21bff0000000000000"},
		{kv.Key{uint8(1)}, "21bff0000000000000"},
		{kv.Key{float32(1.5)}, "21bff8000000000000"},
		{kv.Key{int64(-1 << 53)}, "213cbfffffffffffff"},
		{kv.Key{true, false}, "2726"},
		{kv.Key{"users", bigint("2"), true}, "02757365727300150227"},
	} {
		t.Run(c.key.String(), func(t *testing.T) {
			got, err := c.key.Encode()
			if err != nil || hex.EncodeToString([]byte(got)) != c.hex {
				t.Errorf("Encode: got %x, %v, want %s", string(got), err, c.hex)
			}
			if err := got.Check(); err != nil {
				t.Errorf("Check: %v", err)
			}
		})
	}
}

// A part that cannot be encoded exactly is refused with its index and what to use instead.
func TestEncodeRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		part any
		want string
	}{
		{"Nil", nil, "key part 1 is of type nil; use string, []byte, bool, *big.Int, a float or an integer"},
		{"Struct", struct{}{}, "key part 1 is of type struct {}; use string, []byte, bool, *big.Int, a float or an integer"},
		{"NilBigint", (*big.Int)(nil), "key part 1 is a nil *big.Int"},
		{"InvalidUTF8", "a\xff", "key part 1 is a string that is not valid UTF-8; use []byte for bytes"},
		{"LargeInt", int64(1<<53 + 1), "key part 1 is an integer beyond ±2^53, which a number cannot hold; use *big.Int for a bigint"},
		{"SmallInt", int64(-1<<53 - 1), "key part 1 is an integer beyond ±2^53, which a number cannot hold; use *big.Int for a bigint"},
		{"LargeUint", uint64(math.MaxUint64), "key part 1 is an integer beyond ±2^53, which a number cannot hold; use *big.Int for a bigint"},
		{"LargeBigint", new(big.Int).Lsh(big.NewInt(1), 255*8), "key part 1 is a bigint of 256 bytes; at most 255 can be encoded"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := kv.Key{"a", c.part}.Encode()
			if !errors.Is(err, kv.ErrInvalid) || err.Error() != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
	largest := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255*8), big.NewInt(1))
	if got, err := (kv.Key{largest}).Encode(); err != nil || len(got) != 257 {
		t.Errorf("the largest bigint: got %d bytes, %v, want 257", len(got), err)
	}
}

func TestMustEncodePanics(t *testing.T) {
	defer func() {
		if err, ok := recover().(error); !ok || !errors.Is(err, kv.ErrInvalid) {
			t.Errorf("recovered %v, want an ErrInvalid", err)
		}
	}()
	kv.Key{nil}.MustEncode()
	t.Error("MustEncode returned")
}

// Bytes that are not the encoding of a key, or not the only one, are refused with the place and the reason.
func TestDecodeRefuses(t *testing.T) {
	for _, c := range []struct{ name, hex, want string }{
		{"UnknownTag", "00", "part 0 of the key starts with the unknown tag 0x0"},
		{"UnknownTagFF", "2726ff", "part 2 of the key starts with the unknown tag 0xff"},
		{"BytesCutOff", "0161", "part 0 of the key is cut off"},
		{"EndEscaped", "016100ff", "part 0 of the key is cut off"},
		{"StringNotUTF8", "02ff00", "part 0 of the key is a string that is not valid UTF-8"},
		{"StringSurrogate", "02eda08000", "part 0 of the key is a string that is not valid UTF-8"},
		{"StringOverlong", "02c18100", "part 0 of the key is a string that is not valid UTF-8"},
		{"BigintCutOff", "160a", "part 0 of the key is cut off"},
		{"BigintLeadingZero", "160001", "part 0 of the key is a bigint with leading zeros"},
		{"NegativeLeadingZero", "12fffe", "part 0 of the key is a bigint with leading zeros"},
		{"LongBigintNoLength", "1d", "part 0 of the key is cut off"},
		{"LongBigintCutOff", "0bf6fe", "part 0 of the key is cut off"},
		{"LongBigintTooShort", "1d0101", "part 0 of the key is a bigint that is not in its shortest form"},
		{"LongBigintLeadingZero", "1d09000000000000000001", "part 0 of the key is a bigint that is not in its shortest form"},
		{"NumberCutOff", "02610021bff0", "part 1 of the key is cut off"},
		{"OtherNaN", "21fff8000000000001", "part 0 of the key is a NaN in another form than the canonical one"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := hex.DecodeString(c.hex)
			if err != nil {
				t.Fatal(err)
			}
			key := kv.EncodedKey(b)
			if _, err := key.Decode(); !errors.Is(err, kv.ErrInvalid) || err.Error() != c.want {
				t.Errorf("Decode: got %v, want %s", err, c.want)
			}
			if err := key.Check(); !errors.Is(err, kv.ErrInvalid) || err.Error() != c.want {
				t.Errorf("Check: got %v, want %s", err, c.want)
			}
			if got := key.String(); got != "0x"+c.hex {
				t.Errorf("String: got %s, want 0x%s", got, c.hex)
			}
		})
	}
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := keys().Draw(t, "key")
		got, err := key.MustEncode().Decode()
		if err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff(key, got, equalParts); diff != "" {
			t.Fatalf("the decoded key differs (-want +got):\n%s", diff)
		}
		if key.MustEncode() != got.MustEncode() {
			t.Fatalf("encoding %v again gives other bytes", got)
		}
	})
}

// The order of the encodings is the order of the keys, and a key sorts right before those that it is a prefix of.
func TestOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := keys().Draw(t, "a"), keys().Draw(t, "b")
		if rapid.Bool().Draw(t, "related") {
			n := rapid.IntRange(0, len(a)).Draw(t, "common")
			b = append(append(kv.Key{}, a[:n]...), b...)
		}
		if got, want := strings.Compare(string(a.MustEncode()), string(b.MustEncode())), compareKeys(a, b); got != want {
			t.Fatalf("%v and %v: the encodings compare as %d, the keys as %d", a, b, got, want)
		}
	})
}

// Damaged encodings: Check, Decode and Encode agree on what is canonical.
func TestCheckIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := []byte(keys().Draw(t, "key").MustEncode())
		for range rapid.IntRange(0, 3).Draw(t, "damages") {
			i := rapid.IntRange(0, len(b)).Draw(t, "at")
			c := rapid.SampledFrom([]byte{0x00, 0x01, 0x02, 0x0b, 0x0c, 0x14, 0x1c, 0x1d, 0x21, 0x26, 0x7f, 0xf6, 0xff}).Draw(t, "byte")
			switch {
			case rapid.Bool().Draw(t, "insert") || i == len(b):
				b = append(b[:i], append([]byte{c}, b[i:]...)...)
			case rapid.Bool().Draw(t, "cut"):
				b = b[:i]
			default:
				b[i] = c
			}
		}
		checkExact(t, kv.EncodedKey(b))
	})
}

// checkExact fails unless Check accepts key exactly if it is what Encode makes of its parts.
func checkExact(t interface{ Fatalf(string, ...any) }, key kv.EncodedKey) {
	parts, err := key.Decode()
	if checkErr := key.Check(); (checkErr == nil) != (err == nil) {
		t.Fatalf("%x: Decode says %v, Check says %v", string(key), err, checkErr)
	}
	if err != nil {
		return
	}
	if again, err := parts.Encode(); err != nil || again != key {
		t.Fatalf("%x decodes to %v, which encodes to %x, %v", string(key), parts, string(again), err)
	}
}

func FuzzEncodedKey(f *testing.F) {
	for _, key := range []kv.Key{
		{}, {[]byte{0, 255}}, {"a\x00b"}, {bigint("-18446744073709551616")}, {bigint("18446744073709551616"), bigint("-1"), bigint("256")},
		{-1.5, math.NaN()}, {true, false}, {"users", 1, []byte("x")},
	} {
		f.Add([]byte(key.MustEncode()))
	}
	for _, raw := range []string{"\x01", "\x02\xff\x00", "\x16\x00\x01", "\x1d\x01\x01", "\x21\xff\xf8\x00\x00\x00\x00\x00\x01", "\xff"} {
		f.Add([]byte(raw))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		key := kv.EncodedKey(b)
		checkExact(t, key)
		if key.String() == "" {
			t.Error("String is empty")
		}
	})
}

func TestCheckDoesNotAllocate(t *testing.T) {
	key := kv.Key{"users", []byte{1, 2}, 1.5, true, bigint("-18446744073709551616")}.MustEncode()
	if n := testing.AllocsPerRun(100, func() { _ = key.Check() }); n != 0 {
		t.Errorf("Check allocates %v times", n)
	}
}

func bigint(s string) *big.Int {
	n, ok := new(big.Int).SetString(s, 10)
	if !ok {
		panic("not a number: " + s)
	}
	return n
}

func keys() *rapid.Generator[kv.Key] {
	part := rapid.OneOf(
		rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 'a', 0xfe, 0xff}), 0, 4).AsAny(),
		rapid.SliceOf(rapid.Byte()).AsAny(),
		rapid.StringOfN(rapid.SampledFrom([]rune("\x00\x01aé😀\ufffd\U0010ffff")), 0, 4, -1).AsAny(),
		rapid.String().AsAny(),
		rapid.Custom(bigints).AsAny(),
		rapid.SampledFrom([]float64{0, math.Copysign(0, -1), 1, -1, math.Inf(1), math.Inf(-1), math.NaN(),
			math.Copysign(math.NaN(), -1), math.MaxFloat64, math.SmallestNonzeroFloat64}).AsAny(),
		rapid.Float64().AsAny(),
		rapid.Bool().AsAny(),
	)
	return rapid.Map(rapid.SliceOfN(part, 0, 4), func(parts []any) kv.Key { return append(kv.Key{}, parts...) })
}

// bigints draws bigints around the lengths where the encoding changes.
func bigints(t *rapid.T) *big.Int {
	size := rapid.SampledFrom([]int{0, 1, 2, 7, 8, 9, 10, 254, 255}).Draw(t, "size")
	n := new(big.Int).SetBytes(rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 0x7f, 0x80, 0xff}), size, size).Draw(t, "magnitude"))
	if rapid.Bool().Draw(t, "negative") {
		n.Neg(n)
	}
	return n
}

// compareKeys orders keys as Deno's manual states it, part by part, without looking at encodings.
func compareKeys(a, b kv.Key) int {
	for i := range min(len(a), len(b)) {
		if c := compareParts(a[i], b[i]); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a), len(b))
}

func compareParts(a, b any) int {
	if c := cmp.Compare(rank(a), rank(b)); c != 0 {
		return c
	}
	switch a := a.(type) {
	case []byte:
		return bytes.Compare(a, b.([]byte))
	case string:
		return strings.Compare(a, b.(string))
	case *big.Int:
		return a.Cmp(b.(*big.Int))
	case float64:
		return compareNumbers(a, b.(float64))
	}
	return 0
}

func rank(part any) int {
	switch p := part.(type) {
	case []byte:
		return 0
	case string:
		return 1
	case *big.Int:
		return 2
	case float64:
		return 3
	case bool:
		if p {
			return 5
		}
	}
	return 4
}

// compareNumbers orders -NaN < -Infinity < … < -0 < 0 < … < Infinity < NaN.
func compareNumbers(a, b float64) int {
	sign := func(f float64) int {
		if math.Signbit(f) {
			return -1
		}
		return 1
	}
	switch {
	case math.IsNaN(a) && math.IsNaN(b), a == 0 && b == 0:
		return cmp.Compare(sign(a), sign(b))
	case math.IsNaN(a):
		return sign(a)
	case math.IsNaN(b):
		return -sign(b)
	}
	return cmp.Compare(a, b)
}
