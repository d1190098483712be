package trouble_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millpondkv/millpond/internal/trouble"
)

// A failure that goes on for a minute is logged at once, then every ten seconds, and its end once; the next one is a new one.
func TestTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said strings.Builder
		p := trouble.Trouble{Logger: slog.New(slog.NewTextHandler(&said, nil)), What: "cannot listen"}
		p.Over()
		for range 120 {
			p.Fails(errors.New("deaf"))
			time.Sleep(500 * time.Millisecond)
		}
		p.Over()
		p.Over()
		p.Fails(errors.New("deaf again"))
		text := said.String()
		if fails, over := strings.Count(text, "cannot listen; trying again"), strings.Count(text, "cannot listen: that is over"); fails != 7 || over != 1 {
			t.Errorf("logged %d failures and %d ends, want 7 and 1:\n%s", fails, over, text)
		}
	})
}
