package v8_test

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"net/netip"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millpondkv/millpond/kv/v8"
	"github.com/millpondkv/millpond/kv/v8/literal"
)

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	data, err := v8.Marshal(v)
	if err != nil {
		t.Fatalf("Marshal(%#v): %v", v, err)
	}
	return data
}

// text returns the value in data as JavaScript.
func text(t testing.TB, data []byte) string {
	t.Helper()
	v, err := v8.Decode(data)
	if err != nil {
		t.Fatalf("Decode(%x): %v", data, err)
	}
	return literal.Format(v)
}

type (
	inner struct {
		ID   int    `json:"id"`
		Name string `json:"name,omitempty"`
	}
	base struct {
		Kind  string `json:"kind"`
		Title string
	}
	Extra struct {
		Note  string `json:"note"`
		Title string
	}
	embeds struct {
		base
		*Extra
		Kind string `json:"kind"` // hides that of base
	}
	amount  int64
	list    []list
	pointer *pointer
	chain   struct {
		Next *chain `json:"next"`
	}
	upper string // its methods have a pointer as the receiver
)

func (u *upper) MarshalText() ([]byte, error) { return []byte(strings.ToUpper(string(*u))), nil }
func (u *upper) UnmarshalText(b []byte) error {
	if string(b) == "bad" {
		return errors.New("bad text")
	}
	*u = upper(strings.ToLower(string(b)))
	return nil
}

// low says of itself that it is zero, by a pointer.
type low int

func (l *low) IsZero() bool { return *l < 10 }

func ptr[T any](v T) *T { return &v }

