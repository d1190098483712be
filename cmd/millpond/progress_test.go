package main

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Where there is no terminal, progress is a line every few seconds, and nothing for what is done sooner.
func TestProgressLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		p := newProgress(&out)
		p.add("read", 1<<20)
		if out.Len() > 0 {
			t.Errorf("at once it wrote %q", out.String())
		}
		for range 10 {
			time.Sleep(time.Second)
			p.add("read", 1<<20)
		}
		p.end()
		if got, want := out.String(), "read 6.0 MiB\nread 11.0 MiB\n"; got != want {
			t.Errorf("it wrote %q; want %q", got, want)
		}
	})
}

func TestSizeText(t *testing.T) {
	for bytes, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 3 << 30: "3.0 GiB", 5 << 50: "5120.0 TiB"} {
		if got := sizeText(bytes); got != want {
			t.Errorf("sizeText(%d) = %q; want %q", bytes, got, want)
		}
	}
}
