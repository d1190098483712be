package literal

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/millpondkv/millpond/kv/v8"
)

// Quote returns s as a string literal of JavaScript and of JSON alike. What does not print is escaped, and lone surrogates.
func Quote(s string) string {
	b := make([]byte, 0, len(s)+2)
	b = append(b, '"')
	for len(s) > 0 {
		r, size := v8.DecodeRune(s)
		if size == 0 {
			r, size = utf8.RuneError, 1
		}
		s = s[size:]
		b = appendQuoted(b, r)
	}
	return string(append(b, '"'))
}

func appendQuoted(b []byte, r rune) []byte {
	switch r {
	case '"', '\\':
		return append(b, '\\', byte(r))
	case '\b':
		return append(b, `\b`...)
	case '\f':
		return append(b, `\f`...)
	case '\n':
		return append(b, `\n`...)
	case '\r':
		return append(b, `\r`...)
	case '\t':
		return append(b, `\t`...)
	}
	if !utf16.IsSurrogate(r) && unicode.IsPrint(r) {
		return utf8.AppendRune(b, r)
	}
	if r > 0xffff {
		high, low := utf16.EncodeRune(r)
		return fmt.Appendf(b, `\u%04x\u%04x`, high, low)
	}
	return fmt.Appendf(b, `\u%04x`, r)
}

func isNameStart(r rune) bool { return r == '$' || r == '_' || unicode.IsLetter(r) }

func isNamePart(r rune) bool {
	return isNameStart(r) || unicode.IsDigit(r) || unicode.Is(unicode.Mn, r)
}

// isName reports whether s can be a property's key without quotes.
func isName(s string) bool {
	for i, r := range s {
		if r >= utf8.RuneSelf || !isNamePart(r) || i == 0 && !isNameStart(r) {
			return false
		}
	}
	return s != ""
}

func isErrorName(name string) bool {
	switch name {
	case "Error", "EvalError", "RangeError", "ReferenceError", "SyntaxError", "TypeError", "URIError":
		return true
	}
	return false
}

// utf8Only reports whether s can stand in a text as it is: it has no lone surrogates and nothing that does not print.
func utf8Only(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// scanRegExp returns where the flags of the regular expression literal begin that s begins with.
func scanRegExp(s string) (flags int, ok bool) {
	if strings.HasPrefix(s, "//") || strings.HasPrefix(s, "/*") {
		return 0, false
	}
	class := false
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\n', '\r':
			return 0, false
		case '\\':
			i++
			if i < len(s) && (s[i] == '\n' || s[i] == '\r') {
				return 0, false
			}
		case '[':
			class = true
		case ']':
			class = false
		case '/':
			if !class {
				return i + 1, true
			}
		}
	}
	return 0, false
}
