package v8

import (
	"encoding/binary"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// The strings of this package are WTF-8 (Simon Sapin, simonsapin.github.io/wtf-8): UTF-8, except that a lone surrogate,
// which a JavaScript string can hold, takes the three bytes that UTF-8 would give its number.

// DecodeRune returns the first code point of s, a lone surrogate included, and its size. The size is 0 if s does not
// start with WTF-8.
func DecodeRune(s string) (r rune, size int) {
	r, size = utf8.DecodeRuneInString(s)
	if r != utf8.RuneError || size > 1 {
		return r, size
	}
	if len(s) >= 3 && s[0] == 0xed && s[1]&0xe0 == 0xa0 && s[2]&0xc0 == 0x80 {
		return 0xd000 | rune(s[1]&0x3f)<<6 | rune(s[2]&0x3f), 3
	}
	return 0, 0
}

// AppendRune appends r, which may be a lone surrogate.
func AppendRune(b []byte, r rune) []byte {
	if utf16.IsSurrogate(r) {
		return append(b, 0xe0|byte(r>>12), 0x80|byte(r>>6)&0xbf, 0x80|byte(r)&0xbf)
	}
	return utf8.AppendRune(b, r)
}

func isASCII(b []byte) bool {
	var all byte
	for _, c := range b {
		all |= c
	}
	return all < utf8.RuneSelf
}

// fromLatin1 returns the string whose units are the bytes of b.
func fromLatin1(b []byte) string {
	if isASCII(b) {
		return string(b)
	}
	var s strings.Builder
	s.Grow(len(b) + len(b)/2)
	for _, c := range b {
		s.WriteRune(rune(c))
	}
	return s.String()
}

// fromUTF16 returns the string whose units are the little-endian pairs of b.
func fromUTF16(b []byte) string {
	s := make([]byte, 0, len(b)+len(b)/2)
	for len(b) >= 2 {
		r := rune(binary.LittleEndian.Uint16(b))
		b = b[2:]
		if utf16.IsSurrogate(r) && len(b) >= 2 {
			if pair := utf16.DecodeRune(r, rune(binary.LittleEndian.Uint16(b))); pair != utf8.RuneError {
				r, b = pair, b[2:]
			}
		}
		s = AppendRune(s, r)
	}
	return string(s)
}

// fromUTF8 returns b with U+FFFD for each part that is not UTF-8, by the same parts as V8 and the web: as much as could
// begin a character, or else a byte.
func fromUTF8(b []byte) string {
	s := make([]byte, 0, len(b))
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		if r == utf8.RuneError && size == 1 {
			for size < len(b) && !utf8.FullRune(b[:size+1]) {
				size++
			}
		}
		s = utf8.AppendRune(s, r)
		b = b[size:]
	}
	return string(s)
}

// measure returns how many units s has and whether each of them fits in a byte. It is not ok if s is not WTF-8.
func measure(s string) (units int, latin1, ok bool) {
	latin1 = true
	for i := 0; i < len(s); {
		if s[i] < utf8.RuneSelf {
			units, i = units+1, i+1
			continue
		}
		r, size := DecodeRune(s[i:])
		if size == 0 {
			return 0, false, false
		}
		if r > 0xff {
			latin1 = false
		}
		if r > 0xffff {
			units++
		}
		units, i = units+1, i+size
	}
	return units, latin1, true
}

func appendLatin1(b []byte, s string, units int) []byte {
	if units == len(s) {
		return append(b, s...)
	}
	for _, r := range s {
		b = append(b, byte(r))
	}
	return b
}

func appendUTF16(b []byte, s string) []byte {
	for len(s) > 0 {
		r, size := DecodeRune(s)
		s = s[size:]
		if r > 0xffff {
			high, low := utf16.EncodeRune(r)
			b = binary.LittleEndian.AppendUint16(b, uint16(high))
			r = low
		}
		b = binary.LittleEndian.AppendUint16(b, uint16(r))
	}
	return b
}
