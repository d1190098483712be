package v8_test

import (
	"testing"

	"github.com/millpondkv/millpond/kv/v8"
	"github.com/millpondkv/millpond/kv/v8/literal"
	"github.com/millpondkv/millpond/kv/v8/v8test"
)

// No bytes make Decode panic, and what it accepts, Encode keeps.
func FuzzDecode(f *testing.F) {
	for _, g := range readGolden(f) {
		f.Add(unhex(f, g.hex))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := v8.Decode(data)
		n, numericErr := v8.DecodeNumeric(data)
		if err != nil {
			return
		}
		if f, ok := v.(float64); ok && (numericErr != nil || n.Number != f && f == f) {
			t.Fatalf("Decode says %v, DecodeNumeric %v, %v", f, n, numericErr)
		}
		again, err := v8.Decode(encode(t, v))
		if err != nil {
			t.Fatalf("cannot decode what was encoded of %s: %v", v8test.Describe(v), err)
		}
		if got, want := v8test.Describe(again), v8test.Describe(v); got != want {
			t.Fatalf("got %s\nwant %s", got, want)
		}
		literal.FormatIndent(v)
	})
}
