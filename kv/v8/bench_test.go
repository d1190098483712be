package v8_test

import (
	"math/big"
	"testing"
	"time"

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

// account is user as a Go program has it.
type account struct {
	ID       int       `json:"id"`
	Name     string    `json:"name"`
	Email    string    `json:"email"`
	Age      int       `json:"age"`
	Balance  float64   `json:"balance"`
	Active   bool      `json:"active"`
	Referrer *string   `json:"referrer"`
	Created  time.Time `json:"created"`
	Roles    []string  `json:"roles"`
	Note     string    `json:"note"`
}

func BenchmarkUnmarshal(b *testing.B) {
	data := encode(b, user())
	b.Run("struct", func(b *testing.B) { benchmarkUnmarshal[account](b, data) })
	b.Run("any", func(b *testing.B) { benchmarkUnmarshal[any](b, data) })
}

func benchmarkUnmarshal[T any](b *testing.B, data []byte) {
	b.ReportAllocs()
	for b.Loop() {
		var v T
		if err := v8.Unmarshal(data, &v); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMarshal(b *testing.B) {
	data := encode(b, user())
	b.Run("struct", func(b *testing.B) { benchmarkMarshal[account](b, data) })
	b.Run("any", func(b *testing.B) { benchmarkMarshal[any](b, data) })
}

func benchmarkMarshal[T any](b *testing.B, data []byte) {
	var v T
	if err := v8.Unmarshal(data, &v); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v8.Marshal(&v); err != nil {
			b.Fatal(err)
		}
	}
}
