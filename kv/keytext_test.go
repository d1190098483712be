package kv_test

import (
	"encoding/json"
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/millpondkv/millpond/kv"
)

func TestKeyString(t *testing.T) {
	for _, c := range []struct {
		key  kv.Key
		want string
	}{
		{kv.Key{}, `[]`},
		{kv.Key{"users", 1, bigint("2"), true, false}, `["users", 1, 2n, true, false]`},
		{kv.Key{[]byte{}, []byte{1, 255}}, `[new Uint8Array([]), new Uint8Array([1, 255])]`},
		{kv.Key{bigint("-18446744073709551616")}, `[-18446744073709551616n]`},
		// Numbers as Deno prints them.
		{kv.Key{0.0, math.Copysign(0, -1), 1.5, -1.0}, `[0, -0, 1.5, -1]`},
		{kv.Key{1e20, 123456789012345680000.0, 1e21, -1e300, 1e100}, `[100000000000000000000, 123456789012345680000, 1e+21, -1e+300, 1e+100]`},
		{kv.Key{0.000001, 1e-7, 1.5e-7, -1e-10, 5e-324}, `[0.000001, 1e-7, 1.5e-7, -1e-10, 5e-324]`},
		{kv.Key{math.Inf(1), math.Inf(-1), math.NaN()}, `[Infinity, -Infinity, NaN]`},
		{kv.Key{float32(1e6), uint8(7), int64(-1 << 53)}, `[1000000, 7, -9007199254740992]`},
		// Strings as JSON.
		{kv.Key{"", `a"b\c`, "é😀'"}, `["", "a\"b\\c", "é😀'"]`},
		{kv.Key{"\b\t\n\v\f\r\x00\a\x1b\x7f"}, `["\b\t\n\u000b\f\r\u0000\u0007\u001b\u007f"]`},
		{kv.Key{"\u0085\u200b\u2028\ufeff\U000e0001"}, `["\u0085\u200b\u2028\ufeff\udb40\udc01"]`},
	} {
		if got := c.key.String(); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
		if got := c.key.MustEncode().String(); got != c.want {
			t.Errorf("encoded: got  %s\nwant %s", got, c.want)
		}
	}
}

// A key of strings is a JSON array.
func TestStringsAreJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "s")
		var got []string
		if err := json.Unmarshal([]byte(kv.Key{s}.String()), &got); err != nil || len(got) != 1 || got[0] != s {
			t.Fatalf("%v reads as %q, %v", kv.Key{s}, got, err)
		}
	})
}

// Any finite number reads back as itself.
func TestNumbersAreJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.Float64().Draw(t, "f")
		var got []float64
		if err := json.Unmarshal([]byte(kv.Key{f}.String()), &got); err != nil || math.Float64bits(got[0]) != math.Float64bits(f) {
			t.Fatalf("%v reads as %v, %v", kv.Key{f}, got, err)
		}
	})
}
