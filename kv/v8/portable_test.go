package v8_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millpondkv/millpond/kv/v8"
	"github.com/millpondkv/millpond/kv/v8/v8test"
)

func TestPortable(t *testing.T) {
	const noLimit = math.MaxInt
	tests := []struct {
		name, data string
		limit      int
		want       string // "" for data itself
	}{
		{"Deno's version", "ff10 4902", noLimit, "ff0f 4902"},
		{"Deno's version, whatever the limit", "ff10 4902", 1, "ff0f 4902"},
		{"Node's Uint8Array", "ff0f 6f220162 5c01020102 7b01", noLimit, "ff0f 6f220162 42020102 56420002 00 7b01"},
		{"Node's Buffer", "ff0f 5c0a0101", noLimit, "ff0f 420101 56420001 00"},
		{"Node's DataView in an older version", "ff0d 5c090101", noLimit, "ff0f 420101 563f0001 00"},
		{"Node's view twice", "ff0f 41025c01005e01240002", noLimit, "ff0f 41024200564200000 05e02240002"},
		{"a cause before the stack", "ff0f 72526d220161 63 4902 73220162 2e", noLimit, "ff0f 72526d220161 73220162 63 4902 2e"},
		{"no message", "ff0f 72 63 4902 73220162 2e", noLimit, "ff0f 72 73220162 63 4902 2e"},
		{"a class and no message", "ff0f 7254 63 30 73220162 2e", noLimit, "ff0f 7254 73220162 63 30 2e"},
		{"the limit is reached", "ff0f 5c010101", 10, "ff0f 420101 56420001 00"},
		{"the limit would be passed", "ff0f 5c010101", 9, ""},
		{"over the limit already", "ff0f 5c010101", 5, ""},
		{"a cause after the stack", "ff0f 72 73220162 63 4902 2e", noLimit, ""},
		{"a cause without a stack", "ff0f 72 63 4902 2e", noLimit, ""},
		{"a string like a view", "ff0f 2204 5c010101", noLimit, ""},
		{"a string like an error", "ff0f 2207 72 6322 0062 732e", noLimit, ""},
		{"an unknown class", "ff0f 5c0e0101", noLimit, ""},
		{"a view cut off", "ff0f 5c0102 01", noLimit, ""},
		{"a byte too many", "ff0f 5c010101 30", noLimit, ""},
		{"Deno's host object", "ff0f 5cffffffff0f 30", noLimit, ""},
		{"an unknown version", "ff0c 5c010101", noLimit, ""},
		{"a newer version", "ff11 5c010101", noLimit, ""},
		{"no V8 value", "000f 5c010101", noLimit, ""},
		{"half a header", "ff", noLimit, ""},
		{"nothing", "", noLimit, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			data := unhex(t, test.data)
			want := data
			if test.want != "" {
				want = unhex(t, test.want)
			}
			got := v8.Portable(data, test.limit)
			if !bytes.Equal(got, want) {
				t.Errorf("Portable(%s) = %x, want %x", test.data, got, want)
			}
			if !bytes.Equal(data, unhex(t, test.data)) {
				t.Error("Portable changed its argument")
			}
			if len(data) > 0 && test.want == "" && &got[0] != &data[0] {
				t.Error("Portable copied a value that it leaves alone")
			}
		})
	}
}

func TestPortableLeavesOrdinaryValuesAlone(t *testing.T) {
	data := encode(t, user())
	if allocs := testing.AllocsPerRun(100, func() { v8.Portable(data, len(data)) }); allocs != 0 {
		t.Errorf("Portable allocates %v times for a value that it leaves alone", allocs)
	}
}

// What Node or Deno stores, both read once it is portable, and read the same.
func TestEnginesReadPortable(t *testing.T) {
	node, deno := v8test.Node(t), v8test.Deno(t)
	t.Run("of Node", func(t *testing.T) { comparePortable(t, node, node, deno) })
	t.Run("of Deno", func(t *testing.T) { comparePortable(t, deno, node, deno) })
}

