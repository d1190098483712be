package embedded_test

import (
	"context"
	"testing"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/client/clienttest"
	"github.com/millpondkv/millpond/client/embedded"
	"github.com/millpondkv/millpond/kv"
)

// BenchmarkOpen is how long an empty engine takes to be ready for a first write.
func BenchmarkOpen(b *testing.B) {
	for name, open := range map[string]func(context.Context, string) (*embedded.Engine, error){
		"directory": func(ctx context.Context, dir string) (*embedded.Engine, error) { return embedded.Open(ctx, dir) },
		"memory":    func(ctx context.Context, _ string) (*embedded.Engine, error) { return embedded.OpenMemory(ctx) },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				e, err := open(b.Context(), b.TempDir())
				if err != nil {
					b.Fatal(err)
				}
				if _, err := e.DB(b.Context(), "default"); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				e.Close()
				b.StartTimer()
			}
		})
	}
}

// BenchmarkGet is gets of 100 bytes on all processors.
func BenchmarkGet(b *testing.B) {
	db := clienttest.New(b)
	keys := make([]kv.Key, 1000)
	for i := range keys {
		keys[i] = kv.Key{"users", i}
		if _, err := db.Set(b.Context(), keys[i], client.Bytes(make([]byte, 100))); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if e, err := db.Get(context.Background(), keys[i%len(keys)]); err != nil || !e.Exists() {
				b.Fatal(e, err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "gets/s")
}
