package ndjson_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/millpondkv/millpond/internal/ndjson"
	"github.com/millpondkv/millpond/kv"
)

// Whatever Parse takes, Append writes so that Parse reads the same again.
func FuzzParse(f *testing.F) {
	golden, err := os.ReadFile("testdata/kv-utils.ndjson")
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(golden)) {
		f.Add(line)
	}
	f.Add(`{"key":[{"type":"string","value":"k"}],"value":{"type":"V8","value":"_w8w","byteLength":3},"expireAt":"2027-01-01T00:00:00Z"}`)
	f.Add(`{"key":[],"value":{"type":"Array","value":[{"type":"object","value":{"a":{"type":"undefined"}}}],"v8":"_w9J"}}`)
	f.Fuzz(func(t *testing.T, line string) {
		e, err := ndjson.Parse(line)
		if err != nil {
			return
		}
		if e.Versionstamp.IsZero() {
			e.Versionstamp = kv.NewVersionstamp(1, 0)
		}
		written := ndjson.Append(nil, e)
		again, err := ndjson.Parse(string(written))
		if err != nil {
			t.Fatalf("%v\n%s", err, written)
		}
		if rewritten := ndjson.Append(nil, again); !bytes.Equal(written, rewritten) {
			t.Errorf("written\n%s then\n%s", written, rewritten)
		}
	})
}
