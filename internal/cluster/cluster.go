// Package cluster is the programs of a cluster, kvreader and kvwriter, from their start to their graceful end.
package cluster

import (
	"crypto/rand"
	"sync/atomic"
	"time"

	"github.com/millpondkv/millpond/kv"
	"github.com/oklog/ulid/v2"
)

func newID() ulid.ULID { return ulid.MustNew(ulid.Now(), rand.Reader) }

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
