package test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/kv"
)

// BenchmarkClusterQueue enqueues from 64 callers and handles with 64 listeners at once, at the two readers of a cluster of three
// NATS servers that sync every write. Each iteration is a message, or a hundred in one commit.
func BenchmarkClusterQueue(b *testing.B) {
	c := startCluster(b)
	dbs := []*client.DB{openClient(b, c.urls[0]), openClient(b, c.urls[1])}
	for name, each := range map[string]int{"1-in-a-commit": 1, "100-in-a-commit": 100} {
		b.Run(name, func(b *testing.B) {
			var handled atomic.Int64
			ctx, stop := context.WithCancel(context.Background())
			var running sync.WaitGroup
			for i := range 64 {
				running.Go(func() {
					dbs[i%2].ListenQueue(ctx, func(context.Context, kv.Message) error { handled.Add(1); return nil }, client.ListenOptions{})
				})
			}
			var next atomic.Int64
			var sending sync.WaitGroup
			total := int64(b.N * each)
			b.ResetTimer()
			for i := range 64 {
				sending.Go(func() {
					for next.Add(1) <= int64(b.N) {
						a := dbs[i%2].Atomic()
						for range each {
							a.Enqueue("a message of some length, as they are", client.EnqueueOptions{})
						}
						if _, err := a.Commit(context.Background()); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			sending.Wait()
			sent := b.Elapsed()
			eventually(b, 5*time.Minute, "all messages are handled", func() bool { return handled.Load() >= total })
			b.StopTimer()
			b.ReportMetric(float64(total)/sent.Seconds(), "enqueued/s")
			b.ReportMetric(float64(total)/b.Elapsed().Seconds(), "handled/s")
			stop()
			running.Wait()
		})
	}
}
