package v8_test

import (
	"math/big"
	"testing"

	"github.com/millpondkv/millpond/kv/v8"
)

// user is an object of ten properties, as programs store them.
func user() *v8.Object {
	return &v8.Object{Properties: []v8.Property{
		{Key: "id", Value: 4711.0},
		{Key: "name", Value: "Alice Liddell"},
		{Key: "email", Value: "alice@example.com"},
		{Key: "age", Value: 42.0},
		{Key: "balance", Value: 1234.56},
		{Key: "active", Value: true},
		{Key: "referrer", Value: nil},
		{Key: "created", Value: &v8.Date{Millis: 1706702400500}},
		{Key: "roles", Value: &v8.Array{Elements: []any{"admin", "editor"}}},
		{Key: "note", Value: "sees the Cheshire cat, mostly on Tuesdays"},
	}}
}

func BenchmarkDecode(b *testing.B) {
	data := encode(b, user())
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := v8.Decode(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	v := user()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v8.Encode(v); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeNumeric(b *testing.B) {
	for name, v := range map[string]any{"number": 0.5, "bigint": big.NewInt(5)} {
		data := encode(b, v)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v8.DecodeNumeric(data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
