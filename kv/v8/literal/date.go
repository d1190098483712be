package literal

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millpondkv/millpond/kv/v8"
)

// date reads milliseconds since 1970, or a string of ISO 8601 that says its time zone.
func (c call) date() (any, error) {
	if len(c.arguments) == 1 {
		switch v := c.arguments[0].(type) {
		case float64:
			if !(math.Abs(v) <= 8.64e15) {
				v = math.NaN()
			}
			return &v8.Date{Millis: math.Trunc(v) + 0}, nil
		case string:
			if t, ok := parseDate(v); ok {
				return v8.NewDate(t), nil
			}
			return nil, fmt.Errorf("%s is no date that can be read; write it as 2006-01-02 or 2006-01-02T15:04:05.000Z, "+
				"with Z or an offset such as +01:00", shorten(Quote(v)))
		}
	}
	return nil, fmt.Errorf("new Date takes one argument: a string such as \"2006-01-02T15:04:05Z\", or milliseconds since 1970")
}

// parseDate reads ECMAScript's date time string format, save times without a zone, which depend on the place.
func parseDate(s string) (t time.Time, ok bool) {
	var cycles int // of 400 years, in which the Gregorian calendar repeats itself
	if len(s) >= 7 && (s[0] == '+' || s[0] == '-') {
		year, err := strconv.Atoi(s[:7])
		if err != nil || s[:7] == "-000000" {
			return t, false
		}
		cycles = int(math.Floor(float64(year) / 400))
		s = fmt.Sprintf("%04d", year-cycles*400) + s[7:]
	}
	for _, layout := range []string{"2006-01-02T15:04:05.999999999Z07:00", "2006-01-02T15:04Z07:00", "2006-01-02", "2006-01", "2006"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.AddDate(400*cycles, 0, 0), true
		}
	}
	return t, false
}

func newRegExp(source, flags string) (*v8.RegExp, error) {
	if err := v8.CheckRegExpFlags(flags); err != nil {
		return nil, err
	}
	letters := strings.Split(flags, "")
	slices.Sort(letters)
	return &v8.RegExp{Source: source, Flags: strings.Join(letters, "")}, nil
}

// shorten cuts a text that an error quotes.
func shorten(s string) string {
	const most = 60
	for i := range s {
		if i > most {
			return s[:i] + "…"
		}
	}
	return s
}
