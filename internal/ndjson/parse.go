package ndjson

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kv/v8"
	"github.com/millpondkv/millpond/kv/v8/literal"
)

// Parse reads a line that Append or @deno/kv-utils wrote. The versionstamp may be left out, and so may every "byteLength",
// as older versions of kv-utils did. What is not known is refused, so that nothing of a value is lost. The error is a sentence
// that names the place within the line.
func Parse(line string) (Entry, error) {
	tree, err := literal.Parse(line) // JSON, with lone surrogates and -0 as JavaScript has them
	if err != nil {
		return Entry{}, fmt.Errorf("the line is not JSON: %s", strings.TrimPrefix(err.Error(), "line 1, "))
	}
	object, ok := tree.(*v8.Object)
	if !ok {
		return Entry{}, errors.New(`the line is not an object with "key" and "value"`)
	}
	var e Entry
	var hasKey, hasValue bool
	for _, p := range object.Properties {
		switch p.Key {
		case "key":
			hasKey = true
			e.Key, err = parseKey(p.Value)
		case "value":
			hasValue = p.Value != nil
			if hasValue {
				e.Value, err = parseStored(p.Value)
			}
		case "versionstamp":
			err = parseVersionstamp(p.Value, &e.Versionstamp)
		case "expireAt":
			e.ExpireAt, err = parseExpiry(p.Value)
		default:
			err = errors.New("it is none of key, value, versionstamp and expireAt")
		}
		if err != nil {
			return e, fmt.Errorf("%q: %w", p.Key, err)
		}
	}
	switch {
	case !hasKey:
		return e, errors.New(`the line has no "key"`)
	case !hasValue:
		return e, errors.New("the line has no value, so it is no entry")
	}
	return e, nil
}

func parseVersionstamp(v any, to *kv.Versionstamp) (err error) {
	switch text, ok := v.(string); {
	case ok:
		*to, err = kv.ParseVersionstamp(text)
	case v != nil:
		err = errors.New("it is neither a text nor null")
	}
	return err
}

func parseExpiry(v any) (kv.Millis, error) {
	text, _ := v.(string)
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || t.UnixMilli() <= 0 {
		return 0, errors.New("it is not a time such as 2026-01-31T12:00:00.000Z")
	}
	return kv.MillisOf(t), nil
}

func parseKey(v any) (kv.Key, error) {
	array, ok := v.(*v8.Array)
	if !ok {
		return nil, errors.New("it is not an array of parts")
	}
	key := make(kv.Key, len(array.Elements))
	for i, element := range array.Elements {
		part, err := parseValue(element)
		if err != nil {
			return nil, fmt.Errorf("part %d: %w", i, err)
		}
		switch p := part.(type) {
		case string, bool, float64, *big.Int:
			key[i] = p
		case *v8.View:
			key[i] = p.Bytes()
		default:
			return nil, fmt.Errorf("part %d is not a string, number, bigint, boolean or Uint8Array", i)
		}
	}
	_, err := key.Encode()
	return key, err
}

// parseStored reads a whole value, in the encoding in which Deno stores it.
func parseStored(v any) (kv.Value, error) {
	name, content, err := tagged(v)
	if err != nil {
		return kv.Value{}, err
	}
	switch name {
	case "KvU64":
		text, _ := content.(string)
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return kv.Value{}, errors.New("a KvU64 is a text with a whole number from 0 to 18446744073709551615")
		}
		return u64(n), nil
	case "Uint8Array":
		if _, exact := v.(*v8.Object).Get("v8"); exact {
			break
		}
		data, err := parseBytes(v, content)
		return kv.Value{Encoding: kv.EncodingBytes, Data: data}, err
	case "V8":
		data, err := parseBytes(v, content)
		return kv.Value{Encoding: kv.EncodingV8, Data: data}, err
	}
	if exact, ok := v.(*v8.Object).Get("v8"); ok {
		text, _ := exact.(string)
		data, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil || text == "" {
			return kv.Value{}, errors.New(`"v8" is not a text in base64url`)
		}
		return kv.Value{Encoding: kv.EncodingV8, Data: data}, nil
	}
	decoded, err := parseValue(v)
	if err != nil {
		return kv.Value{}, err
	}
	data, err := v8.Encode(decoded)
	return kv.Value{Encoding: kv.EncodingV8, Data: data}, err
}

// tagged returns the type and the content of a value; content is v8.Undefined if there is none.
func tagged(v any) (name string, content any, err error) {
	object, ok := v.(*v8.Object)
	if !ok {
		return "", nil, errors.New(`a value is an object with "type" and "value"`)
	}
	typ, _ := object.Get("type")
	if name, ok = typ.(string); !ok {
		return "", nil, errors.New(`a value has no "type"`)
	}
	content, ok = object.Get("value")
	if !ok {
		content = v8.Undefined
	}
	return name, content, nil
}

// parseValue reads what writer.value writes.
func parseValue(v any) (any, error) {
	name, content, err := tagged(v)
	if err != nil {
		return nil, err
	}
	switch name {
	case "null":
		return nil, nil
	case "undefined":
		return v8.Undefined, nil
	case "string", "boolean", "number", "bigint":
		return parsePrimitive(name, content)
	case "object":
		return parseObject(content)
	case "Array":
		elements, err := parseList(content, true)
		return &v8.Array{Elements: elements}, err
	case "Map":
		return parseMap(content)
	case "Set":
		values, err := parseList(content, false)
		return v8.NewSet(values...), err
	case "Date":
		return parseDate(content)
	case "RegExp":
		return parseRegExp(content)
	case "Error", "EvalError", "RangeError", "ReferenceError", "SyntaxError", "TypeError", "URIError":
		return parseError(name, content)
	case "ArrayBuffer":
		data, err := parseBytes(v, content)
		return &v8.ArrayBuffer{Data: data}, err
	case "KvU64", "V8":
		return nil, fmt.Errorf("a %s can only be a whole value, not a part of one", name)
	}
	for _, kind := range v8.ViewKinds {
		if kind.String() == name {
			return parseView(kind, v, content)
		}
	}
	return nil, fmt.Errorf("the type %.40q is unknown", name)
}

