// Package cluster is the programs of a cluster, kvreader and kvwriter, from their start to their graceful end.
package cluster

import (
	"context"
	"crypto/rand"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/millpondkv/millpond/kv"
	"github.com/oklog/ulid/v2"
)

func newID() ulid.ULID { return ulid.MustNew(ulid.Now(), rand.Reader) }

// stopped returns why a program ends before its work has begun: nil if it was told to.
func stopped(ctx context.Context, log *slog.Logger, err error) error {
	if ctx.Err() == nil {
		return err
	}
	log.Info("stopped")
	return nil
}

// clock is the wall clock, except that it never goes back.
type clock struct{ latest atomic.Int64 }

func (c *clock) now() kv.Millis {
	now := time.Now().UnixMilli()
	for {
		latest := c.latest.Load()
		if now <= latest {
			return kv.Millis(latest)
		}
		if c.latest.CompareAndSwap(latest, now) {
			return kv.Millis(now)
		}
	}
}
