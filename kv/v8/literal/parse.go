package literal

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/millpondkv/millpond/kv/v8"
)

// Parse reads a JavaScript literal, or JSON, into a value of package v8. Beside null, undefined, booleans, numbers,
// bigints, strings (templates without ${…}), arrays, objects and regular expressions it knows the constructors that this
// package's comment and Format use: new Date("…"), new Map([…]), new Uint8Array([…]), new Error("…") and so on. Comments
// are skipped. It runs no code. Values may be nested at most 10,000 deep.
//
// An error names the line and column (in characters, from 1) and what was expected there.
func Parse(s string) (any, error) {
	p := parser{text: s}
	v, err := p.value()
	if err != nil {
		return nil, err
	}
	p.space()
	if p.pos < len(p.text) {
		return nil, p.expected("the end of the value")
	}
	return v, nil
}

const maxDepth = 10_000

type parser struct {
	text  string
	pos   int
	depth int
}

// SyntaxError says where a text is not the literal it should be.
type SyntaxError struct {
	Line, Column int // from 1; the column counts characters
	Message      string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Message)
}

func (p *parser) errorAt(pos int, format string, args ...any) error {
	before := p.text[:pos]
	line := 1 + strings.Count(before, "\n")
	column := 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
	return &SyntaxError{Line: line, Column: column, Message: fmt.Sprintf(format, args...)}
}

func (p *parser) expected(what string) error {
	return p.errorAt(p.pos, "expected %s, found %s", what, p.found())
}

// found describes the next token for an error.
func (p *parser) found() string {
	rest := p.text[p.pos:]
	if rest == "" {
		return "the end of the text"
	}
	if name := scanName(rest); name != "" {
		if len(name) > 40 {
			name = "a long name"
		}
		return name
	}
	r, _ := utf8.DecodeRuneInString(rest)
	return fmt.Sprintf("%q", r)
}

// space skips white space and comments.
func (p *parser) space() {
	for p.pos < len(p.text) {
		rest := p.text[p.pos:]
		switch {
		case strings.HasPrefix(rest, "//"):
			end := strings.IndexByte(rest, '\n')
			if end < 0 {
				end = len(rest)
			}
			p.pos += end
		case strings.HasPrefix(rest, "/*") && strings.Contains(rest[2:], "*/"):
			p.pos += 2 + strings.Index(rest[2:], "*/") + 2
		default:
			r, size := utf8.DecodeRuneInString(rest)
			if !isSpace(r) {
				return
			}
			p.pos += size
		}
	}
}

func isSpace(r rune) bool {
	switch r {
	case ' ', '\t', '\n', '\r', '\v', '\f', 0xa0, 0x2028, 0x2029, 0xfeff:
		return true
	}
	return false
}

// skip skips space and then token, if that comes next.
func (p *parser) skip(token string) bool {
	p.space()
	if !strings.HasPrefix(p.text[p.pos:], token) {
		return false
	}
	p.pos += len(token)
	return true
}

func scanName(s string) string {
	for i, r := range s {
		if !isNamePart(r) || i == 0 && !isNameStart(r) {
			return s[:i]
		}
	}
	return s
}

func (p *parser) value() (any, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, p.errorAt(p.pos, "the value is nested more than %d deep", maxDepth)
	}
	defer func() { p.depth-- }()
	p.space()
	if p.pos == len(p.text) {
		return nil, p.expected("a value")
	}
	switch c := p.text[p.pos]; {
	case c == '{':
		return p.object()
	case c == '[':
		return p.array()
	case c == '"' || c == '\'' || c == '`':
		return p.str()
	case c == '/':
		return p.regExp()
	case c == '-' || c == '+' || c == '.' || '0' <= c && c <= '9':
		return p.number()
	case c == '<':
		return nil, p.errorAt(p.pos, "expected a value; a value that contains itself (<ref *1>) cannot be written as a literal")
	}
	return p.named()
}

// named reads what begins with a name: a constant or a constructor.
func (p *parser) named() (any, error) {
	start := p.pos
	name := scanName(p.text[p.pos:])
	switch name {
	case "null":
		p.pos += len(name)
		return nil, nil
	case "undefined":
		p.pos += len(name)
		return v8.Undefined, nil
	case "true", "false":
		p.pos += len(name)
		return name == "true", nil
	case "NaN":
		p.pos += len(name)
		return math.NaN(), nil
	case "Infinity":
		p.pos += len(name)
		return math.Inf(1), nil
	case "":
		return nil, p.expected("a value")
	}
	explicit := name == "new"
	if explicit {
		p.pos += len(name)
		p.space()
		if name = scanName(p.text[p.pos:]); name == "" {
			return nil, p.expected("the name of a class after new")
		}
	}
	after := strings.TrimLeft(p.text[p.pos+len(name):], " \t\r\n")
	if !explicit && !strings.HasPrefix(after, "(") {
		return nil, p.errorAt(start, "expected a value, found %s; a string needs quotes", p.found())
	}
	return p.construct(name, explicit)
}

func (p *parser) object() (any, error) {
	p.pos++
	o := &v8.Object{}
	place := map[string]int{}
	sorted := true
	for !p.skip("}") {
		key, err := p.key()
		if err != nil {
			return nil, err
		}
		if !p.skip(":") {
			return nil, p.expected("':' after the key " + Quote(key))
		}
		v, err := p.value()
		if err != nil {
			return nil, err
		}
		if i, ok := place[key]; ok { // the first place and the last value, as in JavaScript
			o.Properties[i].Value = v
		} else {
			place[key] = len(o.Properties)
			o.Properties = append(o.Properties, v8.Property{Key: key, Value: v})
			_, index := v8.ArrayIndex(key)
			sorted = sorted && !index
		}
		if !p.skip(",") && !strings.HasPrefix(p.text[p.pos:], "}") {
			return nil, p.expected("',' or '}'")
		}
	}
	if !sorted {
		v8.SortProperties(o.Properties)
	}
	return o, nil
}

// key reads a property's key: a name, a string, a number, or a string in brackets.
func (p *parser) key() (string, error) {
	p.space()
	if p.pos < len(p.text) {
		switch c := p.text[p.pos]; {
		case c == '"' || c == '\'':
			return p.str()
		case c == '.' || '0' <= c && c <= '9':
			return p.numberKey()
		case c == '[':
			return p.bracketedKey()
		}
	}
	name := scanName(p.text[p.pos:])
	if name == "" {
		return "", p.expected("a property's key or '}'")
	}
	p.pos += len(name)
	return name, nil
}

func (p *parser) numberKey() (string, error) {
	v, err := p.number()
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(Format(v), "n"), nil
}

func (p *parser) bracketedKey() (string, error) {
	p.pos++
	p.space()
	if !strings.HasPrefix(p.text[p.pos:], `"`) && !strings.HasPrefix(p.text[p.pos:], "'") {
		return "", p.expected("a string as the key in brackets")
	}
	key, err := p.str()
	if err == nil && !p.skip("]") {
		err = p.expected("']' after the key " + Quote(key))
	}
	return key, err
}

func (p *parser) regExp() (any, error) {
	rest := p.text[p.pos:]
	end, ok := scanRegExp(rest)
	if !ok || !utf8.ValidString(rest[:end]) {
		return nil, p.errorAt(p.pos, "expected a value, found a regular expression (or comment) without an end")
	}
	flags := scanName(rest[end:])
	r, err := newRegExp(rest[1:end-1], flags)
	if err != nil {
		return nil, p.errorAt(p.pos, "%s", err)
	}
	p.pos += end + len(flags)
	return r, nil
}
