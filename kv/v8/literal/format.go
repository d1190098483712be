package literal

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/big"
	"reflect"
	"strconv"
	"strings"

	"github.com/millpondkv/millpond/kv/v8"
)

// Format returns v, a value of package v8, in one line. Except for values that contain themselves, Parse reads back what
// Format writes; objects that occur several times come back as several. Values of another Go type are shown as fmt shows
// them. A value whose text would have more than a million parts, which one that shares its objects can reach at any size,
// is cut short with "…".
func Format(v any) string {
	var b strings.Builder
	n := layOut(v)
	n.line(&b)
	return b.String()
}

// FormatIndent is Format for people: what does not fit in 80 columns is spread over lines, indented by two spaces.
func FormatIndent(v any) string {
	var b strings.Builder
	n := layOut(v)
	n.lines(&b, 0, 0)
	return b.String()
}

func layOut(v any) node {
	f := formatter{within: map[any]bool{}, circular: map[any]int{}}
	return f.value(v)
}

const maxNodes = 1_000_000

type formatter struct {
	within   map[any]bool // the objects that the current value is in
	circular map[any]int  // the numbers of those that were found in themselves
	nodes    int
}

func (f *formatter) value(v any) node {
	if f.nodes++; f.nodes > maxNodes {
		return leaf("…")
	}
	switch v := v.(type) {
	case nil:
		return leaf("null")
	case v8.UndefinedType:
		return leaf("undefined")
	case bool:
		return leaf(strconv.FormatBool(v))
	case float64:
		return leaf(v8.FormatNumber(v))
	case *big.Int:
		return leaf(v.String() + "n")
	case string:
		return leaf(Quote(v))
	}
	if p := reflect.ValueOf(v); p.Kind() != reflect.Pointer {
		return leaf(fmt.Sprint(v))
	} else if p.IsNil() {
		return leaf("null")
	}
	return f.container(v)
}

// container lays out an object, and marks it if it occurs within itself.
func (f *formatter) container(v any) node {
	if f.within[v] {
		if f.circular[v] == 0 {
			f.circular[v] = len(f.circular) + 1
		}
		return leaf(fmt.Sprintf("[Circular *%d]", f.circular[v]))
	}
	f.within[v] = true
	n := f.object(v)
	delete(f.within, v)
	if number := f.circular[v]; number != 0 {
		n = n.prefixed(fmt.Sprintf("<ref *%d> ", number))
	}
	return n
}

func (f *formatter) object(v any) node {
	switch v := v.(type) {
	case *v8.Object:
		return f.plainObject(v)
	case *v8.Array:
		return f.array(v)
	case *v8.Map:
		entries := make([]node, 0, len(v.Entries))
		for _, e := range v.Entries {
			entries = append(entries, list("[", "]", f.value(e.Key), f.value(e.Value)))
		}
		return construct("Map", entries)
	case *v8.Set:
		values := make([]node, 0, len(v.Values))
		for _, value := range v.Values {
			values = append(values, f.value(value))
		}
		return construct("Set", values)
	case *v8.Date:
		return leaf("new Date(" + formatDate(v) + ")")
	case *v8.RegExp:
		return leaf(formatRegExp(v))
	case *v8.Error:
		return f.errorObject(v)
	case *v8.Boxed:
		return f.boxed(v)
	case *v8.ArrayBuffer:
		return buffer(v)
	case *v8.View:
		return view(v)
	case *v8.Host:
		return list("new Host(", ")", f.value(v.Description))
	case *v8.Opaque:
		return leaf(`new Opaque("` + hex.EncodeToString(v.Data) + `")`)
	}
	return leaf(fmt.Sprint(v))
}

// construct writes a call with a list, or without arguments if the list is empty.
func construct(class string, items []node) node {
	if len(items) == 0 {
		return leaf("new " + class + "()")
	}
	return list("new "+class+"([", "])", items...)
}

func (f *formatter) plainObject(o *v8.Object) node {
	properties := make([]node, 0, len(o.Properties))
	for _, p := range o.Properties {
		key := formatKey(p.Key)
		if p.Key == "__proto__" { // bare or quoted it would set the prototype
			key = `["__proto__"]`
		}
		properties = append(properties, f.value(p.Value).prefixed(key+": "))
	}
	return braces(properties...)
}

func formatKey(key string) string {
	if _, ok := v8.ArrayIndex(key); ok || isName(key) {
		return key
	}
	return Quote(key)
}

