package v8_test

import (
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/millpondkv/millpond/kv/v8"
	"github.com/millpondkv/millpond/kv/v8/literal"
)

// golden is a value as an engine wrote it; testdata/golden.mjs made them. Those of the versions here are never made again.
type golden struct {
	writer, name, hex, literal string
}

func readGolden(t testing.TB) []golden {
	t.Helper()
	text, err := os.ReadFile("testdata/golden.txt")
	if err != nil {
		t.Fatal(err)
	}
	var all []golden
	for line := range strings.Lines(string(text)) {
		field := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		all = append(all, golden{field[0], field[1], field[2], field[3]})
	}
	return all
}

// Values that engines wrote in the versions 13 to 16 stay readable, and are written as Deno and Node write them now.
func TestGolden(t *testing.T) {
	versions := map[byte]int{}
	for _, g := range readGolden(t) {
		data := unhex(t, g.hex)
		versions[data[1]]++
		v, err := v8.Decode(data)
		if err != nil {
			t.Errorf("%s of %s: %v", g.name, g.writer, err)
			continue
		}
		if got := literal.Format(v); got != g.literal {
			t.Errorf("%s of %s\n got %s\nwant %s", g.name, g.writer, got, g.literal)
		}
		if g.writer != "deno-2.9.6" {
			continue
		}
		if got, want := hex.EncodeToString(encode(t, v)), hex.EncodeToString(v8.Portable(data, len(data))); got != want {
			t.Errorf("%s, encoded\n got %s\nwant %s", g.name, got, want)
		}
	}
	for _, version := range []byte{13, 14, 15, 16} {
		if versions[version] == 0 {
			t.Errorf("no golden value has version %d", version)
		}
	}
}