func comparePortable(t *testing.T, writer v8test.Engine, readers ...v8test.Engine) {
	const seed, count = 7, 2000
	g := v8test.Generator{Rand: rand.New(rand.NewPCG(seed, 0))} // without Float16Array, which Node 20 does not know
	var values []json.RawMessage
	for range count {
		values = append(values, json.RawMessage(v8test.Describe(g.Value(4))))
	}
	stored := writer.Ask(t, oracleScript, v8test.Questions{Store: values}).Stored

	var portable, want []string
	encoded := 0
	for i, answer := range stored {
		var text string
		if err := json.Unmarshal(answer, &text); err != nil {
			t.Fatalf("the writer cannot store %s: %s", values[i], answer)
		}
		data := unhex(t, text)
		v, err := v8.Decode(data)
		if err != nil {
			t.Fatalf("Decode(%s): %v", text, err)
		}
		changed := v8.Portable(data, math.MaxInt)
		if !bytes.Equal(changed[2:], data[2:]) {
			encoded++
		}
		portable, want = append(portable, hex.EncodeToString(changed)), append(want, v8test.Describe(v))
	}
	t.Logf("%d of %d values were encoded anew", encoded, count)

	for _, reader := range readers {
		answers := reader.Ask(t, oracleScript, v8test.Questions{Decode: portable})
		for i, got := range answers.Decoded {
			if diff := cmp.Diff(want[i], string(got)); diff != "" {
				t.Errorf("V8 %s reads %s otherwise (-want +got):\n%s", answers.Version, portable[i], diff)
			}
		}
	}
}

// Values are the same exactly if their descriptions are: those of equal bytes, and those of which a byte differs.
func TestSame(t *testing.T) {
	const seed, count = 8, 5000
	g := v8test.Generator{Rand: rand.New(rand.NewPCG(seed, 0)), Float16: true}
	var equal, different int
	for range count {
		data := encode(t, g.Value(4))
		v, err := v8.Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		if g.Rand.IntN(4) > 0 {
			data[2+g.Rand.IntN(len(data)-2)] ^= 1 << g.Rand.IntN(8)
		}
		other, err := v8.Decode(data)
		if err != nil {
			continue
		}
		a, b := v8test.Describe(v), v8test.Describe(other)
		if got, want := v8.Same(v, other), a == b; got != want {
			t.Errorf("same is %v for\n%s\n%s", got, a, b)
		} else if want {
			equal++
		} else {
			different++
		}
	}
	if equal == 0 || different == 0 {
		t.Errorf("%d equal and %d different values are too few", equal, different)
	}
}

func BenchmarkPortable(b *testing.B) {
	view := &v8.Object{Properties: []v8.Property{{Key: "b", Value: v8.Uint8Array([]byte{1, 2})}}}
	for name, data := range map[string][]byte{
		"ordinary":   encode(b, user()),
		"text":       encode(b, strings.Repeat("The water of the pond, clear and rather warm. ", 1400)),
		"Deno's":     append([]byte{0xff, 0x10}, encode(b, user())[2:]...),
		"Deno's own": encode(b, view),
		"Node's":     unhex(b, "ff0f 6f220162 5c01020102 7b01"),
		"worst":      worst(),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				v8.Portable(data, len(data)+100)
			}
		})
	}
}

// worst returns a value of the largest size in Deno KV that takes long: an array of very many objects, and one view of Node.
func worst() []byte {
	const objects = 65_536/3 - 10
	length := binary.AppendUvarint(nil, objects+1)
	data := slices.Concat([]byte("\xff\x0fA"), length, []byte("\\\x01\x01r"))
	data = append(data, strings.Repeat("o{\x00", objects)...)
	return slices.Concat(data, []byte("$\x00"), length)
}
