package databases_test

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/millpondkv/millpond/backup"
	"github.com/millpondkv/millpond/internal/databases"
	"github.com/millpondkv/millpond/internal/natsserver"
	"github.com/millpondkv/millpond/internal/recovery"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kvconnect"
	"github.com/millpondkv/millpond/service"
	"github.com/nats-io/nats.go"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
)

const wait = 30 * time.Second

// rig is a NATS server, a writer and a reader.
type rig struct {
	t      *testing.T
	nats   *natsserver.Server
	reader *service.Databases
}

func newRig(t *testing.T) *rig {
	t.Helper()
	server, err := natsserver.Start(t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	r := &rig{t: t, nats: server}
	logger := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	now := func() kv.Millis { return kv.MillisOf(time.Now()) }
	id := func() ulid.ULID { return ulid.MustNew(ulid.Now(), rand.Reader) }
	writers, err := service.NewWriters(r.connect(), service.WritersConfig{
		AllowUnsafe: true, Lease: 300 * time.Millisecond, Now: now, NewID: id, Process: "w", Logger: logger, Registry: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- writers.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	r.reader, err = service.OpenDatabases(r.connect(), service.Config{
		Create: true, Replicas: 1, AllowUnsafe: true, Process: "r", Now: now, NewID: id, Logger: logger, Registry: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.reader.Close() })
	return r
}

func (r *rig) connect() *nats.Conn {
	r.t.Helper()
	conn, err := r.nats.Connect()
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(conn.Close)
	return conn
}

// open opens the databases as a command does that has just been started.
func (r *rig) open() *databases.Databases {
	r.t.Helper()
	d, err := databases.Open(r.t.Context(), r.connect(), databases.Config{Replicas: 1, Quiet: time.Millisecond})
	if err != nil {
		r.t.Fatal(err)
	}
	return d
}

var errKilled = errors.New("killed")

// killedAt opens the databases for a command that is killed before that step.
func (r *rig) killedAt(step string) *databases.Databases {
	d := r.open()
	d.Before(func(name string) error {
		if name == step {
			return errKilled
		}
		return nil
	})
	return d
}

func (r *rig) database(name string, create bool) kvconnect.Database {
	r.t.Helper()
	db, err := r.reader.Database(r.t.Context(), name, create)
	if err != nil {
		r.t.Fatal(err)
	}
	return db
}

func key(text string) kv.EncodedKey { return kv.Key{text}.MustEncode() }

func set(name, value string) kv.Mutation {
	return kv.Mutation{Type: kv.MutationSet, Key: key(name), Value: kv.Value{Encoding: kv.EncodingBytes, Data: []byte(value)}}
}

func (r *rig) commit(db kvconnect.Database, a *kv.Atomic) kv.CommitResult {
	r.t.Helper()
	result, err := db.Commit(r.t.Context(), a)
	if err != nil {
		r.t.Fatal(err)
	}
	return result
}

func (r *rig) set(db kvconnect.Database, name, value string) kv.Versionstamp {
	r.t.Helper()
	return r.commit(db, &kv.Atomic{Mutations: []kv.Mutation{set(name, value)}}).Versionstamp
}

// entries returns all entries of a database.
func (r *rig) entries(db kvconnect.Database) []kv.Entry {
	r.t.Helper()
	found, err := db.Read(r.t.Context(), []kv.Range{{Start: "", End: "\xff", Limit: 1000}})
	if err != nil {
		r.t.Fatal(err)
	}
	return found[0]
}

// messages takes and acks n messages of a database's queue, and returns their payloads.
func (r *rig) messages(name string, n int) (got []string) {
	r.t.Helper()
	q := r.database(name, false).(kvconnect.QueueDatabase).Queue()
	for deadline := time.Now().Add(wait); len(got) < n; {
		list, err := q.Receive(r.t.Context(), 100, time.Second)
		if err != nil && !errors.Is(err, kv.ErrUnavailable) || time.Now().After(deadline) {
			r.t.Fatalf("%q has given %d messages, %v; want %d", name, len(got), err, n)
		}
		for _, m := range list {
			got = append(got, string(m.Payload))
			if err := q.Settle(r.t.Context(), kv.VerdictAck, []string{m.Receipt}); err != nil {
				r.t.Fatal(err)
			}
		}
	}
	return got
}

// stats returns the numbers of a queue once its feeder has made it and they are as they should be, or at the deadline.
func (r *rig) stats(name string, want func(kv.QueueStats) bool) (s kv.QueueStats) {
	r.t.Helper()
	q := r.database(name, false).(kvconnect.QueueDatabase).Queue()
	for deadline := time.Now().Add(wait); time.Now().Before(deadline); {
		var err error
		if s, err = q.Stats(r.t.Context()); err == nil && want(s) {
			return s
		}
	}
	r.t.Errorf("the queue of %q has %+v", name, s)
	return s
}

// archive returns an archive of a database, with all that its log has.
func (r *rig) archive(name string) *backup.Archive {
	r.t.Helper()
	a := backup.Open(backup.Config{Blob: backup.NewDirectory(r.t.TempDir()), Database: name, ReadState: recovery.ReadState, Now: time.Now, NewID: recovery.NewID()})
	r.follow(a)
	return a
}

// follow adds to an archive what the log has more.
func (r *rig) follow(a *backup.Archive) {
	r.t.Helper()
	source := r.source(a.Database)
	_, end, err := source.Bounds(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(r.t.Context(), wait)
	defer cancel()
	err = a.Run(ctx, source, backup.RunConfig{Every: time.Millisecond, Bytes: 1, Merge: 1 << 20, Retry: time.Second, Archived: func(at kv.Position) {
		if at >= end {
			cancel()
		}
	}})
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) source(name string) *recovery.Cluster {
	r.t.Helper()
	source, err := recovery.OpenCluster(r.t.Context(), func() (*nats.Conn, error) { return r.nats.Connect() }, name)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(source.Close)
	return source
}
