package v8_test

import (
	"encoding/hex"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millpondkv/millpond/kv/v8"
	"github.com/millpondkv/millpond/kv/v8/literal"
	"github.com/millpondkv/millpond/kv/v8/v8test"
)

// Values with a host object of an unknown class, wherever it stands and whatever follows, are kept in their version, byte for byte.
func TestOpaque(t *testing.T) {
	for _, text := range []string{
		"ff0f 5c 63", "ff0e 5c 0e 00", "ff10 5c ac02 ffffffff", "ff0d 5c 63 42 01 00", // whole, in each version
		"ff0f 6f 2201 61 5c 63 000000000000f83f 6869 2201 62 4902 7b 02", // followed by a property
		"ff0f 41 02 5c 0a 01 78 5c 63 24 00 02",                          // behind a Buffer of Node's
		"ff0d 41 02 42 01 00 56 42 00 01 00 5c 63 24 00 02",              // behind a view with flags, in version 13
	} {
		data := unhex(t, text)
		v, err := v8.Decode(data)
		if err != nil {
			t.Errorf("Decode(%s): %v", text, err)
			continue
		}
		var natural any
		if err := v8.Unmarshal(data, &natural); err != nil {
			t.Errorf("Unmarshal(%s): %v", text, err)
			continue
		}
		shown, err := literal.Parse(literal.Format(v))
		if err != nil {
			t.Errorf("Parse(%s): %v", literal.Format(v), err)
			continue
		}
		for how, again := range map[string][]byte{
			"Encode": encode(t, v), "Marshal": marshal(t, v), "Marshal of any": marshal(t, natural), "its text": encode(t, shown),
		} {
			if diff := cmp.Diff(data, again); diff != "" {
				t.Errorf("%s after %s (-before +after):\n%s", text, how, diff)
			}
		}
		data[2]++
		if diff := cmp.Diff(unhex(t, text), encode(t, v)); diff != "" {
			t.Errorf("%s shares its memory:\n%s", text, diff)
		}
	}
}

// Only what Decode keeps whole can be written as Opaque, and only as a whole value.
func TestOpaqueErrors(t *testing.T) {
	strange := &v8.Opaque{Data: []byte("\xff\x0f\\c")}
	for want, v := range map[string]any{
		"an Opaque as part of a value":          &v8.Array{Elements: []any{strange}},
		"not a value with a host object":        &v8.Opaque{Data: []byte("\xff\x0f_")},
		"bytes are not a value":                 &v8.Opaque{},
		"a nil *Opaque":                         (*v8.Opaque)(nil),
		"an Opaque as part of a value; it can ": map[string]any{"a": strange}, // for Marshal
	} {
		_, err := v8.Encode(v)
		if _, isMap := v.(map[string]any); isMap {
			_, err = v8.Marshal(v)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("writing %#v: %v, want …%s", v, err, want)
		}
	}
	var into struct{ A int }
	err := v8.Unmarshal(unhex(t, "ff0f 6f 2201 41 5c 63 7b 01"), &into)
	if err == nil || !strings.Contains(err.Error(), "A") {
		t.Errorf("Unmarshal into a struct: %v", err)
	}
	err = v8.Unmarshal(strange.Data, new([]any))
	if err == nil || !strings.Contains(err.Error(), "a host object of the unknown class 99") {
		t.Errorf("Unmarshal into a slice: %v", err)
	}
}

// The host objects that a program writes by Node's v8 module pass through Go, Portable included, so that it reads its own again.
func TestOpaqueOfNode(t *testing.T) {
	node := v8test.Node(t)
	values := []string{
		`new Own("x")`, `{ a: new Own(""), b: [1, "é", 2n] }`, `[new Own("日本"), new Own("\\"), { c: null }]`,
		`new Map([[new Own("key"), new Set([new Own("value")])]])`,
	}
	var read v8test.Questions
	for i, answer := range node.Ask(t, "testdata/own.mjs", v8test.Questions{Write: values}).Written {
		data := unhexText(t, answer)
		v, err := v8.Decode(v8.Portable(data, math.MaxInt))
		if err != nil {
			t.Fatalf("%s: %v", values[i], err)
		}
		if _, ok := v.(*v8.Opaque); !ok {
			t.Errorf("%s is %s, want an Opaque", values[i], literal.Format(v))
		}
		again := encode(t, v)
		if diff := cmp.Diff(data, again); diff != "" {
			t.Errorf("%s (-before +after):\n%s", values[i], diff)
		}
		read.Decode = append(read.Decode, hex.EncodeToString(again))
	}
	read.Evaluate = values
	answers := node.Ask(t, "testdata/own.mjs", read)
	for i, want := range answers.Evaluated {
		if diff := cmp.Diff(string(want), string(answers.Decoded[i])); diff != "" || strings.Contains(string(want), `"error"`) {
			t.Errorf("Node reads %s otherwise (-want +got):\n%s", values[i], diff)
		}
	}
}
