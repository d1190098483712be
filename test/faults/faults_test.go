//go:build linux

package faults

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// diskSize is that of each NATS server's own disk, in MB.
const diskSize = 256

// endureAll lets a cluster endure the scenarios whose names have one of the texts, in their order.
func endureAll(t *testing.T, o options, texts ...string) {
	needNamespaces(t)
	tally := newTally()
	defer tally.print(t)
	c := startCluster(t, seed(t), tally, o)
	for _, text := range texts {
		i := slices.IndexFunc(scenarios, func(s scenario) bool { return strings.Contains(s.name, text) })
		if i < 0 {
			t.Fatalf("there is no scenario with %q", text)
		}
		c.endure(scenarios[i].name, scenarios[i].run)
	}
	c.countTrims()
	c.judgeArchive()
}

// Wherever the leading writer, a reader or a standby is hit, nothing is lost, nothing is there twice, and another goes on. What was
// trimmed of the log is in the checkpoints from which everybody starts, and what was not is in the log.
func TestPoints(t *testing.T) {
	endureAll(t, options{trimmed: true}, "killed at append.before", "killed at append.sent", "killed at append.acked", "killed at answer",
		"stopped at append.sent", "a reader is killed at apply", "a standby is killed at apply", "a reader is killed at checkpoint",
		"killed at bucket.written", "killed at bucket.verified", "killed at trim.before", "killed at trim.after", "killed at checkpoint.delete")
}

// A writer that wakes up when another has led for a while does no harm; nor does one that never knew that it led.
func TestZombies(t *testing.T) {
	endureAll(t, options{archived: true}, "wakes up", "takes over is killed", "earlier epoch", "restarts")
}

// NATS servers may be lost, one or all, and every other process with them.
func TestLostServers(t *testing.T) {
	endureAll(t, options{archived: true}, "the archive's process is killed", "the stream's leader is killed", "all NATS servers are killed", "every process is killed")
}

func TestPartitions(t *testing.T) {
	endureAll(t, options{}, "the stream's leader is cut off", "the leading writer is cut off", "a reader is cut off", "on an island")
}

func TestDisks(t *testing.T) {
	endureAll(t, options{disks: diskSize}, "power fails", "bit flips", "disk of a NATS server is full", "disks of all")
}

// TestRandom hits one cluster after the other at random, for as long as it is told.
func TestRandom(t *testing.T) {
	const scenariosEach = 8
	if *lasts == 0 {
		t.Skip("run it for some time: make faults FOR=10m")
	}
	needNamespaces(t)
	tally, seed, began := newTally(), seed(t), time.Now()
	defer tally.print(t)
	for round := uint64(0); time.Since(began) < *lasts; round++ {
		ok := t.Run(fmt.Sprint(round), func(t *testing.T) {
			choice := rand.New(rand.NewPCG(seed, round))
			c := startCluster(t, seed+round, tally, options{disks: diskSize, archived: true, trimmed: round%2 == 0})
			for range scenariosEach {
				if time.Since(began) < *lasts {
					s := scenarios[choice.IntN(len(scenarios))]
					c.endure(s.name, s.run)
				}
			}
			c.countTrims()
			c.judgeArchive()
		})
		if !ok {
			return
		}
	}
}
