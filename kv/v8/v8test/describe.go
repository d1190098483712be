package v8test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"unicode/utf16"

	"github.com/millpondkv/millpond/kv/v8"
)

// Describe returns a JSON text that two values share exactly if JavaScript cannot tell them apart: it names the types,
// the bits of numbers, the units of strings, and which objects are the same. testdata/oracle.mjs of package v8 writes the
// same text for values of a real JavaScript engine, and builds values from it.
func Describe(v any) string {
	d := describer{ids: map[any]int{}, identity: true}
	return d.text(v)
}

// DescribeTree is Describe without identity: an object that occurs twice is described twice. The value must be acyclic.
func DescribeTree(v any) string {
	d := describer{ids: map[any]int{}}
	return d.text(v)
}

type describer struct {
	ids      map[any]int
	identity bool
}

func (d *describer) text(v any) string {
	text, err := json.Marshal(d.value(v))
	if err != nil {
		panic(err)
	}
	return string(text)
}

type list = []any

func (d *describer) value(v any) list {
	switch v := v.(type) {
	case v8.UndefinedType:
		return list{"undefined"}
	case nil:
		return list{"null"}
	case bool:
		return list{"boolean", v}
	case float64:
		return list{"number", number(v)}
	case *big.Int:
		return list{"bigint", v.String()}
	case string:
		return list{"string", units(v)}
	}
	id, known := d.ids[v]
	if known && d.identity {
		return list{"ref", id}
	}
	if d.identity {
		id = len(d.ids)
	}
	d.ids[v] = id
	return d.object(id, v)
}

func (d *describer) object(id int, v any) list {
	switch v := v.(type) {
	case *v8.Object:
		return list{"object", id, d.properties(list{}, v.Properties)}
	case *v8.Array:
		elements := list{}
		for i, e := range v.Elements {
			if e != any(v8.Hole) {
				elements = append(elements, list{units(fmt.Sprint(i)), d.value(e)})
			}
		}
		return list{"array", id, v.Len(), d.properties(elements, v.Properties)}
	case *v8.Map:
		entries := list{}
		for _, e := range v.Entries {
			entries = append(entries, list{d.value(e.Key), d.value(e.Value)})
		}
		return list{"map", id, entries}
	case *v8.Set:
		values := list{}
		for _, e := range v.Values {
			values = append(values, d.value(e))
		}
		return list{"set", id, values}
	case *v8.Date:
		return list{"date", id, number(v.Millis)}
	case *v8.RegExp:
		return list{"regexp", id, units(v.Source), v.Flags}
	case *v8.Error:
		described := list{"error", id, v.Name, units(v.Message), units(v.Stack)}
		if v.HasCause {
			described = append(described, d.value(v.Cause))
		}
		return described
	case *v8.Boxed:
		return list{"boxed", id, d.value(v.Value)}
	case *v8.ArrayBuffer:
		described := list{"buffer", id, hex.EncodeToString(v.Data)}
		if v.Resizable {
			described = append(described, v.MaxByteLength)
		}
		return described
	case *v8.View:
		size := any(v.Length)
		if v.Tracking {
			size = "tracking"
		}
		return list{"view", id, v.Kind.String(), d.value(v.Buffer), v.Offset, size}
	case *v8.Host:
		return list{"host", id, d.value(v.Description)}
	case *v8.Opaque: // the version says nothing to JavaScript
		return list{"opaque", id, hex.EncodeToString(v.Data[2:])}
	}
	panic(fmt.Sprintf("describe: %T is no JavaScript value", v))
}

func (d *describer) properties(described list, properties []v8.Property) list {
	for _, p := range properties {
		described = append(described, list{units(p.Key), d.value(p.Value)})
	}
	return described
}

// number returns the bits of f in hex; all NaNs are one.
func number(f float64) string {
	if math.IsNaN(f) {
		return "NaN"
	}
	return fmt.Sprintf("%016x", math.Float64bits(f))
}

// units returns the UTF-16 units of s in hex, lone surrogates included.
func units(s string) string {
	var b []byte
	for len(s) > 0 {
		r, size := v8.DecodeRune(s)
		s = s[size:]
		if r > 0xffff {
			high, low := utf16.EncodeRune(r)
			b = fmt.Appendf(b, "%04x", high)
			r = low
		}
		b = fmt.Appendf(b, "%04x", r)
	}
	return string(b)
}
