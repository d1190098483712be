package v8

import (
	"cmp"
	"reflect"
	"slices"
	"strings"
)

// field is a field of a struct that is a property of the object.
type field struct {
	name      string
	tagged    bool  // the name is a tag's
	index     []int // through embedded structs, as of reflect.Type.FieldByIndex
	t         reflect.Type
	form      form
	omitEmpty bool
	omitZero  bool

	plan *plan
	key  []byte // the encoded key; nil: its form depends on where it stands
}

// fieldsOf returns the properties of t, in the order of its fields, by the rules of encoding/json: of fields of one name the
// least embedded counts, then the one with a tag, and none if that leaves several.
func fieldsOf(t reflect.Type) []field {
	all := collectFields(t, nil, map[reflect.Type]bool{})
	slices.SortStableFunc(all, func(a, b field) int {
		return cmp.Or(strings.Compare(a.name, b.name), len(a.index)-len(b.index), boolOrder(b.tagged)-boolOrder(a.tagged))
	})
	var fields []field
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[n].name == all[0].name {
			n++
		}
		if n == 1 || len(all[0].index) != len(all[1].index) || all[0].tagged != all[1].tagged {
			fields = append(fields, all[0])
		}
		all = all[n:]
	}
	slices.SortFunc(fields, func(a, b field) int { return slices.Compare(a.index, b.index) })
	return fields
}

func boolOrder(b bool) int {
	if b {
		return 1
	}
	return 0
}

// collectFields returns the fields of t and of the structs that are embedded in it, except in within themselves.
func collectFields(t reflect.Type, index []int, within map[reflect.Type]bool) (fields []field) {
	if within[t] {
		return nil
	}
	within[t] = true
	defer delete(within, t)
	for i := range t.NumField() {
		f := t.Field(i)
		embedded := f.Type
		if f.Anonymous && embedded.Kind() == reflect.Pointer {
			embedded = embedded.Elem()
		}
		isStruct := f.Anonymous && embedded.Kind() == reflect.Struct
		if !f.IsExported() && !isStruct {
			continue
		}
		described, skip := readTags(f)
		if skip {
			continue
		}
		described.index = append(slices.Clone(index), i)
		switch {
		case isStruct && !described.tagged:
			fields = append(fields, collectFields(embedded, described.index, within)...)
		case f.IsExported():
			fields = append(fields, described)
		}
	}
	return fields
}

// readTags reads the tag json, and the tag v8, which adds to it.
func readTags(f reflect.StructField) (described field, skip bool) {
	described = field{name: f.Name, t: f.Type}
	for _, key := range []string{"json", "v8"} {
		tag := f.Tag.Get(key)
		if tag == "-" {
			return described, true
		}
		name, options, _ := strings.Cut(tag, ",")
		if name != "" {
			described.name, described.tagged = name, true
		}
		for option := range strings.SplitSeq(options, ",") {
			switch option {
			case "omitempty":
				described.omitEmpty = true
			case "omitzero":
				described.omitZero = true
			case "string":
				described.form = asText
			case "bigint":
				described.form = asBigint
			}
		}
	}
	return described, false
}

// of returns the field in v. It is not ok if the field is in an embedded pointer that is nil.
func (f *field) of(v reflect.Value) (_ reflect.Value, ok bool) {
	if len(f.index) == 1 {
		return v.Field(f.index[0]), true
	}
	for i, n := range f.index {
		if i > 0 && v.Kind() == reflect.Pointer {
			if v.IsNil() {
				return v, false
			}
			v = v.Elem()
		}
		v = v.Field(n)
	}
	return v, true
}

// omits reports whether the options leave out the value v.
func (f *field) omits(v reflect.Value) bool {
	return f.omitEmpty && isEmpty(v) || f.omitZero && isZero(v)
}

func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
		return v.Len() == 0
	case reflect.Struct:
		return false
	}
	return v.IsZero()
}

// isZero asks the value itself if it has the method IsZero.
func isZero(v reflect.Value) bool {
	asked := v
	if v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		if v.IsNil() {
			return true
		}
	} else {
		asked = addressable(v)
	}
	if z, ok := asked.Interface().(interface{ IsZero() bool }); ok {
		return z.IsZero()
	}
	return v.IsZero()
}
