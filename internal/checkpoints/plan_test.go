package checkpoints

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/millpondkv/millpond/kv"
)

func at(times ...kv.Millis) (list []Info) {
	for _, t := range times {
		list = append(list, Info{Position: kv.Position(t), Time: t})
	}
	return list
}

func TestPlan(t *testing.T) {
	const history = 80 * time.Millisecond // steps of 10
	tests := []struct {
		name  string
		list  []Info
		start kv.Millis
		keep  []Info
		trim  kv.Position
	}{
		{"none", nil, 100, nil, 0},
		{"all in the window", at(110, 120), 100, at(110, 120), 0},
		{"the last one before the window", at(70, 80, 90, 110, 120, 130, 140, 150), 100, at(90, 110, 120, 130, 140, 150), 90},
		{"at its start", at(90, 100, 120, 130, 140), 100, at(100, 120, 130, 140), 100},
		{"all before the window", at(10, 20, 30, 40), 100, at(20, 30, 40), 20},
		{"close together", at(90, 101, 102, 103, 104, 105, 106, 111, 112, 113), 100, at(90, 101, 111, 112, 113), 90},
		{"far apart", at(90, 150, 170, 171, 172), 100, at(90, 150, 170, 171, 172), 90},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			keep, drop, trim := plan(test.list, test.start, history)
			if diff := cmp.Diff(test.keep, keep); diff != "" {
				t.Error("kept (-want +got):\n" + diff)
			}
			if trim != test.trim || len(keep)+len(drop) != len(test.list) {
				t.Errorf("trims to %d and drops %d; want %d", trim, len(drop), test.trim)
			}
		})
	}
}

// Whatever comes and is dropped: every moment of the window has a kept checkpoint before it that the log still reaches back to, and
// there are few of them; the log before the window is bounded by a step.
func TestPlanOverTime(t *testing.T) {
	const history = 800 * time.Millisecond
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 0))
		var list []Info
		trimmed, every := kv.Position(0), 1+r.Int64N(150)
		for now := kv.Millis(1000); now < 6000; now += kv.Millis(1 + r.Int64N(every)) {
			list = append(list, Info{Position: kv.Position(now), Time: now})
			start := now - kv.Millis(history.Milliseconds())
			keep, _, trim := plan(list, start, history)
			if trim != 0 {
				trimmed = max(trimmed, trim)
			}
			if trimmed != 0 && (keep[0].Position < trimmed || keep[0].Time > start) {
				t.Fatalf("seed %d at %d: the log begins at %d, the kept ones at %d, the window at %d", seed, now, trimmed, keep[0].Position, start)
			}
			if len(keep) > 2*windowSteps+keptNewest+1 {
				t.Fatalf("seed %d at %d: %d are kept", seed, now, len(keep))
			}
			if gap := start - kv.Millis(trimmed); trimmed != 0 && gap > kv.Millis(history.Milliseconds())/windowSteps+2*kv.Millis(every) {
				t.Fatalf("seed %d at %d: the log reaches back %d beyond the window", seed, now, gap)
			}
			list = keep
		}
	}
}
