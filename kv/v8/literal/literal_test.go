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
	for range 20_000 {
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
	texts := []string{
		`null`, `undefined`, `true`, `false`, `NaN`, `Infinity`, `-Infinity`, `0`, `-0`, `1`, `-1.5`, `1e+21`, `1e-7`,
		`0.000001`, `123456789012345680000`, `2n`, `-36893488147419103232n`, `""`, `"it's \"so\"\\"`, `"\n\t\u0000\u007f\u2028"`,
		`"日本 😀"`, `"\ud800x"`, `"\udb40\udc01"`,
		`[]`, `[1, 2]`, `[1, <1 empty item>, 3, <5 empty items>]`, `[1, <1000 empty items>, 2, name: "x", "a b": 1]`,
		`[<4294967295 empty items>]`, `{}`, `{ a: 1, $b_2: { 7: [] }, "c d": null, "": 0, "-1": 1 }`, `{ ["__proto__"]: 1 }`,
		`new Map()`, `new Map([["a", 1], [{}, new Map()]])`, `new Set()`, `new Set([1, "a"])`,
		`new Date("2024-01-31T12:00:00.500Z")`, `new Date("-000001-01-01T00:00:00.000Z")`, `new Date("+275760-09-13T00:00:00.000Z")`,
		`new Date("0000-01-01T00:00:00.000Z")`, `new Date(NaN)`, `/a\/b[/]/gi`, `new RegExp("", "")`, `new RegExp("a\n", "g")`,
		`new Error("")`, `new TypeError("m", { cause: undefined, stack: "s" })`,
		`new Boolean(false)`, `new Number(-0)`, `new String("x")`, `Object(2n)`,
		`new Uint8Array([1, 255])`, `new Uint8Array([])`, `new Float32Array([0.10000000149011612, NaN, -0])`,
		`new BigInt64Array([-1n])`, `new Float16Array([1.5])`, `new Uint8Array([1, 2]).buffer`,
		`new Int16Array(new Uint8Array([1, 2, 3, 4]).buffer, 2, 1)`, `new DataView(new Uint8Array([1]).buffer, 0, 1)`,
		`new ArrayBuffer([1], { maxByteLength: 8 })`, `new Uint8Array(new ArrayBuffer([1], { maxByteLength: 8 }))`,
		`new Float64Array(new Uint8Array([1, 0, 0, 0, 0, 0, 248, 127]).buffer, 0, 1)`,
		`new Host({ type: "Blob" })`,
	}
	for _, want := range texts {
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
	tests := map[string]string{ // text to what Format makes of it
		" // a comment\n/* another */ 1 /* after */":        `1`,
		`{"a": [1, 2.5e3, true, null], "b": {}, }`:          `{ a: [1, 2500, true, null], b: {} }`,
		`{ b: 1, 'a-b': 2, 3: 4, 0x10: 5, 1.50: 6, b: 7, }`: `{ 3: 4, 16: 5, b: 7, "a-b": 2, "1.5": 6 }`,
		`{ new: 1, null: 2, __proto__: 3 }`:                 `{ new: 1, null: 2, ["__proto__"]: 3 }`,
		`[,]`:                                               `[<1 empty item>]`,
		`[1,,2,]`:                                           `[1, <1 empty item>, 2]`,
		`[true, null]`:                                      `[true, null]`,
		`0xff`:                                              `255`,
		`0XFFn`:                                             `255n`,
		`0b101`:                                             `5`,
		`0o17`:                                              `15`,
		`0x20000000000001`:                                  `9007199254740992`,
		`1_000_000.5`:                                       `1000000.5`,
		`1_000n`:                                            `1000n`,
		`.5`:                                                `0.5`,
		`5.`:                                                `5`,
		`-.5E-3`:                                            `-0.0005`,
		`+1`:                                                `1`,
		`-Infinity`:                                         `-Infinity`,
		`1e999`:                                             `Infinity`,
		`'it\'s "so"'`:                                      `"it's \"so\""`,
		"`two\nlines \\${x} \\``":                           "\"two\\nlines ${x} `\"",
		`"\x41\u0042\u{43}\0\v\q\` + "\n" + `d"`:            `"ABC\u0000\u000bqd"`,
		`"\ud83d\ude00 \uD83D"`:                             `"😀 \ud83d"`,
		`new Date("2024-01-31")`:                            `new Date("2024-01-31T00:00:00.000Z")`,
		`new Date("2024-01-31T12:00+01:00")`:                `new Date("2024-01-31T11:00:00.000Z")`,
		`new Date(1.9)`:                                     `new Date("1970-01-01T00:00:00.001Z")`,
		`new Date(1e99)`:                                    `new Date(NaN)`,
		`new Date("+002024-01-31T00:00:00Z")`:               `new Date("2024-01-31T00:00:00.000Z")`,
		`new Map([[1, 2], [-0, 3], [1, 4], [0, 5], [1n, 6]])`:     `new Map([[1, 4], [0, 5], [1n, 6]])`,
		`new Set([NaN, NaN, 1n, 1n, {}, {}])`:                     `new Set([NaN, 1n, {}, {}])`,
		`new Uint8Array(3)`:                                       `new Uint8Array([0, 0, 0])`,
		`new Uint8Array()`:                                        `new Uint8Array([])`,
		`new Uint16Array(new Uint8Array([1, 0, 2, 0]).buffer, 2)`: `new Uint16Array(new Uint8Array([1, 0, 2, 0]).buffer, 2, 1)`,
		`new Uint16Array(new ArrayBuffer(2))`:                     `new Uint16Array([0])`,
		`new DataView(new ArrayBuffer(1))`:                        `new DataView(new Uint8Array([0]).buffer, 0, 1)`,
		`RegExp("a", "yg")`:                                       `/a/gy`,
		`TypeError("m")`:                                          `new TypeError("m")`,
		`Object("x")`:                                             `new String("x")`,
		`BigInt(5)`:                                               `5n`,
		`BigInt("0x10")`:                                          `16n`,
	}
	for text, want := range tests {
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
		`new Uint8Array(1e9)`:        `line 1, column 5: new Uint8Array takes a length of up to 1048576 bytes in all`,
		`new Map([1])`:               `line 1, column 5: entry 0 of the Map is not of the form [key, value]`,
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
	for range 10_000 {
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
