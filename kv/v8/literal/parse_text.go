package literal

import (
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/millpondkv/millpond/kv/v8"
)

// str reads a string in quotes of any kind.
func (p *parser) str() (string, error) {
	start := p.pos
	quote := p.text[p.pos]
	p.pos++
	var b []byte
	for p.pos < len(p.text) {
		switch c := p.text[p.pos]; {
		case c == quote:
			p.pos++
			return string(b), nil
		case c == '\\':
			var err error
			if b, err = p.escape(b); err != nil {
				return "", err
			}
		case (c == '\n' || c == '\r') && quote != '`':
			return "", p.errorAt(p.pos, "expected %c at the end of the string, found the end of the line; write \\n for a line break", quote)
		case quote == '`' && strings.HasPrefix(p.text[p.pos:], "${"):
			return "", p.errorAt(p.pos, "a template with ${…} is no literal; write \\${ for the characters")
		default:
			r, size := utf8.DecodeRuneInString(p.text[p.pos:])
			if r == utf8.RuneError && size == 1 {
				return "", p.errorAt(p.pos, "the text is not valid UTF-8")
			}
			b = utf8.AppendRune(b, r)
			p.pos += size
		}
	}
	return "", p.errorAt(start, "the string that begins here has no %c at its end", quote)
}

// escape reads an escape sequence and appends what it stands for.
func (p *parser) escape(b []byte) ([]byte, error) {
	start := p.pos
	p.pos++
	if p.pos == len(p.text) {
		return nil, p.errorAt(start, "expected a character after \\, found the end of the text")
	}
	c, size := utf8.DecodeRuneInString(p.text[p.pos:])
	if c == utf8.RuneError && size == 1 {
		return nil, p.errorAt(p.pos, "the text is not valid UTF-8")
	}
	p.pos += size
	if simple := strings.IndexRune("nrtbfv", c); simple >= 0 {
		return append(b, "\n\r\t\b\f\v"[simple]), nil
	}
	switch {
	case c == '\r':
		p.pos += len(p.text[p.pos:]) - len(strings.TrimPrefix(p.text[p.pos:], "\n"))
		return b, nil
	case c == '\n' || c == 0x2028 || c == 0x2029: // the string goes on in the next line
		return b, nil
	case c == '0' && !p.digitNext():
		return append(b, 0), nil
	case '0' <= c && c <= '9':
		return nil, p.errorAt(start, "\\%c is no escape sequence in JavaScript; write \\x00 to \\xff for a character by its number", c)
	case c != 'x' && c != 'u':
		return utf8.AppendRune(b, c), nil
	}
	r, ok := p.hexEscape(c)
	if !ok {
		return nil, p.errorAt(start, "expected \\xNN, \\uNNNN or \\u{N…} with hexadecimal digits up to 10ffff")
	}
	return appendUnit(b, r), nil
}

func (p *parser) digitNext() bool {
	return p.pos < len(p.text) && '0' <= p.text[p.pos] && p.text[p.pos] <= '9'
}

// hexEscape reads the digits of \xNN, \uNNNN or \u{N…}.
func (p *parser) hexEscape(kind rune) (r rune, ok bool) {
	rest := p.text[p.pos:]
	digits := map[rune]int{'x': 2, 'u': 4}[kind]
	if kind == 'u' && strings.HasPrefix(rest, "{") {
		rest = rest[1:]
		p.pos += len("{}")
		digits = strings.IndexByte(rest, '}')
	}
	if digits <= 0 || len(rest) < digits {
		return 0, false
	}
	n, err := strconv.ParseUint(rest[:digits], 16, 32)
	p.pos += digits
	return rune(n), err == nil && n <= utf8.MaxRune
}

// appendUnit appends r, joined with a high surrogate before it if it is a low one.
func appendUnit(b []byte, r rune) []byte {
	if len(b) >= 3 && utf16.IsSurrogate(r) {
		high, size := v8.DecodeRune(string(b[len(b)-3:]))
		if pair := utf16.DecodeRune(high, r); size == 3 && pair != utf8.RuneError {
			return utf8.AppendRune(b[:len(b)-3], pair)
		}
	}
	return v8.AppendRune(b, r)
}

// number reads a number or a bigint, with its sign.
func (p *parser) number() (any, error) {
	start := p.pos
	negative := p.text[p.pos] == '-'
	signed := negative || p.text[p.pos] == '+'
	if signed {
		p.pos++
	}
	v, err := p.unsigned(start)
	if err != nil || !signed {
		return v, err
	}
	switch n := v.(type) {
	case *big.Int:
		if !negative {
			return nil, p.errorAt(start, "a bigint cannot have a + before it")
		}
		return n.Neg(n), nil
	default:
		if negative {
			return -n.(float64), nil
		}
		return n, nil
	}
}

func (p *parser) unsigned(start int) (any, error) {
	switch name := scanName(p.text[p.pos:]); name {
	case "Infinity":
		p.pos += len(name)
		return math.Inf(1), nil
	case "NaN":
		p.pos += len(name)
		return math.NaN(), nil
	}
	if rest := p.text[p.pos:]; rest == "" || rest[0] != '.' && (rest[0] < '0' || rest[0] > '9') {
		return nil, p.expected("a number")
	}
	text := p.numberText()
	digits, bigint := strings.CutSuffix(text, "n")
	if bad := strings.Contains("_"+digits+"_", "__") || len(digits) > 1 && digits[0] == '0' && '0' <= digits[1] && digits[1] <= '9'; !bad {
		digits = strings.ReplaceAll(digits, "_", "")
		if v, ok := convertNumber(digits, bigint); ok {
			return v, nil
		}
	}
	if len(text) > 40 {
		text = text[:40] + "…"
	}
	return nil, p.errorAt(start, "%q is not a number as JavaScript writes them", text)
}

// numberText skips and returns what looks like an unsigned number.
func (p *parser) numberText() string {
	rest := p.text[p.pos:]
	end := 0
	for end < len(rest) {
		c := rest[end]
		exponentSign := end > 0 && (c == '-' || c == '+') && (rest[end-1] == 'e' || rest[end-1] == 'E') && !strings.HasPrefix(rest, "0x")
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && c != '.' && c != '_' && !exponentSign {
			break
		}
		end++
	}
	p.pos += end
	return rest[:end]
}

func convertNumber(digits string, bigint bool) (v any, ok bool) {
	base := 10
	if len(digits) > 2 && digits[0] == '0' {
		base = map[byte]int{'x': 16, 'o': 8, 'b': 2}[digits[1]|0x20]
		if base == 0 {
			base = 10
		} else {
			digits = digits[2:]
		}
	}
	if base != 10 || bigint {
		if digits == "" || digits[0] == '+' || digits[0] == '-' {
			return nil, false
		}
		n, ok := new(big.Int).SetString(digits, base)
		if !ok || bigint {
			return n, ok
		}
		f, _ := new(big.Float).SetInt(n).Float64()
		return f, true
	}
	if strings.Trim(digits, "0123456789.eE+-") != "" { // ParseFloat knows more words than JavaScript
		return nil, false
	}
	f, err := strconv.ParseFloat(digits, 64)
	return f, err == nil || math.IsInf(f, 0)
}