func (f *formatter) array(a *v8.Array) node {
	var items []node
	next := uint32(0) // the index after the items
	put := func(i uint32, v any) {
		if holes := i - next; holes > 0 {
			items = append(items, emptyItems(holes))
		}
		items = append(items, f.value(v))
		next = i + 1
	}
	for i, v := range a.Elements {
		if v != any(v8.Hole) {
			put(uint32(i), v)
		}
	}
	var named []v8.Property
	for _, p := range a.Properties {
		if i, ok := v8.ArrayIndex(p.Key); ok && i >= next {
			put(i, p.Value)
		} else {
			named = append(named, p)
		}
	}
	if holes := a.Len() - next; holes > 0 {
		items = append(items, emptyItems(holes))
	}
	for _, p := range named {
		items = append(items, f.value(p.Value).prefixed(formatKey(p.Key)+": "))
	}
	return list("[", "]", items...)
}

func emptyItems(n uint32) node {
	if n == 1 {
		return leaf("<1 empty item>")
	}
	return leaf(fmt.Sprintf("<%d empty items>", n))
}

// formatDate writes what Date.prototype.toISOString would.
func formatDate(d *v8.Date) string {
	t, ok := d.Time()
	if !ok {
		return "NaN"
	}
	if year := t.Year(); year < 0 || year > 9999 { // Go has four digits and no sign
		return Quote(fmt.Sprintf("%+07d-%s", year, t.Format("01-02T15:04:05.000Z")))
	}
	return Quote(t.Format("2006-01-02T15:04:05.000") + "Z")
}

func formatRegExp(r *v8.RegExp) string {
	text := "/" + r.Source + "/" + r.Flags
	if end, ok := scanRegExp(text); ok && text[end:] == r.Flags && utf8Only(text) {
		return text
	}
	return "new RegExp(" + Quote(r.Source) + ", " + Quote(r.Flags) + ")"
}

func (f *formatter) errorObject(e *v8.Error) node {
	name := e.Name
	if !isErrorName(name) {
		name = "Error"
	}
	arguments := []node{leaf(Quote(e.Message))}
	var options []node
	if e.HasCause {
		options = append(options, f.value(e.Cause).prefixed("cause: "))
	}
	if e.Stack != "" {
		options = append(options, leaf("stack: "+Quote(e.Stack)))
	}
	if options != nil {
		arguments = append(arguments, braces(options...))
	}
	return list("new "+name+"(", ")", arguments...)
}

func (f *formatter) boxed(b *v8.Boxed) node {
	constructor := "Object("
	switch b.Value.(type) {
	case bool:
		constructor = "new Boolean("
	case float64:
		constructor = "new Number("
	case string:
		constructor = "new String("
	}
	return list(constructor, ")", f.value(b.Value))
}

func buffer(b *v8.ArrayBuffer) node {
	content := elements(v8.Uint8Array(b.Data))
	if b.Resizable {
		maximum := braces(leaf("maxByteLength: " + strconv.FormatUint(b.MaxByteLength, 10)))
		return list("new ArrayBuffer(", ")", list("[", "]", content...), maximum)
	}
	return list("new Uint8Array([", "]).buffer", content...)
}

func elements(v *v8.View) []node {
	items := make([]node, v.Len())
	for i := range items {
		text := ""
		switch x := v.At(i).(type) {
		case float64:
			text = v8.FormatNumber(x)
		case *big.Int:
			text = x.String() + "n"
		}
		items[i] = leaf(text)
	}
	return items
}

// view writes a view of a whole buffer by its elements, and any other by its buffer and its place there.
func view(v *v8.View) node {
	b := v.Buffer
	whole := v.Offset == 0 && (v.Length == len(b.Data) || v.Tracking)
	if whole && !b.Resizable && v.Kind != v8.KindDataView && exact(v) {
		return list("new "+v.Kind.String()+"([", "])", elements(v)...)
	}
	arguments := []node{buffer(b)}
	if v.Offset != 0 || !v.Tracking {
		arguments = append(arguments, leaf(strconv.Itoa(v.Offset)))
	}
	if !v.Tracking {
		arguments = append(arguments, leaf(strconv.Itoa(v.Length/v.Kind.ElementSize())))
	}
	return list("new "+v.Kind.String()+"(", ")", arguments...)
}

// exact reports whether the view's elements tell its bytes, which those of a NaN may not.
func exact(v *v8.View) bool {
	var b []byte
	for i := range v.Len() {
		var err error
		if b, err = v.Kind.AppendElement(b, v.At(i)); err != nil {
			return false
		}
	}
	return bytes.Equal(b, v.Bytes())
}
