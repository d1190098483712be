package v8

import (
	"slices"
	"strconv"
	"strings"
)

// FieldError says where in a value Marshal or Unmarshal has failed.
type FieldError struct {
	Path string // such as orders[3].total, by the names that JavaScript uses
	Err  error
}

func (e *FieldError) Error() string { return e.Path + ": " + e.Err.Error() }
func (e *FieldError) Unwrap() error { return e.Err }

// partError is a FieldError in the making: each value that the failed one is in adds its part.
type partError struct {
	parts []string // the innermost first
	err   error
}

func (e *partError) Error() string { return e.field().Error() }
func (e *partError) Unwrap() error { return e.err }

func inPart(part string, err error) error {
	inner, ok := err.(*partError)
	if !ok {
		inner = &partError{err: err}
	}
	inner.parts = append(inner.parts, part)
	return inner
}

func inElement(i int, err error) error { return inPart("["+strconv.Itoa(i)+"]", err) }

func inProperty(key string, err error) error {
	key = shortened(key)
	for i, c := range key {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z' || c == '_' || c == '$'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return inPart("["+strconv.Quote(key)+"]", err)
		}
	}
	if key == "" {
		return inPart(`[""]`, err)
	}
	return inPart("."+key, err)
}

// Paths are bounded, in bytes: values can be nested deep, and keys be long.
const (
	maxPath = 200
	maxText = 40 // of a key or another text in an error
)

// shortened returns the beginning of a text of the value, for an error.
func shortened(text string) string {
	if len(text) <= maxText {
		return text
	}
	return text[:maxText] + "…"
}

func (e *partError) field() *FieldError {
	var path strings.Builder
	for _, part := range slices.Backward(e.parts) {
		if path.Len()+len(part) > maxPath {
			path.WriteString("…")
			break
		}
		path.WriteString(part)
	}
	return &FieldError{strings.TrimPrefix(path.String(), "."), e.err}
}

// located returns err as a user sees it.
func located(err error) error {
	if e, ok := err.(*partError); ok {
		return e.field()
	}
	return err
}
