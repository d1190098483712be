package recovery_test

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millpondkv/millpond/backup"
	"github.com/millpondkv/millpond/engine"
	"github.com/millpondkv/millpond/internal/recovery"
	"github.com/millpondkv/millpond/kv"
)

// What an archive that follows a database costs its commits, of 64 callers: compare the two.
func BenchmarkCommits(b *testing.B) {
	b.Run("alone", func(b *testing.B) { benchCommits(b, false) })
	b.Run("archived", func(b *testing.B) { benchCommits(b, true) })
}

func benchCommits(b *testing.B, archived bool) {
	e, err := engine.Open(b.Context(), engine.Config{Dir: b.TempDir(), CreateDatabases: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close(context.Background())
	db, err := e.Database(b.Context(), "d")
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	var following sync.WaitGroup
	if archived {
		a := backup.Open(backup.Config{Blob: backup.NewDirectory(b.TempDir()), Database: "d", Now: time.Now, NewID: recovery.NewID()})
		following.Go(func() {
			a.Run(ctx, recovery.Open(db), backup.RunConfig{Every: backup.DefaultEvery, Bytes: backup.DefaultBytes, Merge: backup.DefaultMerge, Retry: backup.DefaultRetry})
		})
	}
	var next atomic.Int64
	b.SetParallelism(32)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			value := kv.Value{Encoding: kv.EncodingBytes, Data: make([]byte, 110)}
			m := kv.Mutation{Type: kv.MutationSet, Key: kv.Key{float64(next.Add(1))}.MustEncode(), Value: value}
			if _, err := db.Commit(b.Context(), &kv.Atomic{Mutations: []kv.Mutation{m}}); err != nil {
				b.Error(err)
			}
		}
	})
	b.StopTimer()
	cancel()
	following.Wait()
}
