package recovery_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/millpondkv/millpond/backup"
	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/events/natslog"
	"github.com/millpondkv/millpond/internal/checkpoints"
	"github.com/millpondkv/millpond/internal/recovery"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// startNATS runs a NATS server on loopback.
func startNATS(t *testing.T) func() (*nats.Conn, error) {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(30 * time.Second) {
		t.Fatal("the NATS server does not start")
	}
	return func() (*nats.Conn, error) { return nats.Connect(s.ClientURL()) }
}

// newLog makes the log of the database "d", with an epoch and so many commits of one key each.
func newLog(t *testing.T, conn *nats.Conn, commits int) (*natslog.Log, *events.Chain) {
	t.Helper()
	return newLogOf(t, conn, "d", commits)
}

func newLogOf(t *testing.T, conn *nats.Conn, database string, commits int) (*natslog.Log, *events.Chain) {
	t.Helper()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	log, err := natslog.Create(t.Context(), js, database, natslog.Config{Memory: true})
	if err != nil {
		t.Fatal(err)
	}
	chain := &events.Chain{}
	add(t, log, chain, &events.Record{Kind: events.KindEpoch, Writer: [16]byte{1}})
	for range commits {
		addCommit(t, log, chain)
	}
	return log, chain
}

func addCommit(t *testing.T, log events.Log, chain *events.Chain) {
	t.Helper()
	value := kv.Value{Encoding: kv.EncodingBytes, Data: []byte("value")}
	effect := events.Effect{Key: kv.Key{int(chain.Applied)}.MustEncode(), Value: value}
	add(t, log, chain, &events.Record{Kind: events.KindCommits, Commits: []events.Commit{{Effects: []events.Effect{effect}}}})
}

func add(t *testing.T, log events.Log, chain *events.Chain, r *events.Record) {
	t.Helper()
	r.Epoch, r.Previous, r.Time = chain.Epoch, chain.Hash, kv.Millis(chain.Applied+1)
	s, data := events.Seal(chain.Applied+1, r)
	if _, err := log.Append(t.Context(), events.Append{Kind: r.Kind, Data: data, Last: chain.Applied, Epoch: chain.Epoch}); err != nil {
		t.Fatal(err)
	}
	if _, err := chain.Accept(s); err != nil {
		t.Fatal(err)
	}
}

// An archive of a cluster's database follows its log over NATS, through a connection that is given up.
func TestCluster(t *testing.T) {
	dial := startNATS(t)
	own, err := dial()
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	log, chain := newLog(t, own, 10)

	var dialed []*nats.Conn
	source, err := recovery.OpenCluster(t.Context(), func() (*nats.Conn, error) {
		conn, err := dial()
		dialed = append(dialed, conn)
		return conn, err
	}, "d")
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	a := backup.Open(backup.Config{
		Blob: backup.NewDirectory(t.TempDir()), Database: "d", ReadState: recovery.ReadState, Now: time.Now, NewID: recovery.NewID(),
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	archived := make(chan kv.Position, 100)
	ended := make(chan error, 1)
	go func() {
		ended <- a.Run(ctx, source, backup.RunConfig{Every: time.Millisecond, Bytes: 1, Merge: 1 << 20, Retry: 10 * time.Millisecond, Archived: func(at kv.Position) { archived <- at }})
	}()
	if at := <-archived; at != chain.Applied {
		t.Errorf("archived up to %d at first; want %d", at, chain.Applied)
	}
	dialed[0].Close()
	addCommit(t, log, chain)
	for at := range archived {
		if at == chain.Applied {
			break
		}
		if ctx.Err() != nil {
			t.Fatal("the archive does not go on")
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if _, err := a.Verify(t.Context()); err != nil {
		t.Error(err)
	}
	if r, err := a.Restore(t.Context(), backup.Target{}, "d", nil); err != nil || r.Entries != 11 {
		t.Errorf("restored %+v, %v; want 11 entries", r, err)
	}
	if len(dialed) != 2 {
		t.Errorf("connected %d times; want 2", len(dialed))
	}
}

// A log that was trimmed behind a checkpoint is backed up from there; without one its state cannot be had.
func TestTrimmedCluster(t *testing.T) {
	dial := startNATS(t)
	own, err := dial()
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	log, chain := newLog(t, own, 10)
	js, err := jetstream.New(own)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), natslog.StreamName("d"))
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context(), jetstream.WithPurgeSequence(5)); err != nil {
		t.Fatal(err)
	}
	source, err := recovery.OpenCluster(t.Context(), dial, "d")
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	if _, err := source.WriteCheckpoint(t.Context(), new(bytes.Buffer)); !errors.Is(err, events.ErrTrimmed) {
		t.Errorf("WriteCheckpoint: %v; want ErrTrimmed", err)
	}
	bucket, err := checkpoints.Open(t.Context(), js, checkpoints.Config{Replicas: 1})
	if err != nil {
		t.Fatal(err)
	}
	_, err = bucket.Put(t.Context(), log.ID(), func(w io.Writer) (events.Chain, error) { // of another log with the same records
		other, _ := newLogOf(t, own, "other", 7)
		p := projection.New(projection.Options{})
		defer p.Close()
		if err := p.CatchUp(t.Context(), other, 8); err != nil {
			return events.Chain{}, err
		}
		return p.WriteCheckpoint(t.Context(), w, log.ID())
	})
	if err != nil {
		t.Fatal(err)
	}
	var contents bytes.Buffer
	at, err := source.WriteCheckpoint(t.Context(), &contents)
	if err != nil || at.Applied != chain.Applied {
		t.Fatalf("WriteCheckpoint: at %d, %v; want %d", at.Applied, err, chain.Applied)
	}
	state, _, err := recovery.ReadState(&contents)
	if err != nil {
		t.Fatal(err)
	}
	defer state.Close()
	if live, _ := state.Count(0); live != 10 {
		t.Errorf("the state has %d entries; want 10", live)
	}
	if err := source.SetHold(t.Context(), "/backups", 9); err != nil {
		t.Fatal(err)
	}
	holds, err := checkpoints.OpenHolds(t.Context(), js, checkpoints.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if list, err := holds.List(t.Context(), log.ID()); err != nil || len(list) != 1 || list[0].Position != 9 || list[0].Name != recovery.HoldName("/backups") {
		t.Errorf("the holds are %v, %v", list, err)
	}
	if _, err := recovery.OpenCluster(t.Context(), dial, "nothing"); !errors.Is(err, kv.ErrNoDatabase) {
		t.Errorf("open what is not there: %v; want ErrNoDatabase", err)
	}
}
