// Package trouble logs a failure that goes on, without filling the log.
package trouble

import (
	"log/slog"
	"time"
)

// again is how often a failure that goes on is logged.
const again = 10 * time.Second

// Trouble is something that may fail again and again, each time within seconds. One goroutine uses it.
type Trouble struct {
	Logger *slog.Logger
	What   string // fails: "cannot …"

	said time.Time // when it was logged last; zero: all is well
}

// Fails logs the failure as a warning, unless that was done a short while ago.
func (t *Trouble) Fails(err error) {
	if now := time.Now(); t.said.IsZero() || now.Sub(t.said) >= again {
		t.said = now
		t.Logger.Warn(t.What+"; trying again", "error", err)
	}
}

// Over logs that all is well again, if a failure was logged.
func (t *Trouble) Over() {
	if !t.said.IsZero() {
		t.said = time.Time{}
		t.Logger.Info(t.What + ": that is over")
	}
}
