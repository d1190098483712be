package v8

import (
	"bytes"
	"math/big"
	"reflect"
)

// same reports whether JavaScript cannot tell a and b apart, two values that Decode returned: their types, the bits of
// their numbers (any NaN is NaN), and which of the objects in them are one.
func same(a, b any) bool {
	c := comparison{partner: map[any]any{}, taken: map[any]bool{}}
	return c.same(reflect.ValueOf(a), reflect.ValueOf(b))
}

// comparison pairs the objects of one value with those of another, one to one. An object that has its partner is not
// looked into again, so values can contain themselves.
type comparison struct {
	partner map[any]any
	taken   map[any]bool // the partners
}

func (c *comparison) same(a, b reflect.Value) bool {
	if !a.IsValid() || !b.IsValid() {
		return a.IsValid() == b.IsValid()
	}
	if a.Type() != b.Type() {
		return false
	}
	switch a.Kind() {
	case reflect.Interface:
		return c.same(a.Elem(), b.Elem())
	case reflect.Float64:
		return doubleBits(a.Float()) == doubleBits(b.Float())
	case reflect.Pointer:
		return c.samePointers(a, b)
	case reflect.Struct:
		for i := range a.NumField() {
			if !c.same(a.Field(i), b.Field(i)) {
				return false
			}
		}
		return true
	case reflect.Slice:
		return c.sameElements(a, b)
	}
	return a.Equal(b) // bool, string, integers
}

func (c *comparison) samePointers(a, b reflect.Value) bool {
	if n, ok := a.Interface().(*big.Int); ok {
		return n.Cmp(b.Interface().(*big.Int)) == 0
	}
	p, q := a.Interface(), b.Interface()
	if partner, ok := c.partner[p]; ok || c.taken[q] {
		return partner == q
	}
	c.partner[p], c.taken[q] = q, true
	return c.same(a.Elem(), b.Elem())
}

func (c *comparison) sameElements(a, b reflect.Value) bool {
	if a.Len() != b.Len() {
		return false
	}
	if a.Type().Elem().Kind() == reflect.Uint8 {
		return bytes.Equal(a.Bytes(), b.Bytes())
	}
	for i := range a.Len() {
		if !c.same(a.Index(i), b.Index(i)) {
			return false
		}
	}
	return true
}
