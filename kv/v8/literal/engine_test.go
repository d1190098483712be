package literal_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/millpondkv/millpond/kv/v8"
	"github.com/millpondkv/millpond/kv/v8/literal"
	"github.com/millpondkv/millpond/kv/v8/v8test"
)

// A real engine evaluates what Format writes, and what Parse accepts, to the value that Parse reads.
func TestEngines(t *testing.T) {
	t.Run("Node", func(t *testing.T) { compareWithEngine(t, v8test.Node(t)) })
	t.Run("Deno", func(t *testing.T) { compareWithEngine(t, v8test.Deno(t)) })
}

func compareWithEngine(t *testing.T, engine v8test.Engine) {
	g := v8test.Generator{Rand: rand.New(rand.NewPCG(5, 0)), Acyclic: true, Float16: engine.Float16}
	var questions v8test.Questions
	add := func(text string) {
		if isJavaScript(text, engine) {
			questions.Evaluate = append(questions.Evaluate, text)
		}
	}
	for _, text := range formats {
		add(text)
	}
	for text := range variants {
		add(text)
	}
	for range 3_000 {
		add(literal.Format(g.Value(3)))
	}

	answers := engine.Ask(t, "../testdata/oracle.mjs", questions)

	for i, text := range questions.Evaluate {
		v, err := literal.Parse(text)
		if err != nil {
			t.Errorf("Parse(%s): %v", text, err)
		} else if got, want := v8test.Describe(v), string(answers.Evaluated[i]); got != want {
			t.Errorf("Parse(%s)\n   got %s\nengine %s", text, got, want)
		}
	}
	t.Logf("compared %d literals with V8 %s", len(questions.Evaluate), answers.Version)
}

// isJavaScript reports whether text uses none of the forms that JavaScript has no literal for, and whether the engine
// knows all its classes. Left out too: errors, as an engine gives each a stack of its own, and RegExp("…"), as it rewrites
// the source.
func isJavaScript(text string, engine v8test.Engine) bool {
	for _, own := range []string{"Error(", "Host(", "Opaque(", "ArrayBuffer([", " empty item", "__proto__: 3", "new RegExp("} {
		if strings.Contains(text, own) {
			return false
		}
	}
	v, err := literal.Parse(text)
	return err == nil && !hasArrayProperties(v) && (engine.Float16 || !strings.Contains(text, "Float16"))
}

func hasArrayProperties(v any) bool {
	var inside []any
	switch v := v.(type) {
	case *v8.Array:
		if len(v.Properties) > 0 {
			return true
		}
		inside = v.Elements
	case *v8.Object:
		for _, p := range v.Properties {
			inside = append(inside, p.Value)
		}
	case *v8.Map:
		for _, e := range v.Entries {
			inside = append(inside, e.Key, e.Value)
		}
	case *v8.Set:
		inside = v.Values
	}
	return slices.ContainsFunc(inside, hasArrayProperties)
}
