package projection_test

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
	"github.com/oklog/ulid/v2"
)

// BenchmarkCatchUp folds a log of a million commits, each a set of 110 bytes at a key of its own, decoding included.
func BenchmarkCatchUp(b *testing.B) {
	const commits = 1_000_000
	for _, perRecord := range []int{200, 10, 1} {
		b.Run(fmt.Sprintf("%d-in-a-record", perRecord), func(b *testing.B) {
			var log events.MemoryLog
			end := fill(b, &log, commits, perRecord)
			b.ReportAllocs()
			for b.Loop() {
				p := projection.New(projection.Options{})
				if err := p.CatchUp(b.Context(), &log, end); err != nil {
					b.Fatal(err)
				}
				p.Close()
			}
			b.ReportMetric(commits*float64(b.N)/b.Elapsed().Seconds(), "commits/s")
		})
	}
}

func fill(b *testing.B, log events.Log, commits, perRecord int) kv.Position {
	b.Helper()
	var chain events.Chain
	add := func(r *events.Record) {
		r.Epoch, r.Previous, r.Time = chain.Epoch, chain.Hash, 1
		last, epoch := chain.Applied, chain.Epoch
		sealed, data := events.Seal(last+1, r)
		if _, err := chain.Accept(sealed); err != nil {
			b.Fatal(err)
		}
		if _, err := log.Append(b.Context(), events.Append{Kind: r.Kind, Data: data, Last: last, Epoch: epoch}); err != nil {
			b.Fatal(err)
		}
	}
	add(&events.Record{Kind: events.KindEpoch, Writer: ulid.ULID{1}})
	for i := 0; i < commits; i += perRecord {
		r := &events.Record{Kind: events.KindCommits}
		for j := range perRecord {
			value := kv.Value{Encoding: kv.EncodingBytes, Data: make([]byte, 110)}
			binary.BigEndian.PutUint64(value.Data, uint64(i+j))
			k := key("user", fmt.Sprintf("%08d", (i+j)*7_919%commits))
			r.Commits = append(r.Commits, events.Commit{ID: ulid.Make(), Effects: []events.Effect{{Key: k, Value: value}}})
		}
		add(r)
	}
	return chain.Applied
}
