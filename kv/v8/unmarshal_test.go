package v8_test

import (
	"encoding/json"
	"math"
	"math/big"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/millpondkv/millpond/kv/v8"
	"github.com/millpondkv/millpond/kv/v8/literal"
	"github.com/millpondkv/millpond/kv/v8/v8test"
)

// parse returns the bytes of a value that is written as JavaScript.
func parse(t testing.TB, text string) []byte {
	t.Helper()
	v, err := literal.Parse(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return encode(t, v)
}

// What Deno programs store goes into the Go types that fit it.
func TestUnmarshal(t *testing.T) {
	type item struct {
		ID   int
		Name *string
		Tags []string
		Item *item
	}
	day := time.UnixMilli(0).UTC()
	for _, test := range []struct {
		text string
		want any
	}{
		{"1n", 1}, {"-1n", int8(-1)}, {"255n", uint8(255)}, {"1e3", uint16(1000)}, {"9007199254740994", int64(1<<53 + 2)}, {"-0", 0},
		{"5", *big.NewInt(5)}, {"-9007199254740994", *big.NewInt(-1<<53 - 2)}, {"1", 1.0}, {"4294967295", int64(math.MaxUint32)},
		{"new Number(1)", 1}, {"new Boolean(true)", true}, {`new String("x")`, "x"}, {"Object(2n)", int64(2)}, {`new String("日")`, ptr("日")},
		{"null", 0}, {"undefined", ""}, {"null", (*int)(nil)}, {"undefined", []int(nil)}, {"null", any(nil)},
		{"[1, , 3]", []int{1, 0, 3}}, {"[]", []string{}}, {"[[1], null]", [][]int{{1}, nil}}, {"[1, 2]", [2]int{1, 2}}, {"[null, 2]", [2]int{0, 2}},
		{"new Set([1, 2])", []int{1, 2}}, {"new Set([1])", [1]int{1}}, {"new Set()", []int{}},
		{"new Float32Array([0.5, 1])", []float64{0.5, 1}}, {"new Uint16Array([1, 2])", []int{1, 2}}, {"new BigInt64Array([-1n])", []int64{-1}},
		{"new Uint8Array([1])", []int{1}}, {"new Int8Array([1])", []byte{1}}, {"new Uint8Array([1, 2])", [2]byte{1, 2}}, {"new Uint8ClampedArray([1])", []byte{1}},
		{"new ArrayBuffer([1, 2])", []byte{1, 2}}, {"new Uint8Array([])", []byte{}},
		{`new Map([["a", 1]])`, map[string]int{"a": 1}}, {`{ a: 1 }`, v8.MapOf[string, int]{"a": 1}}, {`{ 1: 2, "-1": 3 }`, map[int]int{1: 2, -1: 3}},
		{`{ a: 1 }`, map[any]int{"a": 1}}, {`new Map([[1, 2], [true, 3]])`, map[any]int{1.0: 2, true: 3}},
		{`new Set(["a", new Date(0)])`, v8.SetOf[any]{"a": {}, day: {}}},
		{`{ ID: 1, id: 2, Other: [new Map([[{}, [new Error("x")]]]), 1n], Name: "n", Tags: ["a"], Item: { ID: 2, Tags: null }, more: { x: 1 } }`,
			item{1, ptr("n"), []string{"a"}, &item{ID: 2}}},
		{`{ Item: undefined, Name: "n" }`, item{Name: ptr("n")}},
		{`{ note: "n", kind: "k", Title: "t" }`, embeds{Extra: &Extra{Note: "n"}, Kind: "k"}},
		{`{ a: [1, { b: 2n }], c: undefined }`, any(map[string]any{"a": []any{1.0, map[string]any{"b": big.NewInt(2)}}, "c": nil})},
		{`[new Date(0), new Uint8Array([1]), new ArrayBuffer([1]), new Number(1), , "日"]`, any([]any{day, []byte{1}, []byte{1}, 1.0, nil, "日"})},
		{`{ a: [1, null, { b: new Date(0), c: 2n }] }`, json.RawMessage(`{"a":[1,null,{"b":"1970-01-01T00:00:00Z","c":2}]}`)},
		{`0.1`, json.Number("0.1")}, {`"127.0.0.1"`, netip.MustParseAddr("127.0.0.1")}, {`"X"`, upper("x")}, {`{ "::1": 1 }`, map[netip.Addr]int{netip.IPv6Loopback(): 1}},
		{`{ Int: 5 }`, struct {
			Int int `json:",string"`
		}{5}},
	} {
		target := reflect.New(reflect.TypeFor[any]())
		if test.want != nil {
			target = reflect.New(reflect.TypeOf(test.want))
		}
		if isNatural := strings.HasPrefix(test.text, "[new Date"); isNatural || strings.HasPrefix(test.text, "{ a: [1, { b") {
			target = reflect.New(reflect.TypeFor[any]())
		}
		if err := v8.Unmarshal(parse(t, test.text), target.Interface()); err != nil {
			t.Errorf("%s into %s: %v", test.text, target.Type().Elem(), err)
		} else if diff := cmp.Diff(test.want, target.Elem().Interface(), natural); diff != "" {
			t.Errorf("%s into %s (-want +got):\n%s", test.text, target.Type().Elem(), diff)
		}
	}
}

// natural compares values that natural Go values are made of.
var natural = cmp.Options{
	cmpopts.EquateNaNs(), cmp.AllowUnexported(embeds{}, base{}),
	cmp.Comparer(func(a, b big.Int) bool { return a.Cmp(&b) == 0 }), cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
}

// What the value does not have stays as it is; what it has takes the place of what was there.
func TestUnmarshalKeeps(t *testing.T) {
	type config struct {
		Port  int
		Hosts []string
		Env   map[string]string
		Next  *config
		Any   any
	}
	hosts := []string{"a", "b"}
	next := &config{Port: 1, Hosts: hosts}
	c := config{Port: 80, Hosts: hosts, Env: map[string]string{"a": "1"}, Next: next, Any: "x"}
	if err := v8.Unmarshal(parse(t, `{ Port: null, Hosts: ["c"], Env: { b: "2" }, Next: { Port: 2 }, Any: null }`), &c); err != nil {
		t.Fatal(err)
	}
	want := config{Port: 80, Hosts: []string{"c"}, Env: map[string]string{"a": "1", "b": "2"}, Next: &config{Port: 2, Hosts: hosts}}
	if diff := cmp.Diff(want, c); diff != "" || next != c.Next || hosts[0] != "a" {
		t.Errorf("(-want +got):\n%s\nhosts %v", diff, hosts)
	}
}

// The result shares no memory with the data.
func TestUnmarshalCopies(t *testing.T) {
	data := marshal(t, []any{"text", []byte("bytes"), map[string]any{"key": []byte("more")}})
	var v any
	if err := v8.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	clear(data)
	if diff := cmp.Diff(any([]any{"text", []byte("bytes"), map[string]any{"key": []byte("more")}}), v); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What does not fit is an error that names the field, what it is and the Go type.
func TestUnmarshalErrors(t *testing.T) {
	type order struct {
		Total float64     `json:"total"`
		At    time.Time   `json:"at"`
		Chan  chan int    `json:"chan"`
		Next  *order      `json:"next"`
		Err   error       `json:"err"`
		Addr  netip.Addr  `json:"addr"`
		JSON  json.Number `json:"json"`
	}
	type orders struct {
		Orders []order `json:"orders"`
	}
	type hidden struct{ *base }
	for _, test := range []struct {
		text   string
		target any
		want   string
	}{
		{`{ orders: [{}, {}, {}, { total: "x" }] }`, &orders{}, "decode V8 value: orders[3].total: a string does not fit the Go type float64"},
		{`{ orders: [{ next: { at: "1970" } }] }`, &orders{}, "orders[0].next.at: a string does not fit the Go type time.Time"},
		{`{ orders: [{ at: new Date(NaN) }] }`, &orders{}, "orders[0].at: an invalid Date does not fit"},
		{`{ orders: [{ chan: 1 }] }`, &orders{}, "orders[0].chan: the Go type chan int has no counterpart in JavaScript"},
		{`{ orders: [{ err: new Error("x") }] }`, &orders{}, "orders[0].err: an Error does not fit the Go type error"},
		{`{ orders: [{ addr: "x" }] }`, &orders{}, "orders[0].addr: ParseAddr"},
		{`{ orders: [{ json: NaN }] }`, &orders{}, "orders[0].json: the number NaN does not fit the Go type json.Number"},
		{`{ orders: {} }`, &orders{}, "orders: an object does not fit the Go type []v8_test.order"},
		{`"x"`, &orders{}, "decode V8 value: a string does not fit the Go type v8_test.orders"},
		{"300", new(int8), "the number 300 does not fit the Go type int8"}, {"-1", new(uint), "the number -1 does not fit"},
		{"1.5", new(int), "the number 1.5 does not"}, {"NaN", new(int), "the number NaN"}, {"Infinity", new(uint64), "the number Infinity"},
		{"9223372036854775808", new(int64), "the number 9223372036854776000 does not"}, {"18446744073709551616", new(uint64), "does not fit"},
		{"9223372036854775808n", new(int64), "the bigint 9223372036854775808 does not"}, {"-1n", new(uint8), "the bigint -1"},
		{"1n", new(float64), "a bigint does not fit the Go type float64"}, {"1e300", new(float32), "the number 1e+300"}, {"1.5", new(big.Int), "the number 1.5"},
		{"Infinity", new(big.Int), "the number Infinity"}, {"1", new(bool), "a number"}, {"true", new(string), "a boolean"}, {"true", new(int), "a boolean"},
		{"true", new(uint), "a boolean"}, {"true", new(big.Int), "a boolean"}, {"true", new(json.Number), "a boolean"}, {"1", new(upper), "a number"}, {`"bad"`, new(upper), "bad text"},
		{"[1, 2]", new([3]int), "an array of 2 elements does not fit the Go type [3]int"}, {"new Set([1, 2])", new([1]int), "more elements"},
		{"new Set([1])", new([2]int), "an array of 1 elements"}, {"new Uint8Array([1])", new([2]byte), "an array of 1 elements"},
		{"new Uint16Array([1])", new([2]int), "an array of 1 elements"}, {"[1, 2]", new([]byte), ""}, {"[256]", new([]byte), "[0]: the number 256"},
		{"new Uint16Array([256])", new([]byte), "[0]: the number 256"}, {"new Float64Array([1.5])", new([]int), "[0]: the number 1.5"},
		{"new Float64Array([1.5])", new([]string), "[0]: a number"}, {`new Host("x")`, new([]int), "an object of the runtime"},
		{"[1, <4294967290 empty items>]", new([]int), "an array of 4294967291 elements, nearly all of them holes, does not fit"},
		{"[1, <4294967290 empty items>]", new(any), "nearly all of them holes"}, {"[1, <1 empty item>, \"x\"]", new([]int), "[2]: a string"},
		{`new Map([["a", "x"]])`, new(map[string]int), "get(a): a string"}, {`new Map([[1, 1]])`, new(map[string]int), "keys(): a number"}, {`new Map()`, new(orders), "a Map"},
		{`new Map([[[1], 1]])`, new(map[any]int), "keys(): a key of the Go type []interface {}, which cannot be one of a Go map"},
		{`new Set([{}])`, new(v8.SetOf[any]), "keys(): a key of the Go type map[string]interface {}"}, {`new Set(["x"])`, new(v8.SetOf[int]), "keys(): a string"},
		{"[]", new(v8.SetOf[int]), "an array"}, {`{ x: 1 }`, new(map[int]int), `x: the name "x" does not fit the Go type int`}, {`{ 300: 1 }`, new(map[int8]int), `["300"]: the name`},
		{`{ a: 1 }`, new(map[float64]int), `a: the name "a" does not fit the Go type float64`}, {`{ bad: 1 }`, new(map[upper]int), "bad: bad text"}, {"/a/", new(*v8.Map), "a RegExp does not fit the Go type *v8.Map"},
		{"1", new(v8.Object), "a number does not fit the Go type v8.Object"}, {"new Map()", new(json.RawMessage), "a Map does not fit the Go type json.RawMessage"},
		{"[NaN]", new(json.RawMessage), "NaN"}, {"[{ a: /x/ }]", new(json.RawMessage), "an array does not fit"},
		{`{ kind: "x" }`, new(hidden), "kind: it is in the embedded pointer to the unexported Go type v8_test.base, which is nil"},
		{"{}", new(pointer), "nested more than 10000 deep"},
		{`{ Int: "x" }`, &struct {
			Int int `json:",string"`
		}{}, `Int: the string "x" does not fit the Go type int`},
		{"1", nil, "it must go to a pointer that is not nil, not to a Go <nil>"}, {"1", 5, "not to a Go int"}, {"1", (*int)(nil), "not to a Go *int"},
	} {
		err := v8.Unmarshal(parse(t, test.text), test.target)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s into %T\n got %v\nwant …%s", test.text, test.target, err, test.want)
		}
	}
}

// An object that occurs twice is read twice; one that contains itself is an error, except where it is skipped or kept as it is.
func TestUnmarshalReferences(t *testing.T) {
	type node struct {
		A, B  *inner
		Bytes []byte
		Self  *node
		Any   any
	}
	bytes := v8.Uint8Array([]byte{1, 2, 3})
	shared := &v8.Object{Properties: []v8.Property{{Key: "id", Value: 7.0}, {Key: "list", Value: &v8.Array{Elements: []any{bytes}}}}}
	self := &v8.Object{}
	self.Properties = []v8.Property{
		{Key: "skipped", Value: &v8.Array{Elements: []any{shared, bytes.Buffer, &v8.Date{}}}}, {Key: "A", Value: shared}, {Key: "B", Value: shared},
		{Key: "Bytes", Value: &v8.View{Kind: v8.KindUint8, Buffer: bytes.Buffer, Offset: 1, Length: 2}}, {Key: "Any", Value: shared}, {Key: "cycle", Value: self},
	}
	var got node
	if err := v8.Unmarshal(encode(t, self), &got); err != nil {
		t.Fatal(err)
	}
	want := node{A: &inner{ID: 7}, B: &inner{ID: 7}, Bytes: []byte{2, 3}, Any: map[string]any{"id": 7.0, "list": []any{[]byte{1, 2, 3}}}}
	if diff := cmp.Diff(want, got); diff != "" || got.A == got.B {
		t.Errorf("(-want +got):\n%s", diff)
	}
	self.Properties = append(self.Properties, v8.Property{Key: "Self", Value: &v8.Object{Properties: []v8.Property{{Key: "Self", Value: self}}}})
	const message = "Self.Self: the value contains itself"
	if err := v8.Unmarshal(encode(t, self), &got); err == nil || !strings.Contains(err.Error(), message) {
		t.Errorf("got %v, want …%s", err, message)
	}
	var kept struct{ Cycle, B *v8.Object }
	cyclic := &v8.Object{}
	cyclic.Properties = []v8.Property{{Key: "self", Value: cyclic}}
	if err := v8.Unmarshal(marshal(t, map[string]any{"A": cyclic, "B": cyclic, "Cycle": cyclic}), &kept); err != nil {
		t.Fatal(err)
	}
	if again, _ := kept.B.Get("self"); again != any(kept.B) {
		t.Error("a cycle of this package's objects is not kept")
	}
}

// A short value that stands for a huge one costs an error, as do forged lengths and depths.
func TestUnmarshalBounds(t *testing.T) {
	doubled := any(&v8.Array{Elements: []any{"x"}})
	for range 60 {
		doubled = &v8.Array{Elements: []any{doubled, doubled}}
	}
	holes := encode(t, &v8.Array{Length: math.MaxUint32})
	everything := []any{new(any), new(list), new([][8]int64), new([1]any), new(v8.Object)}
	for _, test := range []struct {
		name    string
		data    []byte
		targets []any
	}{
		{"doubled", encode(t, doubled), []any{new(any)}}, {"holes", holes, everything}, {"deep", unhex(t, "ff0f"+strings.Repeat("4101", 20_000)), everything},
		{"array", unhex(t, "ff0f 41 ffffffff0f"+strings.Repeat("30", 1000)), everything}, {"buffer", unhex(t, "ff0f 42 ffffffff0f 00"), everything},
		{"bigint", unhex(t, "ff0f 5a ffffffff0f 00"), everything},
	} {
		for _, target := range test.targets {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err := v8.Unmarshal(test.data, target)
			runtime.ReadMemStats(&after)
			if err == nil {
				t.Errorf("%s into %T succeeds", test.name, target)
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > 256<<20 {
				t.Errorf("%s into %T allocates %d MB", test.name, target, used>>20)
			}
		}
	}
}

// naturalOf is what Unmarshal should make of a value that Decode has returned.
func naturalOf(v any) any {
	switch v := v.(type) {
	case v8.UndefinedType, v8.HoleType:
		return nil
	case *v8.Object:
		m := map[string]any{}
		for _, p := range v.Properties {
			m[p.Key] = naturalOf(p.Value)
		}
		return m
	case *v8.Array:
		elements := make([]any, v.Len())
		for i, e := range v.Elements {
			elements[i] = naturalOf(e)
		}
		for _, p := range v.Properties {
			if i, ok := v8.ArrayIndex(p.Key); ok {
				elements[i] = naturalOf(p.Value)
			}
		}
		return elements
	case *v8.Date:
		if t, ok := v.Time(); ok {
			return t
		}
	case *v8.Boxed:
		return v.Value
	case *v8.ArrayBuffer:
		return v.Data
	case *v8.View:
		if v.Kind == v8.KindUint8 {
			return v.Bytes()
		}
	}
	return v
}

// Unmarshal finds in any value what Decode finds, and passes over any value that it does not want.
func TestUnmarshalGenerated(t *testing.T) {
	const count = 1_000
	g := v8test.Generator{Rand: rand.New(rand.NewPCG(7, 0)), Float16: true, Acyclic: true}
	compared := 0
	for range count {
		v := g.Value(4)
		data := encode(t, v)
		var got any
		err := v8.Unmarshal(data, &got)
		if err != nil && strings.Contains(err.Error(), "nearly all of them holes") {
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", literal.Format(v), err)
		}
		compared++
		if diff := cmp.Diff(naturalOf(v), got, natural, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("%s (-want +got):\n%s", literal.Format(v), diff)
		}
	}
	if compared < count*8/10 {
		t.Errorf("compared only %d of %d", compared, count)
	}
	g.Acyclic = false
	for range count {
		v := g.Value(4)
		last := &v8.Object{}
		data := encode(t, &v8.Object{Properties: []v8.Property{
			{Key: "skipped", Value: v}, {Key: "last", Value: &v8.Array{Elements: []any{v, last}}}, {Key: "again", Value: last},
		}})
		var got struct {
			Again *v8.Object `json:"again"` // found by its number, so all before it must be counted
		}
		if err := v8.Unmarshal(data, &got); err != nil || got.Again == nil {
			t.Fatalf("%s: %v", literal.Format(v), err)
		}
	}
}
