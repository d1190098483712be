package service

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
)

func TestSurplus(t *testing.T) {
	writer := func(name string, databases ...DatabaseStatus) Status {
		return Status{Process: name, Role: "writer", Databases: databases}
	}
	leads := func(name string) DatabaseStatus { return DatabaseStatus{Name: name, Leading: true} }
	stands := func(name string) DatabaseStatus { return DatabaseStatus{Name: name} }
	damaged := func(name string) DatabaseStatus { return DatabaseStatus{Name: name, Damaged: true} }
	for name, test := range map[string]struct {
		all  []Status
		want []string
	}{
		"alone":                    {[]Status{writer("me", leads("a"), leads("b"))}, nil},
		"one more is not too many": {[]Status{writer("me", leads("a"), stands("b")), writer("x", stands("a"), stands("b"))}, nil},
		"half of four": {[]Status{
			writer("me", leads("a"), leads("b"), leads("c"), leads("d")), writer("x", stands("a"), stands("b"), stands("c"), stands("d")),
		}, []string{"a", "b"}},
		"only to who stands by": {[]Status{writer("me", leads("a"), leads("b")), writer("x", stands("b"))}, []string{"b"}},
		"not to a damaged one":  {[]Status{writer("me", leads("a"), leads("b")), writer("x", damaged("a"), damaged("b"))}, nil},
		"not to one that is behind": {[]Status{
			writer("me", DatabaseStatus{Name: "a", Leading: true, Position: 1e6}, DatabaseStatus{Name: "b", Leading: true, Position: 10}), writer("x", stands("a"), stands("b")),
		}, nil},
		"not to a reader": {[]Status{writer("me", leads("a"), leads("b")), {Process: "x", Role: "reader", Databases: []DatabaseStatus{stands("a")}}}, nil},
		"to the idlest": {[]Status{
			writer("me", leads("a"), leads("b"), leads("c"), stands("d")), writer("x", stands("a"), stands("b"), stands("c"), leads("d")),
			writer("y", stands("a"), stands("b"), stands("c"), stands("d")),
		}, []string{"a"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(surplus("me", test.all), test.want); diff != "" {
				t.Errorf("got (-), want (+):\n%s", diff)
			}
		})
	}
}

// A writer that comes later gets its share of the databases, and commits to all of them go on meanwhile.
func TestBalance(t *testing.T) {
	r := newRig(t)
	start := func(process string) *Writers {
		return r.writersWith(WritersConfig{Process: process, BalanceEvery: 200 * time.Millisecond})
	}
	first := start("first")
	databases := r.databases()
	const n = 4
	commit := func() {
		t.Helper()
		for i := range n {
			d, err := databases.find(t.Context(), fmt.Sprint("db", i), true)
			if err != nil {
				t.Fatal(err)
			}
			if result, err := d.Commit(t.Context(), putting("k", "v")); err != nil || !result.OK() {
				t.Fatalf("commit: %+v, %v", result, err)
			}
		}
	}
	commit()
	if got := first.leading.Load(); got != n {
		t.Errorf("the only writer leads %d databases, want %d", got, n)
	}
	second := start("second")
	for deadline := time.Now().Add(time.Minute); first.leading.Load() != n/2 || second.leading.Load() != n/2; {
		if time.Now().After(deadline) {
			t.Fatalf("the writers lead %d and %d databases, want %d each", first.leading.Load(), second.leading.Load(), n/2)
		}
		commit()
	}
	commit()
}

// writersWith runs the writers of a process, as the config says, until the test ends.
func (r *rig) writersWith(c WritersConfig) *Writers {
	r.t.Helper()
	c.AllowUnsafe, c.Lease, c.Now, c.NewID = true, time.Second, r.clock, randomID
	c.Logger, c.Registry = slog.New(slog.DiscardHandler), prometheus.NewRegistry()
	w, _ := r.runWriters(c)
	return w
}
