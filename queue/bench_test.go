package queue_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/engine"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kvconnect"
)

// databases makes an engine what kvconnect asks for.
type databases struct{ *engine.Engine }

func (d databases) Database(ctx context.Context, name string, _ bool) (kvconnect.Database, error) {
	db, err := d.Engine.Database(ctx, name)
	return database{db}, err
}

type database struct{ *engine.Database }

func (d database) Watch(keys []kv.EncodedKey) kvconnect.Watch { return d.Database.Watch(keys) }
func (d database) Queue() kvconnect.Queue                     { return d.Database.Queue() }

const token = "a-token-for-tests"

// serve runs a server with its data on disk, and returns a client of it.
func serve(t testing.TB) *client.DB {
	t.Helper()
	e, err := engine.Open(t.Context(), engine.Config{Dir: t.TempDir(), CreateDatabases: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close(context.Background()) })
	connect, err := kvconnect.New(kvconnect.Config{Databases: databases{e}, AccessToken: token})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(connect)
	kvconnect.ConfigureServer(server.Config)
	server.Start()
	t.Cleanup(func() { connect.Drain(); server.Close() })
	db, err := client.Open(t.Context(), server.URL, client.WithAccessToken(token))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// BenchmarkQueue enqueues from 64 callers and handles with 64 listeners at once, over HTTP, on disk with fsync.
func BenchmarkQueue(b *testing.B) {
	const listeners, callers = 64, 64
	db := serve(b)
	var handled atomic.Int64
	all := make(chan struct{})
	ctx, stop := context.WithCancel(b.Context())
	var running sync.WaitGroup
	for range listeners {
		running.Go(func() {
			db.ListenQueue(ctx, func(context.Context, kv.Message) error {
				if handled.Add(1) == int64(b.N) {
					close(all)
				}
				return nil
			}, client.ListenOptions{})
		})
	}
	value, err := client.V8("a message of some length, as they are")
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	var next atomic.Int64
	var sending sync.WaitGroup
	for range callers {
		sending.Go(func() {
			for next.Add(1) <= int64(b.N) {
				if _, err := db.Enqueue(b.Context(), value, client.EnqueueOptions{}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	sending.Wait()
	sent := b.Elapsed()
	<-all
	b.StopTimer()
	b.ReportMetric(float64(b.N)/sent.Seconds(), "enqueued/s")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "handled/s")
	stop()
	running.Wait()
}

// BenchmarkDelivery measures the time from the call of Enqueue to that of the handler, with nothing else to do.
func BenchmarkDelivery(b *testing.B) {
	db := serve(b)
	arrived := make(chan time.Time, 1)
	ctx, stop := context.WithCancel(b.Context())
	var running sync.WaitGroup
	running.Go(func() {
		db.ListenQueue(ctx, func(context.Context, kv.Message) error {
			arrived <- time.Now()
			return nil
		}, client.ListenOptions{})
	})
	value, err := client.V8("x")
	if err != nil {
		b.Fatal(err)
	}
	var took []time.Duration
	for range b.N {
		began := time.Now()
		if _, err := db.Enqueue(b.Context(), value, client.EnqueueOptions{}); err != nil {
			b.Fatal(err)
		}
		took = append(took, (<-arrived).Sub(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
	stop()
	running.Wait()
}

// BenchmarkScheduled shows what a million scheduled messages cost: to those that are due now, to the numbers, and to a start.
func BenchmarkScheduled(b *testing.B) {
	const million = 1_000_000
	for range b.N {
		b.StopTimer()
		dir := b.TempDir()
		r := &rig{t: b, dir: dir}
		r.open()
		far := r.now() + 24*3_600_000
		began := time.Now()
		var sending sync.WaitGroup
		for i := range 8 {
			sending.Go(func() {
				for j := range million / 8 / 1000 {
					a := &kv.Atomic{}
					for k := range 1000 {
						a.Enqueues = append(a.Enqueues, kv.Enqueue{Payload: payload(fmt.Sprint(i, j, k)), Deadline: far + kv.Millis(j*1000+k)})
					}
					if _, err := r.Commit(context.Background(), a); err != nil {
						b.Error(err)
					}
				}
			})
		}
		sending.Wait()
		r.awaitFor(10*time.Minute, "all are scheduled", func() bool {
			s, err := r.queue.Stats(context.Background())
			return err == nil && s.Scheduled == million
		})
		b.ReportMetric(million/time.Since(began).Seconds(), "scheduled/s")
		began = time.Now()
		for range 100 {
			if _, err := r.queue.Stats(context.Background()); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(time.Since(began).Microseconds())/1000/100, "stats-ms")
		began = time.Now()
		for range 100 {
			r.enqueue(kv.Enqueue{Payload: payload("now")})
			r.settle(kv.VerdictAck, r.receive())
		}
		b.ReportMetric(float64(time.Since(began).Microseconds())/1000/100, "one-ms")
		began = time.Now()
		r.enqueue(kv.Enqueue{Payload: payload("soon"), Deadline: r.now() + 1000})
		r.settle(kv.VerdictAck, r.receive())
		b.ReportMetric(float64(time.Since(began).Milliseconds()-1000), "late-ms")
		r.close()
		b.StartTimer()
		r.open()
		b.StopTimer()
		r.close()
	}
}
