package literal_test

import (
	"errors"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kv/v8"
	"github.com/millpondkv/millpond/kv/v8/literal"
	"github.com/millpondkv/millpond/kv/v8/v8test"
)

// What Format writes, on one line or on several, Parse reads back.
func TestFormatParse(t *testing.T) {
	g := v8test.Generator{Rand: rand.New(rand.NewPCG(2, 0)), Acyclic: true, Float16: true}
	for range 5_000 {
		v := g.Value(4)
		want := v8test.DescribeTree(v)
		for _, text := range []string{literal.Format(v), literal.FormatIndent(v)} {
			got, err := literal.Parse(text)
			if err != nil {
				t.Fatalf("Parse(%s): %v", text, err)
			}
			if diff := cmp.Diff(want, v8test.DescribeTree(got)); diff != "" {
				t.Fatalf("Parse(%s) (-want +got):\n%s", text, diff)
			}
		}
	}
}

// A text that is already as Format writes it stays as it is.
func TestFormat(t *testing.T) {
	for _, want := range formats {
		v, err := literal.Parse(want)
		if err != nil {
			t.Errorf("Parse(%s): %v", want, err)
			continue
		}
		if got := literal.Format(v); got != want {
			t.Errorf("Format(Parse(%s)) = %s", want, got)
		}
	}
}

// JavaScript has several ways to write a value.
func TestParse(t *testing.T) {
	for text, want := range variants {
		v, err := literal.Parse(text)
		if err != nil {
			t.Errorf("Parse(%s): %v", text, err)
			continue
		}
		if got := literal.Format(v); got != want {
			t.Errorf("Format(Parse(%s))\n got %s\nwant %s", text, got, want)
		}
	}
}

// An error says where, and what would be right.
func TestParseErrors(t *testing.T) {
	tests := map[string]string{
		``:                           `line 1, column 1: expected a value, found the end of the text`,
		"{ a: 1,\n  b c: 2 }":        `line 2, column 5: expected ':' after the key "b", found c`,
		`[1 2]`:                      `line 1, column 4: expected ',' or ']', found '2'`,
		`{ a: 1`:                     `line 1, column 7: expected ',' or '}', found the end of the text`,
		`"日本" x`:                     `line 1, column 6: expected the end of the value, found x`,
		`alice`:                      `line 1, column 1: expected a value, found alice; a string needs quotes`,
		`"abc`:                       `line 1, column 1: the string that begins here has no " at its end`,
		`[012]`:                      `line 1, column 2: "012" is not a number as JavaScript writes them`,
		`1__0`:                       `line 1, column 1: "1__0" is not a number as JavaScript writes them`,
		`1.5n`:                       `line 1, column 1: "1.5n" is not a number as JavaScript writes them`,
		`3px`:                        `line 1, column 1: "3px" is not a number as JavaScript writes them`,
		`-x`:                         `line 1, column 2: expected a number, found x`,
		`"\u12"`:                     `line 1, column 2: expected \xNN, \uNNNN or \u{N…} with hexadecimal digits up to 10ffff`,
		`new Uint8Array([1, 300])`:   `line 1, column 5: element 1 is 300: it does not fit in a Uint8Array, which takes integers from 0 to 255`,
		`new Uint8Array(1e9)`:        `line 1, column 5: new Uint8Array takes a length of up to 65536 bytes in all`,
		`new Map([1])`:               `line 1, column 5: entry 0 of the Map is not of the form [key, value]`,
		`[new Opaque("ff0f5c63")]`:   `line 1, column 6: an Opaque can only be the whole value, not a part of one`,
		`new Opaque("ff0f5f")`:       `line 1, column 5: new Opaque takes a string, the bytes in hex of a value that only its writer can read`,
		`Date.now()`:                 `line 1, column 1: expected a value, found Date; a string needs quotes`,
		`fetch("x")`:                 `line 1, column 1: expected a value, found a call of fetch; only constructors such as new Date(…) can be read`,
		`<ref *1> { a: 1 }`:          `line 1, column 1: expected a value; a value that contains itself (<ref *1>) cannot be written as a literal`,
		`/a/gg`:                      `line 1, column 1: a RegExp with the flags "gg"; each of d, g, i, m, s, u, v and y can be there once`,
		"`${x}`":                     "line 1, column 2: a template with ${…} is no literal; write \\${ for the characters",
		`new Date("tomorrow")`:       `line 1, column 5: "tomorrow" is no date that can be read; write it as 2006-01-02 or 2006-01-02T15:04:05.000Z, with Z or an offset such as +01:00`,
		strings.Repeat("[", 100_000): `line 1, column 10001: the value is nested more than 10000 deep`,
	}
	for text, want := range tests {
		v, err := literal.Parse(text)
		if err == nil {
			t.Errorf("Parse(%s) = %s, want an error", text, literal.Format(v))
		} else if err.Error() != want {
			t.Errorf("Parse(%s)\n got %s\nwant %s", text, err, want)
		}
	}
}

