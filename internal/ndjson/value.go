package ndjson

import (
	"math"
	"math/big"

	"github.com/millpondkv/millpond/kv/v8"
	"github.com/millpondkv/millpond/kv/v8/literal"
)

// The bounds of a value that is written as JSON; beyond them it is written as V8.
const (
	maxDepth = 1000    // many readers of JSON stop there
	maxNodes = 1 << 20 // objects that are shared are written again each time, which may be very often
)

// writer appends a decoded value to b, until it finds something that it cannot write.
type writer struct {
	b     []byte
	open  map[any]bool // the objects that were begun, by identity: true while one is being written
	depth int
	nodes int
	// lossy: what was written is not the value. inexact: it looks like the value, but an object that occurred twice is two now,
	// or a view has lost the rest of its buffer.
	lossy, inexact bool
}

func (w *writer) value(v any) {
	if w.nodes++; w.nodes > maxNodes || w.depth > maxDepth {
		w.lossy = true
	}
	if w.lossy {
		return
	}
	switch v := v.(type) {
	case nil:
		w.text(`{"type":"null","value":null}`)
	case v8.UndefinedType:
		w.text(`{"type":"undefined"}`)
	case string, bool, float64, *big.Int:
		w.b = appendPrimitive(w.b, v)
	default:
		open, twice := w.open[v]
		if w.inexact = w.inexact || twice; open { // a cycle
			w.lossy = true
			return
		}
		w.open[v] = true
		w.depth++
		w.object(v)
		w.depth--
		w.open[v] = false
	}
}

func (w *writer) object(v any) {
	switch v := v.(type) {
	case *v8.Object:
		w.text(`{"type":"object","value":{`)
		for i, p := range v.Properties {
			w.comma(i)
			w.text(literal.Quote(p.Key) + ":")
			w.value(p.Value)
		}
		w.text("}}")
	case *v8.Array:
		w.array(v)
	case *v8.Map:
		w.text(`{"type":"Map","value":[`)
		for i, e := range v.Entries {
			w.comma(i)
			w.list(e.Key, e.Value)
		}
		w.text("]}")
	case *v8.Set:
		w.text(`{"type":"Set","value":`)
		w.list(v.Values...)
		w.text("}")
	case *v8.Date:
		t, ok := v.Time()
		w.lossy = w.lossy || !ok || t.Year() > 9999 || t.Year() < 0 || v.Millis != math.Trunc(v.Millis)
		w.text(`{"type":"Date","value":"` + t.UTC().Format("2006-01-02T15:04:05.000Z") + `"}`)
	case *v8.RegExp:
		w.text(`{"type":"RegExp","value":` + literal.Quote("/"+v.Source+"/"+v.Flags) + "}")
	case *v8.Error:
		w.error(v)
	case *v8.ArrayBuffer:
		w.lossy = w.lossy || v.Resizable
		w.b = appendBytes(w.b, "ArrayBuffer", v.Data)
	case *v8.View:
		w.lossy = w.lossy || v.Tracking || v.Buffer.Resizable
		_, shared := w.open[v.Buffer]
		w.open[v.Buffer] = false
		w.inexact = w.inexact || shared || len(v.Bytes()) < len(v.Buffer.Data)
		w.b = appendBytes(w.b, v.Kind.String(), v.Bytes())
	default:
		w.lossy = true
	}
}

func (w *writer) array(a *v8.Array) {
	if len(a.Properties) > 0 || int(a.Len()) != len(a.Elements) {
		w.lossy = true
		return
	}
	w.text(`{"type":"Array","value":`)
	w.list(a.Elements...)
	w.text("}")
}

func (w *writer) list(values ...any) {
	w.text("[")
	for i, v := range values {
		w.comma(i)
		if v == v8.Hole {
			w.text("null") // bare, as kv-utils writes it
			continue
		}
		w.value(v)
	}
	w.text("]")
}

func (w *writer) error(e *v8.Error) {
	w.text(`{"type":` + literal.Quote(e.Name) + `,"value":{"message":` + literal.Quote(e.Message))
	if e.HasCause {
		w.text(`,"cause":`)
		w.value(e.Cause)
	}
	if e.Stack != "" {
		w.text(`,"stack":` + literal.Quote(e.Stack))
	}
	w.text("}}")
}

func (w *writer) text(s string) { w.b = append(w.b, s...) }

func (w *writer) comma(i int) {
	if i > 0 {
		w.text(",")
	}
}
