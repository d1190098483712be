package v8

import (
	"encoding"
	"encoding/json"
	"fmt"
	"math/big"
	"reflect"
	"sync"
	"time"
)

// plan is how Marshal and Unmarshal treat the values of one Go type. It is made once and never changes.
type plan struct {
	encode func(*marshaler, reflect.Value) error
	// decode reads the value behind its tag, which is none of undefined, null and references, nor of a boxed primitive unless
	// the type is one of this package's.
	decode func(u *unmarshaler, tag byte, v reflect.Value) error
	own    bool // the type is one of this package's, or a pointer to it
}

// form says how a field wants its integers, floats and booleans.
type form byte

const (
	asNumber form = iota
	asBigint      // integers, by the option bigint
	asText        // by encoding/json's option string
)

// plans has the plan of each reflect.Type that a value was of. It only grows, with the types of the program.
var plans sync.Map

func planOf(t reflect.Type) *plan {
	if p, ok := plans.Load(t); ok {
		return p.(*plan)
	}
	b := planner{made: map[typeForm]*plan{}}
	p := b.plan(t, asNumber)
	for key, made := range b.made { // all of them are complete only now: types refer to each other
		if key.form == asNumber {
			plans.LoadOrStore(key.t, made)
		}
	}
	return p
}

type typeForm struct {
	t    reflect.Type
	form form
}

// planner makes the plan of a type and of all those that it consists of.
type planner struct {
	made map[typeForm]*plan
}

// plan returns the plan of t, which is complete when the planner is done.
func (b *planner) plan(t reflect.Type, f form) *plan {
	key := typeForm{t, f}
	if p, ok := b.made[key]; ok {
		return p
	}
	p := &plan{own: isOwn(t)}
	b.made[key] = p
	b.fill(p, t, f)
	return p
}

var (
	timeType   = reflect.TypeFor[time.Time]()
	bigintType = reflect.TypeFor[big.Int]()
	numberType = reflect.TypeFor[json.Number]()

	jsonMarshaler   = reflect.TypeFor[json.Marshaler]()
	jsonUnmarshaler = reflect.TypeFor[json.Unmarshaler]()
	textMarshaler   = reflect.TypeFor[encoding.TextMarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
	asMap           = reflect.TypeFor[interface{ isMap() }]()
	asSet           = reflect.TypeFor[interface{ isSet() }]()
)

// fill chooses by what a type is first: this package's, one with a JavaScript counterpart, one with methods of its own, or
// else by its kind.
func (b *planner) fill(p *plan, t reflect.Type, f form) {
	switch {
	case p.own && t.Kind() == reflect.Struct:
		p.encode, p.decode = encodeOwn, decodeOwn
		return
	case t == timeType:
		p.encode, p.decode = encodeTime, decodeTime
		return
	case t == bigintType:
		p.encode, p.decode = encodeBigint, decodeBigint
		return
	case t == numberType:
		p.encode, p.decode = encodeJSONNumber, decodeJSONNumber
		return
	case f == asText && isScalar(t.Kind()):
		p.encode, p.decode = encodeScalarText, decodeScalarText
		return
	}
	b.fillKind(p, t, f)
	if t.Kind() == reflect.Pointer || t.Kind() == reflect.Interface {
		return // the methods are those of what it points to
	}
	pointer := reflect.PointerTo(t)
	switch {
	case pointer.Implements(jsonMarshaler):
		p.encode = encodeJSON
	case pointer.Implements(textMarshaler):
		p.encode = encodeText
	}
	switch {
	case pointer.Implements(jsonUnmarshaler):
		p.decode = decodeJSON
	case pointer.Implements(textUnmarshaler):
		p.decode = decodeText
	}
}

func (b *planner) fillKind(p *plan, t reflect.Type, f form) {
	switch t.Kind() {
	case reflect.Bool:
		p.encode, p.decode = encodeBool, decodeBool
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		p.encode, p.decode = encodeInt, decodeInt
		if f == asBigint {
			p.encode = encodeIntBigint
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		p.encode, p.decode = encodeUint, decodeUint
		if f == asBigint {
			p.encode = encodeUintBigint
		}
	case reflect.Float32, reflect.Float64:
		p.encode, p.decode = encodeFloat, decodeFloat
	case reflect.String:
		p.encode, p.decode = encodeString, decodeString
	case reflect.Interface:
		p.encode, p.decode = encodeInterface, decodeInterface
	case reflect.Pointer:
		b.fillPointer(p, t, f)
	case reflect.Struct:
		b.fillStruct(p, t)
	case reflect.Slice, reflect.Array:
		b.fillSlice(p, t, f)
	case reflect.Map:
		b.fillMap(p, t, f)
	default:
		err := fmt.Errorf("the Go type %s has no counterpart in JavaScript", t)
		p.encode = func(*marshaler, reflect.Value) error { return err }
		p.decode = func(*unmarshaler, byte, reflect.Value) error { return err }
	}
}

func isScalar(k reflect.Kind) bool {
	return k == reflect.Bool || reflect.Int <= k && k <= reflect.Float64
}

// isOwn reports whether t is a type of this package, or a pointer to it, that Decode returns.
func isOwn(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t {
	case reflect.TypeFor[UndefinedType](), reflect.TypeFor[HoleType](), reflect.TypeFor[Object](), reflect.TypeFor[Array](),
		reflect.TypeFor[Map](), reflect.TypeFor[Set](), reflect.TypeFor[Date](), reflect.TypeFor[RegExp](), reflect.TypeFor[Error](),
		reflect.TypeFor[ArrayBuffer](), reflect.TypeFor[View](), reflect.TypeFor[Boxed](), reflect.TypeFor[Host](),
		reflect.TypeFor[Opaque]():
		return true
	}
	return false
}

// MapOf is a Go map that Marshal writes as a JavaScript Map instead of as an object. Its keys can be of any type.
type MapOf[K comparable, V any] map[K]V

func (MapOf[K, V]) isMap() {}

// SetOf is a Go map without values that Marshal writes as a JavaScript Set.
type SetOf[T comparable] map[T]struct{}

func (SetOf[T]) isSet() {}