// The time to read a long text does not grow with its square.
func TestParseLong(t *testing.T) {
	for _, item := range []string{"{},", "[],", "1,", `"a",`, ",", "NaN,", "x: 1,"} {
		_, err := literal.Parse("[" + strings.Repeat(item, 300_000) + "]")
		if (err != nil) != (item == "x: 1,") {
			t.Errorf("300,000 times %s: %v", item, err)
		}
	}
}

// Circles are shown as Node and Deno show them, at whichever object they close.
func TestFormatCircular(t *testing.T) {
	o := &v8.Object{}
	inner := &v8.Array{Elements: []any{1.0, o}}
	inner.Elements = append(inner.Elements, inner)
	o.Properties = []v8.Property{{Key: "self", Value: o}, {Key: "inner", Value: inner}}

	got := literal.Format(o)
	want := `<ref *1> { self: [Circular *1], inner: <ref *2> [1, [Circular *1], [Circular *2]] }`
	if got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// A small value that shares its objects can have an endless text; it is cut short.
func TestFormatShared(t *testing.T) {
	var v any = "x"
	for range 60 {
		v = &v8.Array{Elements: []any{v, v}}
	}
	if got := literal.Format(v); len(got) > 20<<20 || !strings.Contains(got, "…") {
		t.Errorf("got a text of %d bytes", len(got))
	}
}

func TestFormatIndent(t *testing.T) {
	const text = `{ name: "alice", numbers: [1, 2, 3], long: ["a string of some length", "another string of some length", { a: 1 }],
		bytes: new Uint8Array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25]),
		map: new Map([["key", 1]]) }`
	const want = `{
  name: "alice",
  numbers: [1, 2, 3],
  long: ["a string of some length", "another string of some length", { a: 1 }],
  bytes: new Uint8Array([
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20,
    21, 22, 23, 24, 25
  ]),
  map: new Map([["key", 1]])
}`
	v, err := literal.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, literal.FormatIndent(v)); diff != "" {
		t.Errorf("FormatIndent (-want +got):\n%s", diff)
	}
}

// The text of a key is a literal of the same key.
func TestParseKey(t *testing.T) {
	g := v8test.Generator{Rand: rand.New(rand.NewPCG(3, 0))}
	for range 3_000 {
		var key kv.Key
		for range g.Rand.IntN(5) {
			key = append(key, keyPart(&g))
		}
		got, err := literal.ParseKey(key.String())
		if err != nil {
			t.Fatalf("ParseKey(%s): %v", key, err)
		}
		if got.MustEncode() != key.MustEncode() {
			t.Fatalf("ParseKey(%s) = %s", key, got)
		}
	}
}

func keyPart(g *v8test.Generator) any {
	switch g.Rand.IntN(6) {
	case 0:
		return g.Rand.IntN(2) == 0
	case 1:
		return g.Bigint()
	case 2:
		f := g.Number()
		if f != f {
			return big.NewInt(0) // a NaN of either sign is NaN in JavaScript
		}
		return f
	case 3:
		return []byte(g.Text())
	case 4:
		return g.Rand.IntN(1000)
	}
	return strings.ToValidUTF8(g.Text()+string(rune(g.Rand.IntN(40)))+"\U000e0001", "")
}

func TestParseKeyErrors(t *testing.T) {
	tests := map[string]string{
		`"users"`:                      `a key is an array such as ["users", 1], not "users"`,
		`["users", null]`:              `key part 1 is null; a part is a string, a number, a bigint such as 2n, true, false, or new Uint8Array([…])`,
		`[users]`:                      `the key is not an array such as ["users", 1]: line 1, column 2: expected a value, found users; a string needs quotes`,
		`["a",,1]`:                     `the key: element 1 is missing`,
		`["\ud800"]`:                   `key part 0 is a string that is not valid UTF-8; use []byte for bytes`,
		`[new Uint16Array([1, 2])]`:    `key part 0 is new Uint16Array([1, 2]); a part is a string, a number, a bigint such as 2n, true, false, or new Uint8Array([…])`,
		`["a", <4000000 empty items>]`: `the key: an array with holes or properties cannot be used here`,
	}
	for text, want := range tests {
		_, err := literal.ParseKey(text)
		if !errors.Is(err, kv.ErrInvalid) || err.Error() != want {
			t.Errorf("ParseKey(%s)\n got %v\nwant %s", text, err, want)
		}
	}
}
