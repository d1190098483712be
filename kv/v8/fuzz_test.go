package v8_test

import (
	"bytes"
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

// No bytes make Portable panic. What it returns holds the same value, within the limit if the value was.
func FuzzPortable(f *testing.F) {
	for _, g := range readGolden(f) {
		f.Add(unhex(f, g.hex), 1<<16)
	}
	f.Fuzz(func(t *testing.T, data []byte, limit int) {
		before := bytes.Clone(data)
		portable := v8.Portable(data, limit)
		if !bytes.Equal(data, before) {
			t.Fatalf("Portable changed %x to %x", before, data)
		}
		if len(portable) > max(limit, len(data)) {
			t.Fatalf("%d bytes became %d, over the limit of %d", len(data), len(portable), limit)
		}
		v, err := v8.Decode(data)
		if err != nil {
			if len(portable) != len(data) || len(data) > 2 && !bytes.Equal(portable[2:], data[2:]) {
				t.Fatalf("%x cannot be decoded and became %x", data, portable)
			}
			return
		}
		again, err := v8.Decode(portable)
		if err != nil {
			t.Fatalf("%x became %x: %v", data, portable, err)
		}
		if got, want := v8test.Describe(again), v8test.Describe(v); got != want {
			t.Fatalf("got %s\nwant %s", got, want)
		}
	})
}