func parsePrimitive(name string, content any) (any, error) {
	text, isText := content.(string)
	switch name {
	case "string":
		if isText {
			return text, nil
		}
	case "boolean":
		if b, ok := content.(bool); ok {
			return b, nil
		}
	case "bigint":
		if n, ok := new(big.Int).SetString(text, 10); ok {
			return n, nil
		}
	case "number":
		f, ok := content.(float64)
		switch {
		case ok:
			return f, nil
		case text == "Infinity":
			return math.Inf(1), nil
		case text == "-Infinity":
			return math.Inf(-1), nil
		case text == "NaN":
			return math.NaN(), nil
		}
	}
	return nil, fmt.Errorf("the value of a %s does not fit its type", name)
}

func parseObject(content any) (any, error) {
	object, ok := content.(*v8.Object)
	if !ok {
		return nil, errors.New("the value of an object is no object")
	}
	parsed := &v8.Object{Properties: make([]v8.Property, len(object.Properties))}
	for i, p := range object.Properties {
		value, err := parseValue(p.Value)
		if err != nil {
			return nil, fmt.Errorf("%.40q: %w", p.Key, err)
		}
		parsed.Properties[i] = v8.Property{Key: p.Key, Value: value}
	}
	return parsed, nil
}

// parseList reads an array of values. A hole is a bare null.
func parseList(content any, holes bool) ([]any, error) {
	array, ok := content.(*v8.Array)
	if !ok {
		return nil, errors.New("the value of an Array, Map or Set is no array")
	}
	values := make([]any, len(array.Elements))
	for i, element := range array.Elements {
		if element == nil && holes {
			values[i] = v8.Hole
			continue
		}
		value, err := parseValue(element)
		if err != nil {
			return nil, fmt.Errorf("[%d]: %w", i, err)
		}
		values[i] = value
	}
	return values, nil
}

func parseMap(content any) (any, error) {
	array, ok := content.(*v8.Array)
	if !ok {
		return nil, errors.New("the value of a Map is no array")
	}
	entries := make([]v8.MapEntry, len(array.Elements))
	for i, element := range array.Elements {
		pair, err := parseList(element, false)
		if err != nil || len(pair) != 2 {
			return nil, fmt.Errorf("[%d] of a Map is not a key and a value", i)
		}
		entries[i] = v8.MapEntry{Key: pair[0], Value: pair[1]}
	}
	return v8.NewMap(entries...), nil
}

// parseDate reads a time, or null, which is what kv-utils writes for a date that is none.
func parseDate(content any) (any, error) {
	if content == nil {
		return &v8.Date{Millis: math.NaN()}, nil
	}
	text, _ := content.(string)
	t, err := time.Parse(time.RFC3339, text)
	if err == nil {
		return v8.NewDate(t), nil
	}
	// Years beyond four digits have a sign; JavaScript's own reader knows them.
	if date, err := literal.Parse("new Date(" + literal.Quote(text) + ")"); err == nil {
		if d, ok := date.(*v8.Date); ok && !math.IsNaN(d.Millis) {
			return d, nil
		}
	}
	return nil, errors.New("the value of a Date is not a time such as 2026-01-31T12:00:00.000Z")
}

func parseRegExp(content any) (any, error) {
	text, _ := content.(string)
	end := strings.LastIndexByte(text, '/')
	if end < 1 || text[0] != '/' {
		return nil, errors.New("the value of a RegExp is not a text such as /a+/g")
	}
	return &v8.RegExp{Source: text[1:end], Flags: text[end+1:]}, nil
}

func parseError(name string, content any) (any, error) {
	object, ok := content.(*v8.Object)
	if !ok {
		return nil, errors.New("the value of an Error is no object")
	}
	parsed := &v8.Error{Name: name}
	for _, p := range object.Properties {
		switch text, isText := p.Value.(string); {
		case p.Key == "message" && isText:
			parsed.Message = text
		case p.Key == "stack" && isText:
			parsed.Stack = text
		case p.Key == "cause":
			cause, err := parseValue(p.Value)
			if err != nil {
				return nil, fmt.Errorf("the cause of an Error: %w", err)
			}
			parsed.Cause, parsed.HasCause = cause, true
		default:
			return nil, fmt.Errorf("an Error cannot have %.40q, or not with that value", p.Key)
		}
	}
	return parsed, nil
}

func parseView(kind v8.ViewKind, v, content any) (any, error) {
	data, err := parseBytes(v, content)
	if err != nil {
		return nil, err
	}
	if len(data)%kind.ElementSize() != 0 {
		return nil, fmt.Errorf("a %s of %d bytes is not made of whole elements", kind, len(data))
	}
	return &v8.View{Kind: kind, Buffer: &v8.ArrayBuffer{Data: data}, Length: len(data)}, nil
}

// parseBytes reads base64url, with padding or without. The byteLength of the value must fit, if it has one.
func parseBytes(v, content any) ([]byte, error) {
	text, ok := content.(string)
	data, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
	if !ok || err != nil {
		return nil, errors.New("bytes are not a text in base64url")
	}
	length, has := v.(*v8.Object).Get("byteLength")
	if n, ok := length.(float64); has && (!ok || n != float64(len(data))) {
		return nil, fmt.Errorf("there are %d bytes, which is not the byteLength", len(data))
	}
	return data, nil
}
