package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes.
type Size int64

var sizeUnits = []struct {
	name  string
	bytes int64
}{ // the longer names first: every one ends in B
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12},
	{"B", 1}, {"", 1},
}

// ParseSize reads a whole number of bytes, or of one of the units KB, MB, GB, TB (powers of 1000) and KiB, MiB, GiB, TiB
// (powers of 1024), in any case, with or without a space between.
func ParseSize(text string) (Size, error) {
	for _, unit := range sizeUnits {
		number, ok := cutSuffixFold(strings.TrimSpace(text), unit.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
		if err != nil || n < 0 {
			break
		}
		if n > math.MaxInt64/unit.bytes {
			return 0, fmt.Errorf("%q is too large", text)
		}
		return Size(n * unit.bytes), nil
	}
	return 0, fmt.Errorf("%q is not a size; write a whole number and a unit, such as 900KB, 64MiB or 2GiB", text)
}

func cutSuffixFold(s, suffix string) (string, bool) {
	cut := len(s) - len(suffix)
	if cut < 0 || !strings.EqualFold(s[cut:], suffix) {
		return s, false
	}
	return s[:cut], true
}

// String returns the size in the largest unit that divides it, such as 64MiB or 900KB, in a form that ParseSize reads.
func (s Size) String() string {
	best := sizeUnits[len(sizeUnits)-2]
	for _, unit := range sizeUnits {
		if unit.bytes > best.bytes && s != 0 && int64(s)%unit.bytes == 0 {
			best = unit
		}
	}
	return strconv.FormatInt(int64(s)/best.bytes, 10) + best.name
}
