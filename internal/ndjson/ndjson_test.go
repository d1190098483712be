package ndjson_test

import (
	"encoding/json"
	"math"
	"math/big"
	"testing"

	"github.com/millpondkv/millpond/internal/ndjson"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kv/v8"
	"github.com/millpondkv/millpond/kv/v8/literal"
)

// A line is what @deno/kv-utils writes, and expireAt.
func TestAppend(t *testing.T) {
	u64 := kv.Value{Encoding: kv.EncodingLE64, Data: []byte{7, 0, 0, 0, 0, 0, 0, 0}}
	v := kv.NewVersionstamp(1, 0)
	tests := []struct {
		entry ndjson.Entry
		want  string
	}{
		{ndjson.Entry{Key: kv.Key{"u8", []byte{1, 2, 255}, big.NewInt(-1), math.Inf(1), 1.5, 3, true}, Value: u64, Versionstamp: v},
			`{"key":[{"type":"string","value":"u8"},{"type":"Uint8Array","value":"AQL_","byteLength":3},{"type":"bigint","value":"-1"},` +
				`{"type":"number","value":"Infinity"},{"type":"number","value":1.5},{"type":"number","value":3},{"type":"boolean","value":true}],` +
				`"value":{"type":"KvU64","value":"7"},"versionstamp":"00000000000000010000"}`},
		{ndjson.Entry{Key: kv.Key{"a"}, Value: kv.Value{Encoding: kv.EncodingBytes, Data: []byte{8}}, Versionstamp: v, ExpireAt: 1500},
			`{"key":[{"type":"string","value":"a"}],"value":{"type":"Uint8Array","value":"CA","byteLength":1},` +
				`"versionstamp":"00000000000000010000","expireAt":"1970-01-01T00:00:01.500Z"}`},
		{ndjson.Entry{Key: kv.Key{"a"}}, `{"key":[{"type":"string","value":"a"}],"value":null,"versionstamp":null}`},
	}
	for _, test := range tests {
		if got := string(ndjson.Append(nil, test.entry)); got != test.want+"\n" {
			t.Errorf("line\n%s want\n%s", got, test.want)
		}
	}
}

// Every type of value has its form, and what has none is kept as V8.
func TestAppendValue(t *testing.T) {
	tests := []struct{ js, want string }{
		{`null`, `{"type":"null","value":null}`},
		{`undefined`, `{"type":"undefined"}`},
		{`"a\ud800\n"`, `{"type":"string","value":"a\ud800\n"}`},
		{`-0`, `{"type":"number","value":-0}`},
		{`NaN`, `{"type":"number","value":"NaN"}`},
		{`5n`, `{"type":"bigint","value":"5"}`},
		{`{ a: [1, , true], b: {} }`, `{"type":"object","value":{"a":{"type":"Array","value":[{"type":"number","value":1},null,` +
			`{"type":"boolean","value":true}]},"b":{"type":"object","value":{}}}}`},
		{`new Date(0)`, `{"type":"Date","value":"1970-01-01T00:00:00.000Z"}`},
		{`/x/gi`, `{"type":"RegExp","value":"/x/gi"}`},
		{`new Map([[1, new Set([2n])]])`, `{"type":"Map","value":[[{"type":"number","value":1},{"type":"Set","value":[{"type":"bigint","value":"2"}]}]]}`},
		{`new RangeError("boom", { cause: 1, stack: "at" })`,
			`{"type":"RangeError","value":{"message":"boom","cause":{"type":"number","value":1},"stack":"at"}}`},
		{`new Uint16Array([1, 2])`, `{"type":"Uint16Array","value":"AQACAA","byteLength":4}`},
		{`new Uint8Array([1, 2]).buffer`, `{"type":"ArrayBuffer","value":"AQI","byteLength":2}`},
		{`new Number(1)`, `V8`},
		{`new Date(NaN)`, `V8`},
		{`new ArrayBuffer([1, 2], { maxByteLength: 8 })`, `V8`},
		{`[1, name: "x"]`, `V8`},
	}
	for _, test := range tests {
		v, err := literal.Parse(test.js)
		if err != nil {
			t.Fatalf("%s: %v", test.js, err)
		}
		checkValue(t, test.js, v, test.want)
	}
	cycle := &v8.Array{Elements: []any{nil}}
	cycle.Elements[0] = cycle
	checkValue(t, "a cycle", cycle, "V8")
	var deep, shared any = 1.0, 1.0
	for range 2000 {
		deep = &v8.Array{Elements: []any{deep}}
	}
	for range 40 {
		shared = &v8.Array{Elements: []any{shared, shared}}
	}
	checkValue(t, "a deep array", deep, "V8")
	checkValue(t, "2^40 parts", shared, "V8")
	checkValue(t, "another program's host object", &v8.Opaque{Data: []byte("\xff\x0e\\c")}, "V8")
	broken := ndjson.AppendValue(nil, kv.Value{Encoding: kv.EncodingV8, Data: []byte{1}})
	if got, want := string(broken), `{"type":"V8","value":"AQ","byteLength":1}`; got != want {
		t.Errorf("broken bytes: %s, want %s", got, want)
	}
}

// checkValue compares the JSON of v with want; "V8" stands for its bytes.
func checkValue(t *testing.T, name string, v any, want string) {
	t.Helper()
	data, err := v8.Encode(v)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	got := ndjson.AppendValue(nil, kv.Value{Encoding: kv.EncodingV8, Data: data})
	if want == "V8" {
		var line struct {
			Type  string
			Value string
		}
		if err := json.Unmarshal(got, &line); err != nil || line.Type != "V8" {
			t.Errorf("%s: %.100s, want the type V8", name, got)
		}
		return
	}
	if !json.Valid(got) || string(got) != want {
		t.Errorf("%s: %s, want %s", name, got, want)
	}
}
