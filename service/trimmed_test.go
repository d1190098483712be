package service

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
	"github.com/prometheus/client_golang/prometheus"
)

// While a leader overwrites keys, and the log is trimmed behind its checkpoints: readers that are new, or were there, or come back, and a
// writer that takes over, have the same state; a feed from before says that it cannot be had.
func TestTrimmedLog(t *testing.T) {
	r := newRig(t)
	short := func(process string) WritersConfig {
		return WritersConfig{
			AllowUnsafe: true, Lease: time.Second, Now: r.clock, NewID: randomID, Process: process, Logger: slog.New(slog.DiscardHandler),
			Registry: prometheus.NewRegistry(), History: 400 * time.Millisecond, CheckpointBytes: 8 << 10,
		}
	}
	_, stop := r.runWriters(short("w1"))
	_, first := r.namedReader("r1")
	overwrite := func(n int) {
		t.Helper()
		for i := range n {
			a := putting(fmt.Sprint(i%10), fmt.Sprint(i, strings.Repeat("v", 1000)))
			a.Enqueues = []kv.Enqueue{{Payload: []byte{0xff, 0x0f, '0'}}} // so that the queue does not hold the log
			if result, err := first.Commit(t.Context(), a); err != nil || !result.OK() {
				t.Fatalf("commit: %+v, %v", result, err)
			}
		}
	}
	begins := func() kv.Position {
		t.Helper()
		first, _, err := r.log("default").Bounds(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return first
	}
	overwrite(20)
	early := first.projection.Chain()
	poll(t, "the log is trimmed", func() bool { overwrite(20); return begins() > early.Applied+1 })

	_, second := r.namedReader("r2")
	stop()
	r.runWriters(short("w2"))
	overwrite(20)
	if _, err := second.Read(t.Context(), []kv.Range{{Start: "", End: "\xff", Limit: 100}}); err != nil {
		t.Error(err)
	}
	v, err := Verify(t.Context(), r.connect(), "default")
	if err != nil || !v.Equal || len(v.Digests) != 3 {
		t.Errorf("verified as %+v, %v; want two readers and a writer that are equal", v, err)
	}
	feed := events.NewFeed(r.log("default"), kv.Feed{After: kv.EndOf(early.Counted), End: "\xff"})
	defer feed.Close()
	if _, err := feed.Next(t.Context()); !errors.Is(err, kv.ErrGone) {
		t.Errorf("a feed from before: %v; want ErrGone", err)
	}
}
