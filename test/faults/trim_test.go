//go:build linux

package faults

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/millpondkv/millpond/events/natslog"
	"github.com/millpondkv/millpond/internal/checkpoints"
	"github.com/millpondkv/millpond/kv"
)

// trimHistory is the history window of clusters that trim their logs.
const trimHistory = 5 * time.Second

// trimPoints are passed by the leading writer of a cluster that trims its logs.
var trimPoints = []string{"trim.before", "trim.after", "checkpoint.delete"}

func isTrimPoint(scenario string) bool {
	return slices.ContainsFunc(trimPoints, func(point string) bool { return strings.HasSuffix(scenario, point) })
}

// followLogs makes the databases and keeps what their logs get, until the test ends. They are trimmed only as far as that has come.
func (c *cluster) followLogs() {
	c.t.Helper()
	for _, database := range []string{kvDefault, bankDatabase} {
		eventually(c.t, startWait, "the log of "+database+" is made, and held", func() bool {
			ctx, cancel := context.WithTimeout(c.t.Context(), 5*time.Second)
			defer cancel()
			log, err := natslog.Create(ctx, c.jetStream(), database, natslog.Config{Replicas: len(c.nats)})
			return err == nil && c.allowTrim(ctx, log) == nil
		})
		c.follow(database)
	}
}

func (c *cluster) follow(database string) {
	done, cancel := context.WithCancel(c.t.Context())
	var ended sync.WaitGroup
	ended.Go(func() {
		for tick := time.NewTicker(time.Second); ; {
			select {
			case <-tick.C:
				_, _ = c.tryFetch(database) // a fault may be in its way: the log is held meanwhile
			case <-done.Done():
				tick.Stop()
				return
			}
		}
	})
	c.t.Cleanup(func() { cancel(); ended.Wait() })
}

// allowTrim lets a log be trimmed as far as it was fetched.
func (c *cluster) allowTrim(ctx context.Context, log *natslog.Log) error {
	if !c.options.trimmed {
		return nil
	}
	holds, err := checkpoints.OpenHolds(ctx, log.JetStream(), checkpoints.Config{Replicas: len(c.nats)})
	if err != nil {
		return err
	}
	kept := kv.Position(len(c.fetched[log.Database()]))
	return holds.Set(ctx, log.ID(), checkpoints.Hold{Name: "judge", Position: kept, Of: "the judge", Moved: time.Now()})
}

// countTrims counts what was trimmed of the log of the clients' database.
func (c *cluster) countTrims() {
	c.t.Helper()
	if !c.options.trimmed {
		return
	}
	if info, err := c.stream(kvDefault); err == nil {
		c.tally.add("records that were trimmed from logs", int(info.State.FirstSeq)-1)
	}
}
