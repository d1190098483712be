package backup_test

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	flag.Set("rapid.checks", "20") // unless the command line says otherwise: each is some hundred restores
	code := m.Run()
	if err := noGoroutines(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// noGoroutines waits until nothing is left of what was closed. A closed BuntDB's goroutine looks once a second whether it may end.
func noGoroutines() (err error) {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		if err = goleak.Find(); err == nil { // it tries for a while itself
			break
		}
	}
	return err
}
