package literal_test

import (
	"testing"

	"github.com/millpondkv/millpond/kv/v8"
	"github.com/millpondkv/millpond/kv/v8/literal"
	"github.com/millpondkv/millpond/kv/v8/v8test"
)

// No text makes Parse panic. What it accepts can be stored, and comes back as it was through its text.
func FuzzParse(f *testing.F) {
	for _, text := range formats {
		f.Add(text)
	}
	for text := range variants {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, err := literal.Parse(text)
		if err != nil {
			return
		}
		want := v8test.DescribeTree(v)
		again, err := literal.Parse(literal.Format(v))
		if err != nil {
			t.Fatalf("Parse(Format(Parse(%q))): %v", text, err)
		}
		if got := v8test.DescribeTree(again); got != want {
			t.Fatalf("Parse(%q)\n got %s\nwant %s", text, got, want)
		}
		if _, err := v8.Encode(v); err != nil {
			t.Fatalf("Encode(Parse(%q)): %v", text, err)
		}
	})
}
