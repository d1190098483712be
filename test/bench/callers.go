package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/kv"
)

// Callers are goroutines of a process of its own: each does one thing again and again, and waits for its answer.

const (
	valueSize    = 110
	keysOfCaller = 16
)

// called is what the process prints.
type called struct {
	PerSecond int
	P50, P99  time.Duration
}

// runCallers measures in a process of its own: what is "commit", "strong" or "eventual".
func runCallers(ctx context.Context, url, what string, callers int, d time.Duration) (c called, err error) {
	self, err := os.Executable()
	if err != nil {
		return c, err
	}
	cmd := exec.CommandContext(ctx, self, "callers", url, what, strconv.Itoa(callers), d.String())
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &c)
	}
	if err != nil {
		return c, fmt.Errorf("%d callers, %s: %w", callers, what, err)
	}
	return c, nil
}

// call is the process: its arguments are those of runCallers.
func call(ctx context.Context, out io.Writer, args []string) error {
	callers, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	d, err := time.ParseDuration(args[3])
	if err != nil {
		return err
	}
	db, err := client.Open(ctx, args[0])
	if err != nil {
		return err
	}
	defer db.Close()
	step := committing
	switch args[1] {
	case "strong":
		step = reading(client.Strong)
	case "eventual":
		step = reading(client.Eventual)
	}
	all := make([][]time.Duration, callers)
	failed := make([]error, callers)
	begins := time.Now().Add(time.Second) // what comes before warms up
	ends := begins.Add(d)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			next := step(db, i)
			for {
				began := time.Now()
				if err := next(ctx); err != nil {
					failed[i] = err
					return
				}
				now := time.Now()
				if now.After(ends) {
					return
				}
				if began.After(begins) {
					all[i] = append(all[i], now.Sub(began))
				}
			}
		})
	}
	wg.Wait()
	for _, err := range failed {
		if err != nil {
			return err
		}
	}
	times := slices.Concat(all...)
	slices.Sort(times)
	if len(times) == 0 {
		return fmt.Errorf("nothing was answered within %v", d)
	}
	return json.NewEncoder(out).Encode(called{
		PerSecond: int(float64(len(times)) / d.Seconds()), P50: times[len(times)/2], P99: times[len(times)*99/100],
	})
}

func callerKey(caller, i int) kv.Key { return kv.Key{"bench", caller, i % keysOfCaller} }

// committing checks that an entry is as this caller has left it, and sets it.
func committing(db *client.DB, caller int) func(context.Context) error {
	var entries [keysOfCaller]client.RawEntry
	value, n := client.Bytes(make([]byte, valueSize)), 0
	return func(ctx context.Context) (err error) {
		e := &entries[n%keysOfCaller]
		if e.Key == nil {
			if *e, err = db.Get(ctx, callerKey(caller, n)); err != nil {
				return err
			}
		}
		e.Versionstamp, err = db.Atomic().Check(*e).Set(e.Key, value).Commit(ctx)
		n++
		return err
	}
}

func reading(c client.Consistency) func(*client.DB, int) func(context.Context) error {
	return func(db *client.DB, caller int) func(context.Context) error {
		db, n := db.WithConsistency(c), 0
		return func(ctx context.Context) error {
			e, err := db.Get(ctx, callerKey(caller, n))
			n++
			if err == nil && !e.Exists() {
				err = fmt.Errorf("there is no entry at %v", e.Key)
			}
			return err
		}
	}
}
