package engine_test

import (
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millpondkv/millpond/engine"
	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/internal/checkpoints"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
)

const bucketEntries = 1_000_000

// bucketOf returns a database with a million entries, and the bucket, which has no checkpoint yet.
func bucketOf(b *testing.B) (*engine.Database, *checkpoints.Bucket) {
	db := openBench(b, engine.Config{Dir: b.TempDir(), CheckpointBytes: 1 << 40})
	fill(b, db, bucketEntries)
	bucket, err := checkpoints.Open(b.Context(), db.Log().JetStream(), checkpoints.Config{Replicas: 1})
	if err != nil {
		b.Fatal(err)
	}
	return db, bucket
}

func putCheckpoint(b *testing.B, db *engine.Database, bucket *checkpoints.Bucket) checkpoints.Info {
	info, err := bucket.Put(b.Context(), db.ID(), func(w io.Writer) (events.Chain, error) {
		return db.Projection().WriteCheckpoint(b.Context(), w, db.ID())
	})
	if err != nil {
		b.Fatal(err)
	}
	return info
}

// BenchmarkBucketStart reads a checkpoint of a million entries from the bucket, as a reader that starts does.
func BenchmarkBucketStart(b *testing.B) {
	db, bucket := bucketOf(b)
	putCheckpoint(b, db, bucket)
	b.ResetTimer()
	for range b.N {
		p, err := bucket.Newest(b.Context(), db.ID(), 1, projection.Options{}, slog.New(slog.DiscardHandler))
		if err != nil {
			b.Fatal(err)
		}
		p.Close()
	}
}

// BenchmarkBucketCheckpoint takes checkpoints of a million entries into the bucket while 64 callers commit and one reads. It reports what they
// get on with meanwhile, and what they did without. A keeper takes checkpoints for a tenth of the time at most.
func BenchmarkBucketCheckpoint(b *testing.B) {
	db, bucket := bucketOf(b)
	ctx, cancel := context.WithCancel(b.Context())
	var load sync.WaitGroup
	defer load.Wait()
	defer cancel()
	var commits atomic.Int64
	var longest atomic.Int64
	for range 64 {
		load.Go(func() {
			for ctx.Err() == nil {
				i := 1 + rand.IntN(bucketEntries)
				a := &kv.Atomic{Mutations: []kv.Mutation{{Type: kv.MutationSet, Key: benchKey(i), Value: benchValue(i)}}}
				if _, err := db.Commit(ctx, a); err == nil {
					commits.Add(1)
				}
			}
		})
	}
	load.Go(func() {
		for ctx.Err() == nil {
			key := benchKey(1 + rand.IntN(bucketEntries))
			began := time.Now()
			if _, err := db.Read(ctx, []kv.Range{{Start: key, End: key + "\x00", Limit: 1}}); err == nil {
				longest.Store(max(longest.Load(), int64(time.Since(began))))
			}
			time.Sleep(100 * time.Microsecond) // it samples, and does not compete
		}
	})
	rate := func(what func()) (perSecond float64, read time.Duration) {
		longest.Store(0)
		before, began := commits.Load(), time.Now()
		what()
		return float64(commits.Load()-before) / time.Since(began).Seconds(), time.Duration(longest.Load())
	}
	rest := func() { time.Sleep(5 * time.Second) }
	rest() // warm
	b.ResetTimer()
	var without, with, share float64
	var idle, busy time.Duration
	for range b.N {
		before, idleRead := rate(rest)
		began := time.Now()
		during, busyRead := rate(func() { putCheckpoint(b, db, bucket) })
		took := time.Since(began)
		after, _ := rate(rest)
		without, with = without+(before+after)/2, with+during
		share += took.Seconds()
		idle, busy = max(idle, idleRead), max(busy, busyRead)
	}
	n := float64(b.N)
	b.ReportMetric(without/n, "commits/s-without")
	b.ReportMetric(with/n, "commits/s-while-taken")
	b.ReportMetric(share/n, "s-taken")
	b.ReportMetric(100*(1-with/without)/10, "%-of-commits/s-at-most")
	b.ReportMetric(float64(idle.Milliseconds()), "ms-longest-read-without")
	b.ReportMetric(float64(busy.Milliseconds()), "ms-longest-read")
}
