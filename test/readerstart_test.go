package test

import (
	"encoding/binary"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/events/natslog"
	"github.com/millpondkv/millpond/kv"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/oklog/ulid/v2"
)

// BenchmarkReaderStart starts a kvreader on a log of a million commits, each a set of 110 bytes, on three NATS servers, and
// reports how long it takes until it is ready, and the processor time of the reader's own process: with records as a busy database has them, as a quiet one has them, and from a
// checkpoint.
func BenchmarkReaderStart(b *testing.B) {
	const commits = 1_000_000
	for _, perRecord := range []int{200, 10} {
		c := startNATS(b)
		fillLog(b, c.natsURLs[0], commits, perRecord)
		start := func(b *testing.B, args ...string) {
			var cpu time.Duration
			for range b.N {
				p := c.startReader(args...)
				p.await(startWait)
				b.StopTimer()
				p.end(syscall.SIGTERM)
				cpu += p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
				b.StartTimer()
			}
			b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/start")
			b.ReportMetric(cpu.Seconds()/float64(b.N), "cpu-s/start")
		}
		b.Run(fmt.Sprintf("log/%d-in-a-record", perRecord), func(b *testing.B) { start(b) })
		dir := b.TempDir()
		first := c.startReader("--checkpoint-dir", dir)
		first.await(startWait)
		first.end(syscall.SIGTERM) // which takes a checkpoint
		b.Run(fmt.Sprintf("checkpoint/%d-in-a-record", perRecord), func(b *testing.B) { start(b, "--checkpoint-dir", dir) })
	}
}

// fillLog makes the log of the database "default" with so many commits of keys of their own.
func fillLog(b *testing.B, url string, commits, perRecord int) {
	b.Helper()
	conn, err := nats.Connect(url)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn, jetstream.WithPublishAsyncMaxPending(256))
	if err != nil {
		b.Fatal(err)
	}
	if _, err := natslog.Create(b.Context(), js, "default", natslog.Config{Replicas: 3}); err != nil {
		b.Fatal(err)
	}
	var chain events.Chain
	add := func(subject string, r *events.Record) {
		r.Epoch, r.Previous, r.Time = chain.Epoch, chain.Hash, kv.MillisOf(time.Now())
		sealed, data := events.Seal(chain.Applied+1, r)
		if _, err := chain.Accept(sealed); err != nil {
			b.Fatal(err)
		}
		if _, err := js.PublishAsync("millpond.default.log."+subject, data); err != nil {
			b.Fatal(err)
		}
	}
	add("epoch", &events.Record{Kind: events.KindEpoch, Writer: ulid.Make()})
	for i := 0; i < commits; i += perRecord {
		r := &events.Record{Kind: events.KindCommits}
		for j := range perRecord {
			value := kv.Value{Encoding: kv.EncodingBytes, Data: make([]byte, 110)}
			binary.BigEndian.PutUint64(value.Data, uint64(i+j))
			key := kv.Key{"user", fmt.Sprintf("%08d", (i+j)*7_919%commits)}.MustEncode()
			r.Commits = append(r.Commits, events.Commit{ID: ulid.Make(), Effects: []events.Effect{{Key: key, Value: value}}})
		}
		add("commits", r)
	}
	select {
	case <-js.PublishAsyncComplete():
	case <-time.After(10 * time.Minute):
		b.Fatal("the log was not filled in time")
	}
	stream, err := js.Stream(b.Context(), "millpond_default")
	if err != nil {
		b.Fatal(err)
	}
	if state := stream.CachedInfo().State; state.LastSeq != uint64(chain.Applied) {
		b.Fatalf("the log ends at %d; want %d", state.LastSeq, chain.Applied)
	}
}
