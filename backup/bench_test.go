package backup_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"testing"
	"time"

	"github.com/millpondkv/millpond/backup"
	"github.com/millpondkv/millpond/engine"
	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/internal/recovery"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
)

// The database of the benchmarks: a million entries with keys of 16 bytes and values of 110 that look like objects.
const (
	benchEntries = 1_000_000
	benchRaw     = benchEntries * (16 + 110)
)

// full is a source whose state is a projection at hand.
type full struct {
	*log
	*projection.Projection
}

func (f full) Read(ctx context.Context, from kv.Position) (events.Reader, error) {
	return f.log.Read(ctx, from)
}

func (f full) ID() string { return databaseID }

func (f full) WriteCheckpoint(ctx context.Context, w io.Writer) (events.Chain, error) {
	return f.Projection.WriteCheckpoint(ctx, w, databaseID)
}

func benchSource(b *testing.B) full {
	b.Helper()
	p := projection.New(projection.Options{})
	b.Cleanup(func() { p.Close() })
	random := mathrand.New(mathrand.NewPCG(1, 2))
	cities := []string{"Amsterdam", "Berlin", "Copenhagen", "Dublin", "Edinburgh", "Florence", "Geneva", "Helsinki"}
	chain := p.Chain()
	put := func(r *events.Record) {
		r.Epoch, r.Previous, r.Time = chain.Epoch, chain.Hash, kv.Millis(1_767_225_600_000+int64(chain.Applied))
		s, _ := events.Seal(chain.Applied+1, r)
		if _, err := chain.Accept(s); err != nil {
			b.Fatal(err)
		}
		if err := p.Apply(s); err != nil {
			b.Fatal(err)
		}
	}
	put(&events.Record{Kind: events.KindEpoch, Writer: newID()})
	const perRecord = 100
	for i := 0; i < benchEntries; i += perRecord {
		r := &events.Record{Kind: events.KindCommits}
		for j := i; j < i+perRecord; j++ {
			key := binary.BigEndian.AppendUint64([]byte("\x02user\x00\x21"), uint64(j)|1<<63)
			text := fmt.Sprintf(`{"id":%d,"name":"user %d","city":%q,"active":%v,"balance":%d,"tags":["a","b"],"created":"2026-01-`, j, j, cities[random.IntN(len(cities))], j%3 == 0, random.IntN(100_000))
			value := append([]byte(text), make([]byte, 110)...)[:110]
			for k := len(text); k < 110; k++ {
				value[k] = '0' + byte(random.IntN(10))
			}
			r.Commits = append(r.Commits, events.Commit{ID: newID(), Effects: []events.Effect{{Key: kv.EncodedKey(append(key, 0)), Value: kv.Value{Encoding: kv.EncodingV8, Data: value}}}})
		}
		put(r)
	}
	return full{newLog(1), p}
}

func BenchmarkCreate(b *testing.B) {
	source := benchSource(b)
	b.SetBytes(benchRaw)
	for b.Loop() {
		a := backup.Open(benchConfig(backup.NewDirectory(b.TempDir())))
		m, err := a.Create(b.Context(), source)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(m.Stored.Bytes)/benchRaw, "stored/raw")
	}
}

func BenchmarkRestore(b *testing.B) {
	source := benchSource(b)
	a := backup.Open(benchConfig(backup.NewDirectory(b.TempDir())))
	if _, err := a.Create(b.Context(), source); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(benchRaw)
	for b.Loop() {
		dir, err := engine.OpenStopped(b.TempDir(), true, slog.New(slog.DiscardHandler))
		if err != nil {
			b.Fatal(err)
		}
		if r, err := a.Restore(b.Context(), backup.Target{}, "d", dir); err != nil || r.Entries != benchEntries {
			b.Fatalf("restored %+v, %v", r, err)
		}
		if err := dir.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func benchConfig(blob backup.Blob) backup.Config {
	return backup.Config{Blob: blob, Database: "d", ReadState: recovery.ReadState, Now: time.Now, NewID: recovery.NewID()}
}
