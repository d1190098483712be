package embedded_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/client/embedded"
	"github.com/millpondkv/millpond/kv"
)

func ExampleOpen() {
	dir, err := os.MkdirTemp("", "millpond-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()

	for range 2 { // what the first one has written, the next one finds
		e, err := embedded.Open(ctx, dir)
		if err != nil {
			log.Fatal(err)
		}
		db, err := e.DB(ctx, "visits")
		if err != nil {
			log.Fatal(err)
		}
		if _, err := db.Atomic().Sum(kv.Key{"n"}, 1).Commit(ctx); err != nil {
			log.Fatal(err)
		}
		n, err := client.Get[int](ctx, db, kv.Key{"n"})
		fmt.Println(n.Value, err, e.Close())
	}
	// Output:
	// 1 <nil> <nil>
	// 2 <nil> <nil>
}

// A program that cannot write any more should end, and be started again when the cause is mended.
func ExampleEngine() {
	ctx := context.Background()
	e, err := embedded.OpenMemory(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer e.Close()
	db, err := e.DB(ctx, "orders")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()

	select {
	case err := <-e.Failed():
		log.Print(err)
	default:
		fmt.Println("all is well")
	}
	// Output: all is well
}

// A test lets an hour pass in no time.
func ExampleWithClock() {
	ctx := context.Background()
	now := time.Now()
	e, err := embedded.OpenMemory(ctx, embedded.WithClock(func() time.Time { return now }))
	if err != nil {
		log.Fatal(err)
	}
	defer e.Close()
	db, err := e.DB(ctx, embedded.DefaultDatabase)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := db.Set(ctx, kv.Key{"session"}, 1, client.ExpireAt(now.Add(time.Hour))); err != nil {
		log.Fatal(err)
	}
	for range 2 {
		session, err := db.Get(ctx, kv.Key{"session"})
		fmt.Println(session.Exists(), err)
		now = now.Add(time.Hour)
	}
	// Output:
	// true <nil>
	// false <nil>
}

func ExampleWithLogger() {
	e, err := embedded.OpenMemory(context.Background(), embedded.WithLogger(slog.New(slog.NewTextHandler(os.Stderr, nil))))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(e.Close())
	// Output: <nil>
}

func ExampleWithMetrics() {
	registry := prometheus.NewRegistry()
	e, err := embedded.OpenMemory(context.Background(), embedded.WithMetrics(registry))
	if err != nil {
		log.Fatal(err)
	}
	defer e.Close()
	if _, err := e.DB(context.Background(), embedded.DefaultDatabase); err != nil {
		log.Fatal(err)
	}
	metrics, err := registry.Gather()
	fmt.Println(len(metrics) > 0, err)
	// Output: true <nil>
}
