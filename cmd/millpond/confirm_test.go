package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
)

// Only a yes is one; an interrupt ends the question although nobody has answered.
func TestAsk(t *testing.T) {
	for answer, want := range map[string]bool{"y\n": true, "YES\n": true, "n\n": false, "\n": false, "": false, "yesterday\n": false} {
		var out strings.Builder
		err := ask(t.Context(), strings.NewReader(answer), &out, "entries that will be deleted: 7")
		if got := err == nil; got != want {
			t.Errorf("%q: %v", answer, err)
		}
		if want := "entries that will be deleted: 7. Go on? [y/N] "; out.String() != want {
			t.Errorf("it asked %q, want %q", out.String(), want)
		}
	}
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	silent, w := io.Pipe()
	defer w.Close()
	if err := ask(ctx, silent, io.Discard, "all"); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}
