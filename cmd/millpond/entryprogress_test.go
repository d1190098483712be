package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// Where there is no terminal a line comes now and then, and nothing steers the cursor.
func TestEntryProgressWithoutTerminal(t *testing.T) {
	var stderr bytes.Buffer
	cmd := &cobra.Command{}
	cmd.SetErr(&stderr)
	for _, total := range []int{-1, 9} {
		p := newEntryProgress(cmd, "imported", total)
		p.at(1)
		p.reported = time.Now().Add(-reportEvery)
		p.at(2)
		p.at(3)
		p.line("%s: lost", "x")
		p.clear()
	}
	if got, want := stderr.String(), "imported 2\nx: lost\nimported 2 of 9\nx: lost\n"; got != want {
		t.Errorf("shown: %q, want %q", got, want)
	}
}
