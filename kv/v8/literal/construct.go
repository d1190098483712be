package literal

import (
	"encoding/hex"
	"fmt"
	"math"
	"math/big"
	"strings"

	"github.com/millpondkv/millpond/kv/v8"
)

// call is a constructor with its arguments.
type call struct {
	class     string
	arguments []any
}

// construct reads the class and the arguments of a constructor, and returns what it makes.
func (p *parser) construct(class string, explicit bool) (any, error) {
	start := p.pos
	p.pos += len(class)
	if !explicit && !isErrorName(class) && class != "RegExp" && class != "Object" && class != "BigInt" {
		return nil, p.errorAt(start, "expected a value, found a call of %s; only constructors such as new Date(…) can be read", class)
	}
	if class == "Opaque" && p.depth > 1 {
		return nil, p.errorAt(start, "an Opaque can only be the whole value, not a part of one")
	}
	if !p.skip("(") {
		return nil, p.expected("'(' after " + class)
	}
	c := call{class: class}
	for !p.skip(")") {
		v, err := p.value()
		if err != nil {
			return nil, err
		}
		c.arguments = append(c.arguments, v)
		if !p.skip(",") && !strings.HasPrefix(p.text[p.pos:], ")") {
			return nil, p.expected("',' or ')'")
		}
	}
	v, err := c.value()
	if err != nil {
		return nil, p.errorAt(start, "%s", err)
	}
	if view, ok := v.(*v8.View); ok && p.skip(".buffer") {
		return view.Buffer, nil
	}
	return v, nil
}

// argument returns argument i, or Undefined if it is not there.
func (c call) argument(i int) any {
	if i < len(c.arguments) {
		return c.arguments[i]
	}
	return v8.Undefined
}

func (c call) value() (any, error) {
	if isErrorName(c.class) {
		return c.errorObject()
	}
	if kind, ok := viewKind(c.class); ok {
		return c.view(kind)
	}
	switch c.class {
	case "Date":
		return c.date()
	case "Map":
		return c.mapObject()
	case "Set":
		return c.setObject()
	case "RegExp":
		return c.regExp()
	case "ArrayBuffer":
		return c.buffer()
	case "BigInt":
		return c.bigint()
	case "Boolean", "Number", "String", "Object":
		return c.boxed()
	case "Host":
		if len(c.arguments) != 1 {
			return nil, fmt.Errorf("new Host takes one argument, the description that Deno stores")
		}
		return &v8.Host{Description: c.arguments[0]}, nil
	case "Opaque":
		return c.opaque()
	}
	return nil, fmt.Errorf("unknown class %s; known are Date, Map, Set, RegExp, ArrayBuffer, DataView, the typed arrays, "+
		"the errors, and Boolean, Number, String, Object, BigInt", c.class)
}

func (c call) opaque() (any, error) {
	text, _ := c.argument(0).(string)
	if data, err := hex.DecodeString(text); err == nil && len(c.arguments) == 1 {
		v, _ := v8.Decode(data)
		if o, ok := v.(*v8.Opaque); ok {
			return o, nil
		}
	}
	return nil, fmt.Errorf("new Opaque takes a string, the bytes in hex of a value that only its writer can read")
}

func (c call) mapObject() (any, error) {
	pairs, err := c.items("[[key, value], …]")
	if err != nil {
		return nil, err
	}
	entries := make([]v8.MapEntry, 0, len(pairs))
	for i, item := range pairs {
		pair, ok := item.(*v8.Array)
		if !ok || len(pair.Elements) != 2 || pair.Len() != 2 || pair.Elements[0] == any(v8.Hole) {
			return nil, fmt.Errorf("entry %d of the Map is not of the form [key, value]", i)
		}
		entries = append(entries, v8.MapEntry{Key: pair.Elements[0], Value: pair.Elements[1]})
	}
	return v8.NewMap(entries...), nil
}

func (c call) setObject() (any, error) {
	values, err := c.items("[value, …]")
	if err != nil {
		return nil, err
	}
	return v8.NewSet(values...), nil
}

// items returns the elements of the only argument, none if there is no argument.
func (c call) items(form string) ([]any, error) {
	if len(c.arguments) == 0 {
		return nil, nil
	}
	a, ok := c.arguments[0].(*v8.Array)
	if !ok || len(c.arguments) > 1 {
		return nil, fmt.Errorf("new %s takes %s", c.class, form)
	}
	return dense(a)
}

// dense returns the elements of an array that has nothing else.
func dense(a *v8.Array) ([]any, error) {
	if a.Len() != uint32(len(a.Elements)) || len(a.Properties) > 0 {
		return nil, fmt.Errorf("an array with holes or properties cannot be used here")
	}
	for i, v := range a.Elements {
		if v == any(v8.Hole) {
			return nil, fmt.Errorf("element %d is missing", i)
		}
	}
	return a.Elements, nil
}

func (c call) regExp() (any, error) {
	source, ok := c.argument(0).(string)
	flags, flagsOK := c.argument(1).(string)
	if !ok || !flagsOK && len(c.arguments) > 1 || len(c.arguments) > 2 {
		return nil, fmt.Errorf("new RegExp takes a string and, if there are any, the flags in another")
	}
	return newRegExp(source, flags)
}

func (c call) errorObject() (any, error) {
	e := &v8.Error{Name: c.class}
	if len(c.arguments) == 0 {
		return e, nil
	}
	message, ok := c.arguments[0].(string)
	options, optionsOK := c.argument(1).(*v8.Object)
	if !ok || !optionsOK && len(c.arguments) > 1 || len(c.arguments) > 2 {
		return nil, fmt.Errorf("new %s takes a string and, if there is one, { cause: … }", c.class)
	}
	e.Message = message
	if options == nil {
		return e, nil
	}
	for _, p := range options.Properties {
		stack, isString := p.Value.(string)
		switch {
		case p.Key == "cause":
			e.HasCause, e.Cause = true, p.Value
		case p.Key == "stack" && isString:
			e.Stack = stack
		default:
			return nil, fmt.Errorf("an error has no option %s; it has cause, and stack as a string", Quote(p.Key))
		}
	}
	return e, nil
}

func (c call) boxed() (any, error) {
	if len(c.arguments) == 1 {
		switch v := c.arguments[0].(type) {
		case bool:
			if c.class == "Boolean" || c.class == "Object" {
				return &v8.Boxed{Value: v}, nil
			}
		case float64:
			if c.class == "Number" || c.class == "Object" {
				return &v8.Boxed{Value: v}, nil
			}
		case string:
			if c.class == "String" || c.class == "Object" {
				return &v8.Boxed{Value: v}, nil
			}
		case *big.Int:
			if c.class == "Object" {
				return &v8.Boxed{Value: v}, nil
			}
		}
	}
	if c.class == "Object" {
		return nil, fmt.Errorf("the argument of Object must be a boolean, number, string or bigint; write {} for an object")
	}
	return nil, fmt.Errorf("new %s takes one %s", c.class, strings.ToLower(c.class))
}

func (c call) bigint() (any, error) {
	switch v := c.argument(0).(type) {
	case string:
		if n, ok := convertNumber(v, true); ok {
			return n, nil
		}
	case float64:
		if v == math.Trunc(v) && !math.IsInf(v, 0) {
			n, _ := big.NewFloat(v).Int(nil)
			return n, nil
		}
	}
	return nil, fmt.Errorf("the argument of BigInt must be a whole number, or one in a string")
}