// marshalled lists Go values with what they are in JavaScript. All of them come back as they were.
var marshalled = []struct {
	value any
	want  string
}{
	{true, "true"},
	{int8(-5), "-5"}, {uint16(65535), "65535"}, {int64(1 << 53), "9007199254740992"}, {int64(-1 << 53), "-9007199254740992"},
	{uint64(1 << 53), "9007199254740992"}, {1.5, "1.5"}, {float32(0.5), "0.5"}, {math.Inf(-1), "-Infinity"},
	{"abc", `"abc"`}, {"é", `"é"`}, {"日本", `"日本"`}, {amount(7), "7"},
	{ptr(ptr("x")), `"x"`}, {(*int)(nil), "null"},
	{[]int{1, 2}, "[1, 2]"}, {[2]string{"a", "b"}, `["a", "b"]`}, {[]int{}, "[]"}, {[]int(nil), "null"},
	{[]byte{1, 2}, "new Uint8Array([1, 2])"}, {[2]byte{1, 2}, "new Uint8Array([1, 2])"}, {[]byte(nil), "null"},
	{map[string]int{"b": 1, "a": 2, "10": 3, "9": 4}, `{ 9: 4, 10: 3, a: 2, b: 1 }`}, {map[string]int(nil), "null"},
	{map[int]bool{-1: true, 2: false}, `{ 2: false, "-1": true }`},
	{map[netip.Addr]int{netip.MustParseAddr("::1"): 1}, `{ "::1": 1 }`},
	{v8.MapOf[string, int]{"b": 1, "a": 2}, `new Map([["a", 2], ["b", 1]])`},
	{v8.MapOf[float64, []string]{0.5: {"x"}, -1: nil}, `new Map([[-1, null], [0.5, ["x"]]])`},
	{v8.MapOf[uint, bool]{2: true, 1: false}, `new Map([[1, false], [2, true]])`},
	{v8.SetOf[int]{2: {}, 1: {}}, `new Set([1, 2])`},
	{time.UnixMilli(1706702400500).UTC(), `new Date("2024-01-31T12:00:00.500Z")`}, {time.Time{}, `new Date("0001-01-01T00:00:00.000Z")`},
	{big.NewInt(-5), "-5n"}, {(*big.Int)(nil), "null"},
	{json.Number("1.5"), "1.5"}, {netip.MustParseAddr("127.0.0.1"), `"127.0.0.1"`},
	{upper("x"), `"X"`}, {[]upper{"x"}, `["X"]`},
	{inner{ID: 1, Name: "x"}, `{ id: 1, name: "x" }`}, {inner{}, `{ id: 0 }`}, {&inner{ID: 1}, `{ id: 1 }`},
	{[]inner{{ID: 1}, {ID: 2}}, `[{ id: 1 }, { id: 2 }]`},
	{embeds{base{"", ""}, &Extra{"n", ""}, "k"}, `{ note: "n", kind: "k" }`}, // two Titles of one depth are none
	{struct {
		Big   int64            `v8:",bigint"`
		Zero  uint8            `v8:"zero,bigint"`
		Low   int64            `json:"low" v8:",bigint"`
		Slice []*int           `v8:",bigint"`
		Map   map[string]int16 `v8:"map,bigint"`
	}{math.MaxInt64, 0, math.MinInt64, []*int{ptr(1), nil}, map[string]int16{"x": -2}},
		`{ Big: 9223372036854775807n, zero: 0n, low: -9223372036854775808n, Slice: [1n, null], map: { x: -2n } }`},
	{struct {
		Int   int64   `json:"int,string"`
		Float float64 `json:",string"`
		Bool  *bool   `json:"bool,string"`
		Uint  uint64  `json:",string"`
	}{math.MaxInt64, 0.5, ptr(true), 1}, `{ int: "9223372036854775807", Float: "0.5", bool: "true", Uint: "1" }`},
	{struct {
		Empty  *int      `json:"empty,omitempty"`
		Slice  []int     `json:",omitempty"`
		Time   time.Time `json:"time,omitzero"`
		Zero   inner     `json:",omitzero"`
		Dash   int       `v8:"-,"`
		Ü      string    // a name of one-byte units
		Wide   string    `json:"日本"`
		Number int       `json:"7"`
	}{Ü: "u", Wide: "j"}, `{ 7: 0, "-": 0, "Ü": "u", "日本": "j" }`},
	{struct {
		Any  any            `json:"any"`
		Anys []any          `json:"anys"`
		Map  map[string]any `json:"map"`
	}{
		map[string]any{"a": 1.0, "b": []any{nil, true, "x"}},
		[]any{big.NewInt(1), []byte{1}, time.UnixMilli(0).UTC(), 0.5},
		map[string]any{"x": map[string]any{}},
	}, `{ any: { a: 1, b: [null, true, "x"] }, anys: [1n, new Uint8Array([1]), new Date("1970-01-01T00:00:00.000Z"), 0.5], map: { x: {} } }`},
	{struct {
		RegExp *v8.RegExp
		Map    *v8.Map
		Date   v8.Date
		Error  *v8.Error
		Host   *v8.Host
	}{
		&v8.RegExp{Source: "a", Flags: "g"}, v8.NewMap(v8.MapEntry{Key: 1.0, Value: &v8.Object{}}), v8.Date{Millis: 0},
		&v8.Error{Name: "TypeError", Message: "m"}, &v8.Host{Description: "d"},
	}, `{ RegExp: /a/g, Map: new Map([[1, {}]]), Date: new Date("1970-01-01T00:00:00.000Z"), ` +
		`Error: new TypeError("m"), Host: new Host("d") }`},
}

// Go values are what a Deno program expects, and come back as they were.
func TestMarshal(t *testing.T) {
	compare := cmp.Options{
		cmp.AllowUnexported(embeds{}, base{}), cmp.Comparer(func(a, b *big.Int) bool { return a.String() == b.String() }),
		cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	}
	for _, test := range marshalled {
		data := marshal(t, test.value)
		if got := text(t, data); got != test.want {
			t.Errorf("Marshal(%#v)\n got %s\nwant %s", test.value, got, test.want)
		}
		back := reflect.New(reflect.TypeOf(test.value))
		if err := v8.Unmarshal(data, back.Interface()); err != nil {
			t.Errorf("Unmarshal(%s) into %T: %v", test.want, test.value, err)
		} else if diff := cmp.Diff(test.value, back.Elem().Interface(), compare); diff != "" {
			t.Errorf("%s comes back otherwise (-want +got):\n%s", test.want, diff)
		}
	}
}

