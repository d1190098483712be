package service

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/events/natslog"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
)

// A log that could not be read on, and can again, is served and led again, without a restart, and each change is said once.
func TestMendedLogIsServedAgain(t *testing.T) {
	r := newRig(t)
	damaged := r.makeLog("default")
	first, epoch := events.Seal(1, &events.Record{Kind: events.KindEpoch, Writer: randomID(), Time: 1})
	_, empty := events.Seal(2, &events.Record{Kind: events.KindCommits, Epoch: 1, Previous: first.Hash, Time: 2})
	fill := func(log *natslog.Log, second []byte) {
		t.Helper()
		if _, err := log.Append(t.Context(), events.Append{Kind: events.KindEpoch, Data: epoch}); err != nil {
			t.Fatal(err)
		}
		if _, err := log.Append(t.Context(), events.Append{Kind: events.KindCommits, Data: second, Last: 1, Epoch: 1}); err != nil {
			t.Fatal(err)
		}
	}
	fill(damaged, []byte("this is no record, and longer than the shortest one: "+strings.Repeat("x", 100)))

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
	w, _ := r.runWriters(WritersConfig{
		AllowUnsafe: true, Lease: time.Second, Now: r.clock, NewID: randomID, Process: "w", Logger: logger, Registry: prometheus.NewRegistry(),
	})
	unwell := func(ready func() ([]string, error)) bool { _, err := ready(); return err != nil }
	poll(t, "neither is ready", func() bool {
		return unwell(s.Ready) && unwell(w.Ready) && strings.Contains(logged.String(), "is not led until") && strings.Contains(logged.String(), "is not served until")
	})

	js, err := jetstream.New(r.connect())
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "millpond_default")
	if err != nil {
		t.Fatal(err)
	}
	config := stream.CachedInfo().Config
	if err := js.DeleteStream(t.Context(), "millpond_default"); err != nil { // as if its servers had been filled from a good copy
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	mended, err := natslog.Open(t.Context(), js, "default")
	if err != nil {
		t.Fatal(err)
	}
	fill(mended, empty)
	poll(t, "both are ready", func() bool { return !unwell(s.Ready) && !unwell(w.Ready) })
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if _, err := s.all()["default"].Commit(ctx, putting("k", "v")); err != nil {
		t.Errorf("a commit: %v", err)
	}
	poll(t, "the writer has said that it stands by again", func() bool { return strings.Contains(logged.String(), "stood by for again") })
	for _, said := range []string{"is not led until", "is not served until", "stood by for again", "served again"} {
		if n := strings.Count(logged.String(), said); n != 1 {
			t.Errorf("%q was logged %d times, want once:\n%s", said, n, logged.String())
		}
	}
}

// That a log was damaged is forgotten when another database has its name, wherever that one's log is.
func TestDamageOfAnotherDatabase(t *testing.T) {
	now := &standing{id: "another"}
	w := &Writers{
		config: WritersConfig{Logger: slog.New(slog.DiscardHandler)}, known: map[string]*standing{"default": now},
		broken: map[string]*damage{"default": {id: "one", at: 1000}},
	}
	if w.noteMended(); w.broken["default"] != nil {
		t.Error("the database is taken for damaged")
	}
	w.broken["default"] = &damage{id: "another", at: 1000}
	if w.noteMended(); w.broken["default"] == nil {
		t.Error("the database is taken for mended")
	}
}

// A damaged log that is missing for a moment, as while its servers are filled anew, is not forgotten.
func TestDamagedLogIsMissing(t *testing.T) {
	d, now := &damage{}, time.Now()
	for i, step := range []struct {
		after  time.Duration
		listed bool
		want   bool
	}{{0, false, false}, {missingMost, false, false}, {missingMost, true, false}, {missingMost + 1, false, false}, {2*missingMost + 2, false, true}} {
		if got := d.deleted(step.listed, now.Add(step.after)); got != step.want {
			t.Errorf("step %d: it is taken for deleted: %v", i, got)
		}
	}
}
