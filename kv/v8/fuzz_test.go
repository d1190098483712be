package v8_test

import (
	"bytes"
	"encoding/json"
	"math/big"
	"testing"
	"time"

	"github.com/millpondkv/millpond/kv/v8"
	"github.com/millpondkv/millpond/kv/v8/literal"
	"github.com/millpondkv/millpond/kv/v8/v8test"
)

// No bytes make Decode panic, and what it accepts, Encode keeps.
func FuzzDecode(f *testing.F) {
	for _, g := range readGolden(f) {
		f.Add(unhex(f, g.hex))
	}
	f.Add(unhex(f, "ff0e 6f 2201 61 5c 63 0000 2201 62 4902 7b 02")) // an Opaque
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := v8.Decode(data)
		n, numericErr := v8.DecodeNumeric(data)
		if err != nil {
			return
		}
		if f, ok := v.(float64); ok && (numericErr != nil || n.Number != f && f == f) {
			t.Fatalf("Decode says %v, DecodeNumeric %v, %v", f, n, numericErr)
		}
		written := encode(t, v)
		if _, ok := v.(*v8.Opaque); ok && !bytes.Equal(written, data) {
			t.Fatalf("%x is written as %x", data, written)
		}
		again, err := v8.Decode(written)
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

// No bytes make Unmarshal panic, whatever they go into. What goes into any is, if Marshal can write it, the same afterwards.
func FuzzUnmarshal(f *testing.F) {
	for _, g := range readGolden(f) {
		f.Add(unhex(f, g.hex))
	}
	for _, m := range marshalled {
		f.Add(marshal(f, m.value))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, target := range []any{
			new(list), new(chain), new(embeds), new(account), new([2]any), new(map[string][]int), new(v8.MapOf[any, any]), new(v8.SetOf[any]),
			new(json.RawMessage), new(*v8.Object), new([]byte), new(int8), new(upper), new(time.Time), new(map[upper]*big.Int),
		} {
			v8.Unmarshal(data, target) // most do not fit
		}
		var v, again any
		if err := v8.Unmarshal(data, &v); err != nil {
			return
		}
		written, err := v8.Marshal(v)
		if err != nil {
			return // such as a key that is no string any more
		}
		if err := v8.Unmarshal(written, &again); err != nil {
			t.Fatalf("cannot read what was written of %#v: %v", v, err)
		}
		twice, err := v8.Marshal(again)
		if err != nil || !bytes.Equal(written, twice) {
			t.Fatalf("%x is written as %x, and then as %x, %v", data, written, twice, err)
		}
	})
}