// What comes back as something else, or goes only one way.
func TestMarshalOneWay(t *testing.T) {
	type ignored struct {
		Skipped func() `json:"-"`
		Also    func() `v8:"-"`
		private chan int
		*Extra
	}
	type raw struct{ Raw json.RawMessage }
	type zeros struct {
		A low  `json:",omitzero"`
		B *low `json:",omitempty,omitzero"`
		C any  `json:",omitzero"`
		D low  `json:"d,omitzero"`
	}
	for _, test := range []struct {
		value any
		want  string
	}{
		{nil, "null"}, {v8.Undefined, "undefined"}, {&v8.Undefined, "undefined"}, {&v8.Array{Length: 2}, "[<2 empty items>]"},
		{ignored{private: nil}, "{}"},
		{raw{json.RawMessage(`{"a":[1,null,0.5]}`)}, "{ Raw: { a: [1, null, 0.5] } }"},
		{url.URL{Host: "x"}, text(t, marshal(t, &url.URL{Host: "x"}))},
		{time.Unix(0, 1_999_999).In(time.FixedZone("", 3600)), `new Date("1970-01-01T00:00:00.001Z")`},
		{time.Unix(0, -1), `new Date("1969-12-31T23:59:59.999Z")`},
		{[]any{int8(1), json.Number("2")}, "[1, 2]"},
		{zeros{5, ptr(low(5)), nil, 50}, "{ d: 50 }"}, {&zeros{C: low(5)}, "{ C: 5 }"},
		{map[string]any{"a": v8.Undefined}, "{ a: undefined }"},
	} {
		if got := text(t, marshal(t, test.value)); got != test.want {
			t.Errorf("Marshal(%#v)\n got %s\nwant %s", test.value, got, test.want)
		}
	}
}

