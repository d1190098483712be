package service

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/events/natslog"
	"github.com/millpondkv/millpond/kv"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
)

// makeLog makes the log of a database, whose stream has one replica and so is unsafe.
func (r *rig) makeLog(database string) *natslog.Log {
	r.t.Helper()
	js, err := jetstream.New(r.connect())
	if err != nil {
		r.t.Fatal(err)
	}
	log, err := natslog.Create(r.t.Context(), js, database, natslog.Config{Replicas: 1})
	if err != nil {
		r.t.Fatal(err)
	}
	return log
}

// A database whose stream is unsafe is refused: to clients with a sentence, in the log of the process with the reason. With no
// other database the process is not ready, and says why.
func TestUnsafeDatabaseIsRefused(t *testing.T) {
	r := newRig(t)
	r.makeLog("orders")
	var logged logBuffer
	logger := slog.New(slog.NewTextHandler(&logged, nil))
	s, err := OpenDatabases(r.connect(), Config{
		Replicas: 1, Process: "r", Now: r.clock, NewID: randomID, Logger: logger, Registry: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.OpenAll(t.Context(), "default"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Ready(); err == nil || !strings.Contains(err.Error(), "has one replica") {
		t.Errorf("ready: %v; want the reason", err)
	}
	if _, err := s.Database(t.Context(), "orders", false); !errors.Is(err, kv.ErrUnavailable) || !strings.Contains(err.Error(), "could lose") {
		t.Errorf("got %v; want a refusal", err)
	}
	if text := logged.String(); !strings.Contains(text, "has one replica") {
		t.Errorf("logged %s\nwant the reason", text)
	}
	if _, err := s.Database(t.Context(), "absent", false); !errors.Is(err, kv.ErrNoDatabase) {
		t.Errorf("another database: %v; want ErrNoDatabase", err)
	}
}

// A writer refuses such a database likewise, and says so once although it tries on.
func TestWriterRefusesUnsafeDatabase(t *testing.T) {
	r := newRig(t)
	r.makeLog("orders")
	var logged logBuffer
	w, err := NewWriters(r.connect(), WritersConfig{
		Lease: time.Second, Now: r.clock, NewID: randomID, Process: "w", Logger: slog.New(slog.NewTextHandler(&logged, nil)), Registry: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 { // what Run does, every second
		s := w.begin("orders")
		if s == nil {
			t.Fatal("somebody stands by for an unsafe database")
		}
		w.end(t.Context(), "orders", w.standBy(t.Context(), "orders", s))
	}
	if n := strings.Count(logged.String(), "has one replica"); n != 1 {
		t.Errorf("the reason was logged %d times, want once:\n%s", n, logged.String())
	}
	if got := w.status().Databases; len(got) != 1 || got[0].Name != "orders" || !strings.Contains(got[0].Problem, "has one replica") {
		t.Errorf("the status is %+v; want the reason", got)
	}
	if _, err := w.list(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Ready(); err == nil || !strings.Contains(err.Error(), "has one replica") {
		t.Errorf("ready: %v; want the reason, since there is no other database", err)
	}
}

// A record of a newer format stops a reader and a writer, which say what to do, and is read by neither.
func TestNewerFormat(t *testing.T) {
	r := newRig(t)
	log := r.makeLog("default")
	_, data := events.Seal(1, &events.Record{Kind: events.KindEpoch, Writer: randomID(), Time: 1})
	data[0] = 99
	body := data[:len(data)-4]
	binary.BigEndian.PutUint32(data[len(body):], crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
	if _, err := log.Append(t.Context(), events.Append{Kind: events.KindEpoch, Data: data}); err != nil {
		t.Fatal(err)
	}
	var logged logBuffer
	logger := slog.New(slog.NewTextHandler(&logged, nil))
	s, err := OpenDatabases(r.connect(), Config{
		Replicas: 1, AllowUnsafe: true, Process: "r", Now: r.clock, NewID: randomID, Logger: logger, Registry: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.OpenAll(t.Context(), "default"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Ready(); err == nil {
		t.Error("a reader that cannot read the log is ready")
	}
	w, err := NewWriters(r.connect(), WritersConfig{
		AllowUnsafe: true, Lease: time.Second, Now: r.clock, NewID: randomID, Process: "w", Logger: logger, Registry: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	w.end(ctx, "default", w.standBy(ctx, "default", w.begin("default")))
	for _, want := range []string{"written by a newer Millpond than this; this database is not served", "written by a newer Millpond than this; the database is not led", "run a newer Millpond"} {
		if !strings.Contains(logged.String(), want) {
			t.Errorf("logged %s\nwant %q", logged.String(), want)
		}
	}
}

// logBuffer can be written and read at the same time.
type logBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
