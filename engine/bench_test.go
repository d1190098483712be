package engine_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/millpondkv/millpond/engine"
	"github.com/millpondkv/millpond/kv"
)

// The size of what is stored: keys of 16 bytes, values of 110.
func benchKey(i int) kv.EncodedKey {
	b := []byte{2, 'u', 's', 'e', 'r', 0, 2}
	b = fmt.Appendf(b, "%08d", i)
	return kv.EncodedKey(append(b, 0))
}

func benchValue(i int) kv.Value {
	data := make([]byte, 110)
	binary.BigEndian.PutUint64(data, uint64(i))
	return kv.Value{Encoding: kv.EncodingBytes, Data: data}
}

func open(b *testing.B, c engine.Config) (*engine.Engine, *engine.Database) {
	b.Helper()
	c.CreateDatabases, c.Logger = true, slog.New(slog.DiscardHandler)
	e, err := engine.Open(b.Context(), c)
	if err != nil {
		b.Fatal(err)
	}
	db, err := e.Database(b.Context(), "bench")
	if err != nil {
		b.Fatal(err)
	}
	return e, db
}

func openBench(b *testing.B, c engine.Config) *engine.Database {
	b.Helper()
	e, db := open(b, c)
	b.Cleanup(func() { e.Close(context.Background()) })
	return db
}

// fill stores n entries, 1000 in an atomic.
func fill(b *testing.B, db *engine.Database, n int) {
	b.Helper()
	for i := 1; i <= n; {
		a := &kv.Atomic{}
		for ; len(a.Mutations) < kv.MaxMutations && i <= n; i++ {
			a.Mutations = append(a.Mutations, kv.Mutation{Type: kv.MutationSet, Key: benchKey(i), Value: benchValue(i)})
		}
		if _, err := db.Commit(b.Context(), a); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkGet reads one key of 100,000 from every core.
func BenchmarkGet(b *testing.B) {
	const n = 100_000
	db := openBench(b, engine.Config{Memory: true})
	fill(b, db, n)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			key := benchKey(1 + rand.IntN(n))
			found, err := db.Read(b.Context(), []kv.Range{{Start: key, End: key + "\x00", Limit: 1}})
			if err != nil || len(found[0]) != 1 {
				b.Error("lost", key, err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "gets/s")
}

// BenchmarkCommit checks and sets a key, on disk with fsync.
func BenchmarkCommit(b *testing.B) {
	for _, callers := range []int{1, 64, 256, 1024} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			db := openBench(b, engine.Config{Dir: b.TempDir()})
			b.ReportAllocs()
			b.ResetTimer()
			commitFrom(b, db, callers, b.N)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
		})
	}
}

// commitFrom makes n commits from so many concurrent callers.
func commitFrom(b *testing.B, db *engine.Database, callers, n int) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for i := int(next.Add(1)); i <= n; i = int(next.Add(1)) {
				commitOne(b, db, i)
			}
		})
	}
	wg.Wait()
}

func commitOne(b *testing.B, db *engine.Database, i int) {
	key := benchKey(i)
	result, err := db.Commit(b.Context(), &kv.Atomic{
		Checks:    []kv.Check{{Key: key}},
		Mutations: []kv.Mutation{{Type: kv.MutationSet, Key: key, Value: benchValue(i)}},
	})
	if err != nil || !result.OK() {
		b.Error(result, err)
	}
}

// BenchmarkReplay opens a database whose log has a million mutations, without a checkpoint and from one.
func BenchmarkReplay(b *testing.B) {
	const n = 1_000_000
	for name, write := range map[string]func(*testing.B, *engine.Database){
		"1000-in-a-commit": func(b *testing.B, db *engine.Database) { fill(b, db, n) },
		"1-in-a-commit":    func(b *testing.B, db *engine.Database) { commitFrom(b, db, 256, n) },
	} {
		dir := b.TempDir()
		e, db := open(b, engine.Config{Dir: dir})
		write(b, db)
		if err := e.Close(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.Run("checkpoint/"+name, func(b *testing.B) { reopen(b, dir, n) })
		if err := os.RemoveAll(filepath.Join(dir, "checkpoints")); err != nil {
			b.Fatal(err)
		}
		b.Run("log/"+name, func(b *testing.B) { reopen(b, dir, n) })
	}
}

func reopen(b *testing.B, dir string, n int) {
	for range b.N {
		e, db := open(b, engine.Config{Dir: dir})
		b.StopTimer()
		key := benchKey(n - 1)
		if found, err := db.Read(b.Context(), []kv.Range{{Start: key, End: key + "\x00", Limit: 1}}); err != nil || len(found[0]) != 1 {
			b.Fatal("lost", key, err)
		}
		stopped, cancel := context.WithCancel(b.Context())
		cancel() // no checkpoint
		e.Close(stopped)
		b.StartTimer()
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "mutations/s")
}

// BenchmarkHeap reports what a million entries take.
func BenchmarkHeap(b *testing.B) {
	const n = 1_000_000
	for range b.N {
		before := heap()
		db := openBench(b, engine.Config{Dir: b.TempDir()})
		fill(b, db, n)
		b.ReportMetric(float64(heap()-before)/(1<<20), "MiB/million")
		runtime.KeepAlive(db)
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
