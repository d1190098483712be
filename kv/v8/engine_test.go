package v8_test

import (
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/millpondkv/millpond/kv/v8"
	"github.com/millpondkv/millpond/kv/v8/v8test"
)

// What Marshal writes, a real engine takes for the value that a programmer would write there in JavaScript; and what it stores
// of that, Unmarshal takes for the Go value.
func TestEnginesMarshal(t *testing.T) {
	t.Run("Node", func(t *testing.T) { compareMarshalled(t, v8test.Node(t)) })
	t.Run("Deno", func(t *testing.T) { compareMarshalled(t, v8test.Deno(t)) })
}

func compareMarshalled(t *testing.T, engine v8test.Engine) {
	var questions v8test.Questions
	var values []any
	for _, m := range marshalled {
		if strings.Contains(m.want, "Host") { // and an Error, whose stack says where it was made
			continue
		}
		values = append(values, m.value)
		questions.Decode = append(questions.Decode, hex.EncodeToString(marshal(t, m.value)))
		questions.Evaluate = append(questions.Evaluate, m.want)
		questions.Write = append(questions.Write, m.want)
	}
	answers := engine.Ask(t, oracleScript, questions)
	for i, value := range values {
		if diff := cmp.Diff(string(answers.Evaluated[i]), string(answers.Decoded[i])); diff != "" {
			t.Errorf("the engine does not read %s from what Marshal writes of %#v (-want +got):\n%s", questions.Evaluate[i], value, diff)
		}
		back := reflect.New(reflect.TypeOf(value))
		if err := v8.Unmarshal(unhexText(t, answers.Written[i]), back.Interface()); err != nil {
			t.Errorf("Unmarshal of the engine's %s: %v", questions.Write[i], err)
		} else if diff := cmp.Diff(value, back.Elem().Interface(), natural); diff != "" {
			t.Errorf("Unmarshal of the engine's %s (-want +got):\n%s", questions.Write[i], diff)
		}
	}
}

// Real engines and Go programs agree on values of every kind: what Unmarshal makes of the bytes that an engine writes is what
// Decode finds in them, and what Marshal writes of that, the engine reads as Decode does.
func TestEnginesUnmarshal(t *testing.T) {
	t.Run("Node", func(t *testing.T) { compareNatural(t, v8test.Node(t)) })
	t.Run("Deno", func(t *testing.T) { compareNatural(t, v8test.Deno(t)) })
}

func compareNatural(t *testing.T, engine v8test.Engine) {
	const seed, count = 8, 1000
	g := v8test.Generator{Rand: rand.New(rand.NewPCG(seed, 0)), Float16: engine.Float16, Acyclic: true}
	var write, read v8test.Questions
	for range count {
		write.Store = append(write.Store, json.RawMessage(v8test.Describe(g.Value(4))))
	}
	var ours []string
	for _, answer := range engine.Ask(t, oracleScript, write).Stored {
		data := unhexText(t, answer)
		v, err := v8.Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		var got any
		if err := v8.Unmarshal(data, &got); err != nil {
			if !strings.Contains(err.Error(), "nearly all of them holes") {
				t.Errorf("Unmarshal(%x): %v", data, err)
			}
			continue
		}
		if diff := cmp.Diff(naturalOf(v), got, natural, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("Unmarshal(%x) (-want +got):\n%s", data, diff)
		}
		written, err := v8.Marshal(got)
		if err != nil {
			continue // a property whose name has a lone surrogate, or the like
		}
		ours = append(ours, describe(t, written))
		read.Decode = append(read.Decode, hex.EncodeToString(written))
	}
	if len(ours) < count*8/10 {
		t.Errorf("compared only %d of %d", len(ours), count)
	}
	for i, theirs := range engine.Ask(t, oracleScript, read).Decoded {
		if diff := cmp.Diff(ours[i], string(theirs)); diff != "" {
			t.Errorf("the engine reads %s otherwise (-want +got):\n%s", read.Decode[i], diff)
		}
	}
}

// unhexText returns the bytes that an engine has answered with.
func unhexText(t *testing.T, answer json.RawMessage) []byte {
	t.Helper()
	var text string
	if err := json.Unmarshal(answer, &text); err != nil {
		t.Fatalf("the engine cannot write: %s", answer)
	}
	return unhex(t, text)
}

// Deno's own objects pass through Go unchanged, and Deno reads them again.
func TestHostObjects(t *testing.T) {
	deno := v8test.Deno(t)
	hosts := []string{
		`new Blob(["x"], { type: "text/plain" })`, `new File(["x"], "name")`, `new DOMException("m", "DataError")`,
		`crypto.subtle.generateKey({ name: "HMAC", hash: "SHA-256" }, true, ["sign"])`,
	}
	types := []string{"Blob", "File", "DOMException", "CryptoKey"}
	written := deno.Ask(t, oracleScript, v8test.Questions{Write: hosts}).Written
	var again v8test.Questions
	for i, answer := range written {
		data := unhexText(t, answer)
		v, err := v8.Decode(data)
		if err != nil {
			t.Fatalf("%s: %v", types[i], err)
		}
		var inGo struct{ Host *v8.Host }
		if err := v8.Unmarshal(marshal(t, map[string]any{"Host": v}), &inGo); err != nil {
			t.Fatalf("%s: %v", types[i], err)
		}
		for _, rewritten := range [][]byte{encode(t, v), marshal(t, inGo.Host)} {
			if diff := cmp.Diff(describe(t, data), describe(t, rewritten)); diff != "" {
				t.Errorf("%s (-before +after):\n%s", types[i], diff)
			}
			again.Decode = append(again.Decode, hex.EncodeToString(rewritten))
		}
	}
	for i, got := range deno.Ask(t, oracleScript, again).Decoded {
		if want := `["host",0,"` + types[i/2] + `"]`; string(got) != want {
			t.Errorf("Deno reads %s, want %s", got, want)
		}
	}
}

func describe(t *testing.T, data []byte) string {
	t.Helper()
	v, err := v8.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	return v8test.Describe(v)
}
