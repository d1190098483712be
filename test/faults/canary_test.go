//go:build linux

package faults

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/nats-io/nats.go/jetstream"
)

// mostTries bounds how often a guard may be missing before it is noticed.
const mostTries = 3

// With any one guard taken out, the judges notice.
func TestCanaries(t *testing.T) {
	needNamespaces(t)
	for _, canary := range []struct {
		name string
		o    options
		run  func(*cluster)
		says string // in what the judges say
	}{
		{"epoch", options{guards: []string{"epoch"}}, stale, "was never right"},
		{"hash", options{guards: []string{"hash"}}, forgeCurrent, "is at"},
		{"contiguity", options{guards: []string{"contiguity"}, deletable: true}, readPastLoss, "was never right"},
		{"index", options{guards: []string{"index"}}, func(c *cluster) { c.cutOff(one(c, c.readers)) }, "strong read"},
		{"fsync", options{unsynced: true, disks: diskSize}, powerCut, "was acked at"},
	} {
		t.Run(canary.name, func(t *testing.T) {
			canary.o.noBank = true
			c := startCluster(t, seed(t), newTally(), canary.o)
			syscall.Sync() // what was there before the load is safe in any case
			var found []string
			for range mostTries {
				c.resume()
				canary.run(c)
				hold(2 * time.Second)
				c.rest()
				_, found = c.findings()
				for _, violation := range found {
					if strings.Contains(violation, canary.says) {
						t.Logf("noticed: %.300s", violation)
						return
					}
				}
			}
			t.Errorf("not noticed; the judges say %.2000q", found)
		})
	}
}

// A record that does not continue the log, and one that is missing, stop every reader: nothing is read past them, and nothing
// wrong is returned.
func TestDamagedLog(t *testing.T) {
	needNamespaces(t)
	for name, damage := range map[string]func(*cluster){"another history": forgeCurrent, "a record is missing": loseRecord} {
		t.Run(name, func(t *testing.T) {
			c := startCluster(t, seed(t), newTally(), options{noBank: true, deletable: true})
			c.resume()
			damage(c)
			for _, p := range c.readers {
				eventually(t, startWait, p.name+" refuses to go on", func() bool {
					_, err := fetch(p.ready)
					return err != nil && p.says("damaged")
				})
			}
			for _, at := range c.prover.readers {
				if err := c.prover.read(at, time.Second); err == nil {
					t.Error("a read was answered after the damage; want that it is refused")
				}
			}
			c.rest()
			if h, found := c.findings(); len(found) > 0 {
				c.keep(h, found)
				t.Errorf("%d violations, the first: %.2000s", len(found), found[0])
			}
		})
	}
}

// forgeCurrent appends a record of the current epoch that does not continue the log.
func forgeCurrent(c *cluster) {
	c.t.Helper()
	c.leader()
	c.rest()
	c.undamaged = c.fetch(kvDefault)
	c.forge(&events.Record{Kind: events.KindCommits, Epoch: chainOf(c.undamaged).Epoch, Previous: events.Hash{1}})
	c.resume()
}

// loseRecord deletes a record whose commit was acked, and has everybody read the log again.
func loseRecord(c *cluster) {
	c.t.Helper()
	c.leader()
	c.rest()
	at := c.prover.readers[0]
	for range 3 {
		if err := c.prover.commit(at, patience, c.prover.count); err != nil {
			c.t.Fatal(err)
		}
	}
	c.undamaged = c.fetch(kvDefault)
	killAll(append(c.others(c.writers, nil), c.readers...))
	ctx, cancel := context.WithTimeout(c.t.Context(), startWait)
	defer cancel()
	s, err := c.jetStream().Stream(ctx, "millpond_"+kvDefault)
	if err == nil {
		err = s.DeleteMsg(ctx, uint64(len(c.undamaged))-1)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	if bucket, err := c.jetStream().Stream(ctx, "OBJ_millpond_checkpoints"); err == nil { // or nobody would read so far back
		if err := bucket.Purge(ctx); err != nil {
			c.t.Fatal(err)
		}
	}
	for _, p := range append(c.others(c.writers, nil), c.readers...) {
		c.forget(p)
		p.run()
	}
	c.resume()
}

// readPastLoss has a reader read on behind a record that is missing, which takes a writer that does likewise.
func readPastLoss(c *cluster) {
	c.t.Helper()
	loseRecord(c)
	eventually(c.t, startWait, "a strong read", func() bool { return c.prover.read(c.prover.readers[0], patience) == nil })
}

// makeDeletable makes the clients' database as Millpond does, but so that its records can be deleted.
func (c *cluster) makeDeletable() {
	c.t.Helper()
	eventually(c.t, startWait, "the stream is made", func() bool {
		ctx, cancel := context.WithTimeout(c.t.Context(), 5*time.Second)
		defer cancel()
		_, err := c.jetStream().CreateStream(ctx, jetstream.StreamConfig{
			Name: "millpond_" + kvDefault, Subjects: []string{"millpond." + kvDefault + ".log.commits", "millpond." + kvDefault + ".log.epoch"},
			Replicas: len(c.nats), Discard: jetstream.DiscardNew, AllowDirect: true,
			Metadata: map[string]string{"millpond.database": kvDefault, "millpond.id": "0192f0c0-0000-7000-8000-000000000000"},
		})
		return err == nil
	})
}
