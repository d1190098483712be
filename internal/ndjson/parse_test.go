package ndjson_test

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millpondkv/millpond/internal/ndjson"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kv/v8"
	"github.com/millpondkv/millpond/kv/v8/literal"
	"github.com/millpondkv/millpond/kv/v8/v8test"
)

// Lines in the form of kv-utils are read, and written again as they were.
func TestParseGolden(t *testing.T) {
	golden, err := os.ReadFile("testdata/kv-utils.ndjson")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(golden)) {
		e, err := ndjson.Parse(line)
		if err != nil {
			t.Errorf("%v\n%s", err, line)
			continue
		}
		if got := string(ndjson.Append(nil, e)); got != line {
			t.Errorf("written again\n%s want\n%s", got, line)
		}
	}
}

// What Append writes comes back, expiry and all.
func TestParseEntry(t *testing.T) {
	want := ndjson.Entry{
		Key: kv.Key{"a", []byte{0, 255}, big.NewInt(-7), 1.5, math.Inf(-1), true}, ExpireAt: 1_700_000_000_123,
		Value:        kv.Value{Encoding: kv.EncodingLE64, Data: []byte{255, 255, 255, 255, 255, 255, 255, 255}},
		Versionstamp: kv.NewVersionstamp(3, 4),
	}
	got, err := ndjson.Parse(string(ndjson.Append(nil, want)))
	if err != nil {
		t.Fatal(err)
	}
	bigs := cmp.Comparer(func(a, b *big.Int) bool { return a.Cmp(b) == 0 })
	if diff := cmp.Diff(want, got, bigs); diff != "" {
		t.Error(diff)
	}
}

// Any value comes back as it was: the bytes are the same, or JavaScript sees no difference.
func TestParseAnyValue(t *testing.T) {
	for _, js := range []string{
		`null`, `undefined`, `"a\ud800\n"`, `-0`, `NaN`, `-5n`, `{ a: [1, , true, ,], "1": {}, "__proto__": 1 }`, `new Date(0)`,
		`new Date(8.64e15)`, `new Date(-1e14)`, `new Date(NaN)`, `/a\/b/gi`, `new Map([[{}, new Set([2n])]])`, `new Number(1)`, `[1, name: "x"]`,
		`new URIError("m", { cause: undefined, stack: "at" })`, `new Float64Array([1, NaN])`, `new Uint8Array([1])`, `new Uint8Array([1]).buffer`,
	} {
		v, err := literal.Parse(js)
		if err != nil {
			t.Fatalf("%s: %v", js, err)
		}
		roundTrip(t, js, v)
	}
}

func TestParseRandom(t *testing.T) {
	for seed := range uint64(3000) {
		g := v8test.Generator{Rand: rand.New(rand.NewPCG(seed, 1)), Float16: true}
		roundTrip(t, fmt.Sprintf("seed %d", seed), g.Value(4))
	}
}

func roundTrip(t *testing.T, name string, v any) {
	t.Helper()
	data, err := v8.Encode(v)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	line := ndjson.Append(nil, ndjson.Entry{Key: kv.Key{"k"}, Versionstamp: kv.NewVersionstamp(1, 0), Value: kv.Value{Encoding: kv.EncodingV8, Data: data}})
	e, err := ndjson.Parse(string(line))
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, line)
	}
	if again := ndjson.Append(nil, e); string(again) != string(line) {
		t.Errorf("%s: written again\n%s want\n%s", name, again, line)
	}
	if e.Value.Encoding == kv.EncodingV8 {
		if back, err := v8.Decode(e.Value.Data); err != nil || v8test.Describe(back) != v8test.Describe(v) {
			t.Errorf("%s: came back as %s, %v", name, literal.Format(back), err)
		}
	}
}

// What is not understood is refused in a sentence, never read as something else.
func TestParseErrors(t *testing.T) {
	line := func(value string) string { return `{"key":[{"type":"string","value":"k"}],"value":` + value + `}` }
	for _, test := range []struct{ line, want string }{
		{`{"key":`, "the line is not JSON"},
		{`[]`, `no object|not an object`},
		{`{"value":{"type":"null","value":null}}`, `no "key"`},
		{`{"key":[{"type":"string","value":"k"}],"value":null,"versionstamp":null}`, "no entry"},
		{`{"key":[{"type":"null","value":null}],"value":{"type":"null","value":null}}`, "part 0 is not a string"},
		{`{"key":["k"],"value":{"type":"null","value":null}}`, "part 0: a value is an object"},
		{`{"key":[],"value":{"type":"null","value":null},"more":1}`, `"more": it is none of`},
		{`{"key":[],"value":{"type":"null","value":null},"versionstamp":"12"}`, "20 hex digits"},
		{`{"key":[],"value":{"type":"null","value":null},"expireAt":"soon"}`, "not a time"},
		{line(`{"type":"KvU64","value":"18446744073709551616"}`), "KvU64"},
		{line(`{"type":"Array","value":[],"v8":"+"}`), `"v8" is not`},
		{line(`{"type":"Array","value":[{"type":"KvU64","value":"1"}]}`), "only be a whole value"},
		{line(`{"type":"Uint8Array","value":"AQI","byteLength":3}`), "not the byteLength"},
		{line(`{"type":"Uint8Array","value":"+/"}`), "base64url"},
		{line(`{"type":"Uint16Array","value":"AQ"}`), "whole elements"},
		{line(`{"type":"Blob","value":""}`), `type "Blob" is unknown`},
		{line(`{"type":"number","value":"1"}`), "does not fit"},
		{line(`{"type":"bigint","value":1}`), "does not fit"},
		{line(`{"type":"RegExp","value":"x"}`), "RegExp"},
		{line(`{"type":"Date","value":"today"}`), "Date"},
		{line(`{"type":"Error","value":{"message":"m","code":{"type":"number","value":1}}}`), `cannot have "code"`},
		{line(`{"type":"object","value":{"a":1}}`), `"a": a value is an object`},
		{line(`{"type":"Map","value":[[{"type":"null","value":null}]]}`), "not a key and a value"},
	} {
		_, err := ndjson.Parse(test.line)
		found := false
		for want := range strings.SplitSeq(test.want, "|") {
			found = found || err != nil && strings.Contains(err.Error(), want)
		}
		if !found {
			t.Errorf("%s\nsays %v, want %q", test.line, err, test.want)
		}
	}
}
