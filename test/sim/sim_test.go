package sim_test

import (
	"flag"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/millpondkv/millpond/test/check"
	"github.com/millpondkv/millpond/test/sim"
)

var (
	oneSeed  = flag.Int64("seed", -1, "run this seed only")
	seeds    = flag.Uint64("seeds", 200, "run so many seeds")
	seedFrom = flag.Uint64("from", 0, "the first of them")
)

// Whatever goes wrong, in every world the invariants hold.
func TestSim(t *testing.T) {
	from, n := *seedFrom, *seeds
	if *oneSeed >= 0 {
		from, n = uint64(*oneSeed), 1
	}
	var mu sync.Mutex
	total := map[string]int{}
	var next atomic.Uint64
	t.Run("worlds", func(t *testing.T) {
		for i := range min(n, uint64(runtime.GOMAXPROCS(0))) {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				for seed := next.Add(1) - 1; seed < n; seed = next.Add(1) - 1 {
					h, violations := run(t, from+seed, sim.Breaks{})
					report(t, from+seed, violations)
					mu.Lock()
					tally(total, h)
					mu.Unlock()
				}
			})
		}
	})
	for _, kind := range slices.Sorted(maps.Keys(total)) {
		t.Logf("%8d %s", total[kind], kind)
	}
}

// A seed decides everything: the same one has the same log and the same operations, to the nanosecond.
func TestSeedRepeats(t *testing.T) {
	for seed := range uint64(10) {
		first, _ := run(t, seed, sim.Breaks{})
		again, _ := run(t, seed, sim.Breaks{})
		if diff := cmp.Diff(first.Log, again.Log); diff != "" {
			t.Errorf("seed %d: the logs differ:\n%s", seed, diff)
		}
		told := func(h *check.History) (list []string) {
			for _, o := range h.Operations {
				list = append(list, fmt.Sprint(o.Begin, o.End, o.Client, o.Kind, o.Result, o.Err, o.Index, o.Snapshot.Chain))
			}
			slices.Sort(list)
			return list
		}
		if diff := cmp.Diff(told(first), told(again)); diff != "" {
			t.Errorf("seed %d: the operations differ:\n%s", seed, diff)
		}
	}
}

// run lets the world of a seed happen and checks it.
func run(t *testing.T, seed uint64, b sim.Breaks) (h *check.History, violations []string) {
	synctest.Test(t, func(*testing.T) { h = sim.NewWorld(seed, b).Run() })
	return h, check.Check(h)
}

func report(t *testing.T, seed uint64, violations []string) {
	t.Helper()
	for _, violation := range violations[:min(len(violations), 5)] {
		t.Errorf("seed %d: %s", seed, violation)
	}
	if len(violations) > 0 {
		t.Errorf("seed %d: %d violations; to repeat: go test ./test/sim -run TestSim -seed %d", seed, len(violations), seed)
	}
}

func tally(total map[string]int, h *check.History) {
	for kind, n := range h.Counts {
		total[kind] += n
	}
	for _, o := range h.Operations {
		outcome := "ok"
		if o.Err != nil {
			outcome = o.Err.Error()
		} else if !o.Result.OK() {
			outcome = "checks failed"
		}
		total[fmt.Sprintf("%s: %s", o.Kind, outcome)]++
	}
	total["records"] += len(h.Log)
	total["digests"] += len(h.Digests)
}
