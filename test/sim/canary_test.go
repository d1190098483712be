package sim_test

import (
	"strings"
	"testing"

	"github.com/millpondkv/millpond/test/sim"
)

// canarySeeds bounds how many worlds a guard may be missing in before it is noticed.
const canarySeeds = 150

// With any one guard taken out, the check notices, and soon.
func TestCanaries(t *testing.T) {
	for name, c := range map[string]struct {
		breaks sim.Breaks
		says   string // what the check must say
	}{
		"the log does not fence":             {sim.Breaks{Fence: true}, "was acked at"},
		"the log acks what it does not keep": {sim.Breaks{Kept: true}, "was acked at"},
		"readers skip records":               {sim.Breaks{Contiguity: true}, "differs from a replay"},
		"readers take void records":          {sim.Breaks{Epoch: true}, "differs from a replay"},
		"strong reads do not wait":           {sim.Breaks{Wait: true}, "strong read that began"},
		"leaders need no proof":              {sim.Breaks{Proof: true}, "read index that began"},
		"the lease is too long":              {sim.Breaks{Lease: true}, "read index that began"},
		"repeats do not say so":              {sim.Breaks{Repeat: true}, "was committed twice"},
		"the log is trimmed too far":         {sim.Breaks{Trim: true}, "does not reach the end of the log"},
		"a new leader's clock is trusted":    {sim.Breaks{Clock: true}, "after strong reads before it"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var said []string
			for seed := range uint64(canarySeeds) {
				_, said = run(t, seed, c.breaks)
				for _, violation := range said {
					if strings.Contains(violation, c.says) {
						t.Logf("noticed at seed %d: %s", seed, violation)
						return
					}
				}
			}
			t.Errorf("not noticed within %d seeds; the last violations: %q", canarySeeds, said)
		})
	}
}
