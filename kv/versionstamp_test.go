package kv_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/millpondkv/millpond/kv"
)

func TestVersionstamp(t *testing.T) {
	v := kv.NewVersionstamp(0x0102, 0x0a0b)
	if got, want := v.String(), "00000000000001020a0b"; got != want {
		t.Errorf("String: got %s, want %s", got, want)
	}
	if v.Position() != 0x0102 || v.Index() != 0x0a0b || v.IsZero() {
		t.Errorf("got position %v, index %d, zero %v", v.Position(), v.Index(), v.IsZero())
	}
	if !(kv.Versionstamp{}).IsZero() {
		t.Error("the zero versionstamp is not zero")
	}
}

// Later commits have larger versionstamps, in bytes and in hex digits.
func TestVersionstampOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, q := rapid.Uint64().Draw(t, "p"), rapid.Uint64().Draw(t, "q")
		i, j := rapid.Uint16().Draw(t, "i"), rapid.Uint16().Draw(t, "j")
		a, b := kv.NewVersionstamp(kv.Position(p), i), kv.NewVersionstamp(kv.Position(q), j)
		later := q > p || q == p && j > i
		if string(b[:]) > string(a[:]) != later || b.String() > a.String() != later {
			t.Fatalf("%v and %v are not in the order of %d/%d and %d/%d", a, b, p, i, q, j)
		}
		if got, err := kv.ParseVersionstamp(strings.ToUpper(a.String())); err != nil || got != a {
			t.Fatalf("parsing %v: got %v, %v", a, got, err)
		}
	})
}

func TestParseVersionstampRefuses(t *testing.T) {
	for _, s := range []string{"", "0", "0000000000000001000", "000000000000000100000", "0000000000000001000g", "00000000000000010é", " 0000000000000010000"} {
		got, err := kv.ParseVersionstamp(s)
		if !errors.Is(err, kv.ErrInvalid) || !strings.HasSuffix(err.Error(), "is not 20 hex digits") || !got.IsZero() {
			t.Errorf("%q: got %v, %v", s, got, err)
		}
	}
}

func TestMillis(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6_999_999, time.FixedZone("CET", 3600))
	m := kv.MillisOf(at)
	if got, want := m.String(), "2026-01-02T02:04:05.006Z"; got != want {
		t.Errorf("String: got %s, want %s", got, want)
	}
	if got, want := m.Time(), at.Truncate(time.Millisecond); !got.Equal(want) {
		t.Errorf("Time: got %v, want %v", got, want)
	}
	if got := kv.MillisOf(time.Unix(0, -1)); got != -1 {
		t.Errorf("just before 1970: got %d, want -1", int64(got))
	}
	if got := kv.MaxMillis.String(); got != "275760-09-13T00:00:00.000Z" { // the last instant of a JavaScript Date
		t.Errorf("MaxMillis: got %s", got)
	}
	if got := kv.NewVersionstamp(math.MaxUint64, math.MaxUint16).Position().String(); got != "18446744073709551615" {
		t.Errorf("Position: got %s", got)
	}
}

func TestExpired(t *testing.T) {
	for _, c := range []struct {
		at, now kv.Millis
		want    bool
	}{{0, 5, false}, {0, 0, false}, {4, 5, true}, {5, 5, true}, {6, 5, false}} {
		if got := c.at.Expired(c.now); got != c.want {
			t.Errorf("%d at %d: got %v, want %v", c.at, c.now, got, c.want)
		}
	}
}
