package v8

import (
	"math"
	"math/big"
	"reflect"
	"slices"
	"time"
)

// UndefinedType is the type of Undefined.
type UndefinedType struct{}

// Undefined is JavaScript's undefined. (Null is nil.)
var Undefined UndefinedType

// HoleType is the type of Hole.
type HoleType struct{}

// Hole stands in Array.Elements where the array has no element. It is nowhere else a value.
var Hole HoleType

// Property is a named value of an object or an array. The key is unique in it.
type Property struct {
	Key   string
	Value any
}

// Object is a plain object: its own enumerable properties, in JavaScript's order (array indices first, ascending).
type Object struct {
	Properties []Property
}

// Get returns the property's value, and whether there is one.
func (o *Object) Get(key string) (any, bool) {
	for i := range o.Properties {
		if o.Properties[i].Key == key {
			return o.Properties[i].Value, true
		}
	}
	return nil, false
}

// Array is an array. Properties holds what it has beside its elements; a key there that is an array index, at or past
// len(Elements), is an element of a sparse array. So the memory an array takes never follows from its length alone.
type Array struct {
	Elements   []any
	Length     uint32 // the length, if there are holes at the end; 0 stands for len(Elements)
	Properties []Property
}

// Len is the length that JavaScript sees.
func (a *Array) Len() uint32 {
	n := max(a.Length, uint32(len(a.Elements)))
	for _, p := range a.Properties {
		if i, ok := ArrayIndex(p.Key); ok {
			n = max(n, i+1)
		}
	}
	return n
}

// MapEntry is a key of a Map with its value.
type MapEntry struct{ Key, Value any }

// Map is a Map in the order of insertion. Its keys are unique by JavaScript's rule (SameValueZero): objects by pointer.
type Map struct {
	Entries []MapEntry
}

// NewMap returns the Map that JavaScript makes of entries: of equal keys, the first place and the last value count.
func NewMap(entries ...MapEntry) *Map {
	m := &Map{}
	place := make(map[any]int, len(entries))
	for _, e := range entries {
		id := identity(e.Key)
		if i, ok := place[id]; ok {
			m.Entries[i].Value = e.Value
			continue
		}
		place[id] = len(m.Entries)
		m.Entries = append(m.Entries, MapEntry{positiveZero(e.Key), e.Value})
	}
	return m
}

// Set is a Set in the order of insertion. Its values are unique as the keys of a Map are.
type Set struct {
	Values []any
}

// NewSet returns the Set that JavaScript makes of values: of equal ones, the first counts.
func NewSet(values ...any) *Set {
	s := &Set{}
	seen := make(map[any]bool, len(values))
	for _, v := range values {
		if id := identity(v); !seen[id] {
			seen[id] = true
			s.Values = append(s.Values, positiveZero(v))
		}
	}
	return s
}

type (
	nanIdentity    struct{}
	bigintIdentity string
)

// identity returns a comparable that is equal for values that are the same to a Map.
func identity(v any) any {
	switch n := v.(type) {
	case float64:
		if math.IsNaN(n) {
			return nanIdentity{}
		}
	case *big.Int:
		return bigintIdentity(n.String())
	}
	if t := reflect.TypeOf(v); t != nil && !t.Comparable() {
		return &v // not a JavaScript value, and equal to nothing
	}
	return v
}

func positiveZero(v any) any {
	if f, ok := v.(float64); ok && f == 0 {
		return 0.0
	}
	return v
}

// Date is a Date: whole milliseconds since 1970, or NaN for an invalid date.
type Date struct {
	Millis float64
}

const maxDateMillis = 8.64e15

// NewDate returns the Date at t, in whole milliseconds; an invalid Date if t is over 273,790 years away.
func NewDate(t time.Time) *Date { return &Date{clipDate(float64(t.UnixMilli()))} }

// Time returns the date in UTC. It is not ok for an invalid date.
func (d *Date) Time() (t time.Time, ok bool) {
	if math.IsNaN(clipDate(d.Millis)) {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(d.Millis)).UTC(), true
}

// clipDate is ECMAScript's TimeClip.
func clipDate(millis float64) float64 {
	if !(math.Abs(millis) <= maxDateMillis) {
		return math.NaN()
	}
	return math.Trunc(millis) + 0
}

// RegExp is a regular expression: its source as RegExp.source gives it, and its flags out of "dgimsuvy" in that order.
// The source is not compiled.
type RegExp struct {
	Source, Flags string
}

// Error is an Error. Name is Error (or empty), EvalError, RangeError, ReferenceError, SyntaxError, TypeError or URIError;
// the format has no others, and Encode writes any other as Error, as V8 does. An empty Message or Stack stands for none.
// Cause counts only if HasCause is set, since null and undefined can be causes.
type Error struct {
	Name, Message, Stack string
	Cause                any
	HasCause             bool
}

// Boxed is a primitive in an object, such as new Number(1). Value is a bool, float64, *big.Int or string.
type Boxed struct {
	Value any
}

// Host is an object of the runtime that Deno stores by a description: a Blob, File, DOMException or CryptoKey. The
// description is what Deno wrote, an object with a "type", and is written back as it is.
type Host struct {
	Description any
}

// ArrayIndex returns the array index that key is, if it is one: 0 to 2^32-2 in the usual decimal form.
func ArrayIndex(key string) (index uint32, ok bool) {
	if len(key) == 0 || len(key) > 10 || key[0] > '9' || key[0] == '0' && len(key) > 1 {
		return 0, false
	}
	var n uint64
	for _, c := range []byte(key) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return uint32(n), n < math.MaxUint32
}

// SortProperties puts properties in JavaScript's order: array indices ascending, then the others as they are.
func SortProperties(properties []Property) {
	indices := false
	for _, p := range properties {
		indices = indices || p.Key != "" && p.Key[0] >= '0' && p.Key[0] <= '9'
	}
	if !indices { // nearly always
		return
	}
	slices.SortStableFunc(properties, func(a, b Property) int { return compareKeys(a.Key, b.Key) })
}

func compareKeys(a, b string) int {
	i, aIndex := ArrayIndex(a)
	j, bIndex := ArrayIndex(b)
	switch {
	case aIndex && bIndex:
		return int(int64(i) - int64(j))
	case aIndex:
		return -1
	case bIndex:
		return 1
	}
	return 0
}
