package history_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/oklog/ulid/v2"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/events/natslog"
	"github.com/millpondkv/millpond/history"
	"github.com/millpondkv/millpond/internal/natsserver"
	"github.com/millpondkv/millpond/kv"
)

const (
	benchCommits = 1_000_000
	benchGroup   = 100 // commits in a record
	benchKeys    = 100_000
)

func benchKey(i int) kv.EncodedKey { return kv.EncodedKey(fmt.Sprintf("\x02user\x00\x02%08d\x00", i)) }

// benchDatabase is a database on disk whose log has a million commits on 100,000 keys of 16 bytes, with values of 110.
func benchDatabase(b *testing.B) *history.Database {
	b.Helper()
	quiet := slog.New(slog.DiscardHandler)
	server, err := natsserver.Start(b.TempDir(), quiet)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(server.Stop)
	conn, err := server.Connect()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		b.Fatal(err)
	}
	log, err := natslog.Create(b.Context(), js, "bench", natslog.Config{})
	if err != nil {
		b.Fatal(err)
	}
	var chain events.Chain
	add := func(r *events.Record) {
		r.Epoch, r.Previous, r.Time = chain.Epoch, chain.Hash, chain.Time+1
		s, data := events.Seal(chain.Applied+1, r)
		a := events.Append{Kind: r.Kind, Data: data, Last: chain.Applied, Epoch: chain.Epoch}
		if _, err := log.Append(b.Context(), a); err != nil {
			b.Fatal(err)
		}
		if _, err := chain.Accept(s); err != nil {
			b.Fatal(err)
		}
	}
	add(&events.Record{Kind: events.KindEpoch, Writer: ulid.ULID{1}})
	for i := 0; i < benchCommits; {
		r := &events.Record{Kind: events.KindCommits}
		for range benchGroup {
			value := kv.Value{Encoding: kv.EncodingBytes, Data: fmt.Appendf(nil, "%0110d", i)}
			r.Commits = append(r.Commits, events.Commit{Effects: []events.Effect{{Key: benchKey(i * 7 % benchKeys), Value: value}}})
			i++
		}
		add(r)
	}
	return &history.Database{ID: log.ID(), Log: log, Slots: history.NewSlots(), Logger: quiet}
}

// BenchmarkMillionCommits reads the past of a million commits that no checkpoint shortens: an entry, all entries, what differs, and the
// versions of a key.
func BenchmarkMillionCommits(b *testing.B) {
	d := benchDatabase(b)
	_, end, err := d.Log.Bounds(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	half := kv.Moment{Versionstamp: kv.NewVersionstamp(end/2, 65535)}
	for _, bench := range []struct {
		name string
		read kv.HistoryRead
		want int
	}{
		{"Get", kv.HistoryRead{Kind: kv.HistoryEntries, Keys: []kv.EncodedKey{benchKey(7)}}, 1},
		{"List", all, benchKeys},
		{"Diff", kv.HistoryRead{Kind: kv.HistoryDifferences, From: half, Start: "\x00", End: "\xff"}, benchKeys},
		{"History", kv.HistoryRead{Kind: kv.HistoryVersions, Keys: []kv.EncodedKey{benchKey(7)}}, benchCommits / benchKeys},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				if n := countParts(b, d, bench.read, end); n != bench.want {
					b.Fatalf("%d; want %d", n, bench.want)
				}
			}
		})
	}
}

func countParts(b *testing.B, d *history.Database, read kv.HistoryRead, end kv.Position) (n int) {
	b.Helper()
	r, err := d.Read(read, end, 1_900_000_000_000)
	for err == nil {
		var part kv.HistoryPart
		part, err = r.Next(context.Background())
		n += part.Len()
	}
	if err != io.EOF {
		b.Fatal(err)
	}
	return n
}
