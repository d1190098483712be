package v8_test

import (
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/millpondkv/millpond/kv/v8"
	"github.com/millpondkv/millpond/kv/v8/literal"
)

// The struct is for Go what { name: "Alice", credits: 100n, joined: new Date(0), avatar: new Uint8Array([1, 2]) } is for Deno.
func ExampleMarshal() {
	type user struct {
		Name    string    `json:"name"`
		Credits int64     `json:"credits" v8:",bigint"`
		Joined  time.Time `json:"joined"`
		Avatar  []byte    `json:"avatar,omitempty"`
		Rank    *big.Int  `json:"rank,omitempty"`
	}
	data, err := v8.Marshal(user{Name: "Alice", Credits: 100, Joined: time.UnixMilli(0), Avatar: []byte{1, 2}})
	if err != nil {
		fmt.Println(err)
		return
	}
	v, err := v8.Decode(data)
	fmt.Println(literal.Format(v), err)
	// Output:
	// { name: "Alice", credits: 100n, joined: new Date("1970-01-01T00:00:00.000Z"), avatar: new Uint8Array([1, 2]) } <nil>
}

func ExampleUnmarshal() {
	data := []byte("\xff\x10o\"\x04name\"\x05alice\"\x05scoreI\x54{\x02") // { name: "alice", score: 42 }, as Deno wrote it
	var player struct {
		Name  string `json:"name"`
		Score int    `json:"score"`
	}
	fmt.Println(v8.Unmarshal(data, &player), player)
	var natural any
	fmt.Println(v8.Unmarshal(data, &natural), natural)
	// Output:
	// <nil> {alice 42}
	// <nil> map[name:alice score:42]
}

func ExampleFieldError() {
	type order struct {
		Total float64 `json:"total"`
	}
	data, err := v8.Marshal(map[string]any{"orders": []any{order{1}, map[string]any{"total": "a lot"}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	var orders struct {
		Orders []order `json:"orders"`
	}
	err = v8.Unmarshal(data, &orders)
	fmt.Println(err)
	var field *v8.FieldError
	if errors.As(err, &field) {
		fmt.Println(field.Path)
	}
	// Output:
	// decode V8 value: orders[1].total: a string does not fit the Go type float64
	// orders[1].total
}

func ExampleMapOf() {
	data, err := v8.Marshal(v8.MapOf[float64, string]{0.5: "half", 1: "one"})
	if err != nil {
		fmt.Println(err)
		return
	}
	v, err := v8.Decode(data)
	fmt.Println(literal.Format(v), err)
	// Output: new Map([[0.5, "half"], [1, "one"]]) <nil>
}

func ExampleSetOf() {
	data, err := v8.Marshal(v8.SetOf[string]{"b": {}, "a": {}})
	if err != nil {
		fmt.Println(err)
		return
	}
	var set v8.SetOf[string]
	fmt.Println(v8.Unmarshal(data, &set), len(set))
	var slice []string
	fmt.Println(v8.Unmarshal(data, &slice), slice)
	// Output:
	// <nil> 2
	// <nil> [a b]
}