// What cannot be written is an error that names the field, in a line.
func TestMarshalErrors(t *testing.T) {
	type order struct {
		Total any            `json:"total"`
		Notes map[string]any `json:"notes"`
	}
	type orders struct {
		Orders []order `json:"orders"`
	}
	in := func(v any) orders { return orders{[]order{{}, {Total: v}}} }
	loop := &chain{}
	loop.Next = loop
	self := list{nil}
	self[0] = self
	circle := map[string]any{}
	circle["x"] = []any{circle}
	var knot pointer
	knot = &knot
	deep := any(nil)
	for range 10_001 {
		deep = []any{deep}
	}
	byValue := any(nil)
	for range 10_001 {
		byValue = struct{ V any }{byValue}
	}
	for _, test := range []struct {
		value any
		want  string
	}{
		{in(make(chan int)), "encode V8 value: orders[1].total: the Go type chan int has no counterpart in JavaScript"},
		{in(func() {}), "orders[1].total: the Go type func() has no"}, {in(complex(1, 1)), "the Go type complex128 has no"},
		{make(chan int), "encode V8 value: the Go type chan int has no counterpart in JavaScript"},
		{struct{ F func() }{}, "F: the Go type func() has no"},
		{in(int64(1<<53 + 1)), "orders[1].total: 9007199254740993 is beyond ±2^53, where a JavaScript number loses digits"},
		{in(uint64(math.MaxUint64)), "orders[1].total: 18446744073709551615 is beyond"},
		{in(json.Number("-9007199254740993")), "-9007199254740993 is beyond"}, {in(json.Number("x")), `"x", which is no number`},
		{in("a\xff"), "orders[1].total: a string that is not UTF-8"},
		{map[string]any{"a b": map[string]any{"": "\xff"}}, `["a b"][""]: a string that is not UTF-8`},
		{map[string]int{"\xff": 1}, `["\xff"]: a string that is not UTF-8`},
		{map[string]any{strings.Repeat("日", 100): func() {}}, `["日日日日日日日日日日日日日\xe6…"]: the Go type func()`},
		{order{Notes: map[string]any{"x": []any{0, in(nil), func() {}}}}, "notes.x[2]: the Go type func()"},
		{time.UnixMilli(math.MaxInt64), "a time that is over 273,790 years from 1970"},
		{map[float64]int{1: 1}, "a map with keys of the Go type float64 cannot be an object; MapOf is a Map"},
		{map[[1]upper]int{}, ""}, {map[upper]int{"a": 1}, ""},
		{v8.MapOf[string, any]{"k": func() {}}, "get(k): the Go type func()"}, {v8.SetOf[any]{struct{ C chan int }{}: {}}, "keys()[0].C: the"},
		{json.RawMessage("{"), "the JSON of the Go type json.RawMessage: unexpected EOF"},
		{json.RawMessage("{} x"), "the JSON of the Go type json.RawMessage: more than a value"},
		{loop, "next.next.next.next.next"}, {loop, "…: the value contains itself"}, {self, "the value contains itself"}, {circle, "x[0].x[0].x"},
		{knot, "the value contains itself"}, {deep, "nested more than 10000 deep"}, {byValue, "V.V.V"},
		{v8.Hole, "a Hole that is not an element of an array"}, {&v8.View{}, "a view of the unknown kind"},
	} {
		_, err := v8.Marshal(test.value)
		switch {
		case test.want == "" && err != nil:
			t.Errorf("Marshal(%T): %v", test.value, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("Marshal of a %T\n got %v\nwant …%s", test.value, err, test.want)
		case err != nil && len(err.Error()) > 400:
			t.Errorf("Marshal of a %T: an error of %d bytes", test.value, len(err.Error()))
		}
	}
	var field *v8.FieldError
	if _, err := v8.Marshal(in(func() {})); !errors.As(err, &field) || field.Path != "orders[1].total" {
		t.Errorf("got %#v, want a FieldError of orders[1].total", err)
	}
}

// A failed Marshal leaves nothing behind for the next, nor does one of a large value.
func TestMarshalAgain(t *testing.T) {
	want := marshal(t, inner{ID: 1})
	for _, v := range []any{[]any{[]any{1, func() {}}}, strings.Repeat("x", 1<<20), &v8.Object{}} {
		v8.Marshal(v)
		if diff := cmp.Diff(want, marshal(t, inner{ID: 1})); diff != "" {
			t.Errorf("after a Marshal of a %T (-want +got):\n%s", v, diff)
		}
	}
}

// Objects of this package keep their identity in a value of Go's.
func TestMarshalShared(t *testing.T) {
	shared := &v8.Object{}
	shared.Properties = []v8.Property{{Key: "self", Value: shared}}
	data := marshal(t, []any{inner{}, time.Time{}, []byte{1}, map[string]int{}, shared, v8.MapOf[int, int]{}, shared})
	v, err := v8.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	elements := v.(*v8.Array).Elements
	if first, second := elements[4].(*v8.Object), elements[6]; first != second || first.Properties[0].Value != any(first) {
		t.Errorf("got %s", literal.Format(v))
	}
}

// The properties of a struct are those that encoding/json gives it.
func TestFieldsAsJSON(t *testing.T) {
	type Deep struct{ A, B, C int }
	type Tagged struct {
		A int `json:"B"`
		D int
	}
	type Left struct {
		Deep
		E int
	}
	type Right struct{ E, F int }
	type Named struct{ G int }
	type Loop struct {
		*Named
		*inner
		H int
	}
	type Recursive struct {
		*chain
		I int
	}
	type MyInt int
	for _, v := range []any{
		struct{ Left }{}, struct {
			Left
			Right
		}{}, struct {
			Left
			Tagged
		}{}, struct {
			Named `json:"named"`
			Right
		}{}, Loop{}, Loop{Named: &Named{}, inner: &inner{}}, Recursive{}, struct {
			MyInt
			*MyInt2
		}{}, struct {
			Interface
			base
		}{}, struct {
			Empty  struct{} `json:",omitempty"`
			Array  [0]int   `json:",omitempty"`
			One    [1]int   `json:",omitempty"`
			False  bool     `json:",omitempty"`
			Struct Right    `json:",omitempty,omitzero"`
		}{},
	} {
		var natural any
		if err := v8.Unmarshal(marshal(t, v), &natural); err != nil {
			t.Fatal(err)
		}
		got, err := json.Marshal(natural)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var parsed any
		if err := json.Unmarshal(text, &parsed); err != nil {
			t.Fatal(err)
		}
		want, _ := json.Marshal(parsed)
		if string(got) != string(want) {
			t.Errorf("%T\n got %s\nwant %s", v, got, want)
		}
	}
}

type (
	MyInt2    int
	Interface interface{ M() }
)

// Many goroutines may meet a type at once, also one that refers to itself.
func TestPlansConcurrently(t *testing.T) {
	for n := range 50 {
		fresh := reflect.StructOf([]reflect.StructField{{Name: "Chains", Type: reflect.ArrayOf(n, reflect.TypeFor[*chain]())}})
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				v := reflect.New(fresh)
				if err := v8.Unmarshal(marshal(t, v.Interface()), v.Interface()); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
}
