package test

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millpondkv/millpond/kv"
	dp "github.com/millpondkv/millpond/kvconnect/datapath"
)

// A thousand and more watches on one connection, as one Deno program may have them, are all served; the connection still
// answers gets, and each watch sees its change and no other's.
func TestManyWatches(t *testing.T) {
	const watches = 1200
	s := startServer(t)
	w := dial(t, s.url(""))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	all := make([]*watching, watches)
	for i := range all {
		all[i] = w.watch(ctx, key("w", i))
		if first := all[i].next(); len(first) != 1 || first[0] != nil {
			t.Fatalf("watch %d begins with %v, want an absent entry", i, first)
		}
	}

	w.commit(set(key("other"), js("read beside the watches")))
	if got := decode(t, w.get(key("other"))); got != "read beside the watches" {
		t.Errorf("got %v", got)
	}
	if got := w.dials.Load(); got != 1 {
		t.Errorf("the client needed %d connections, want 1", got)
	}

	for i := range all {
		w.commit(set(key("w", i), js(float64(i))))
	}
	for i, watch := range all {
		if got := decode(t, watch.next()[0]); got != float64(i) {
			t.Errorf("watch %d shows %v", i, got)
		}
	}
}

// Watches that have nothing to show cost the server next to nothing, whatever else is written: it does not poll.
func TestIdleWatchesCostNothing(t *testing.T) {
	s := startServer(t)
	w := dial(t, s.url(""))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for i := range 1000 {
		w.watch(ctx, key("w", i)).next()
	}
	before := s.cpu()
	<-time.After(4 * time.Second) // a loop would take this much of a core; what 1,000 pings take is far less
	if used := s.cpu() - before; used > 2*time.Second {
		t.Errorf("1,000 idle watches took %v of processor time in 4s", used)
	}
}

// cpu returns the processor time that the server has used, as its metrics have it.
func (s *server) cpu() time.Duration {
	s.t.Helper()
	metrics, err := s.get("/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(metrics), "\nprocess_cpu_seconds_total ")
	value, _, _ := strings.Cut(rest, "\n")
	seconds, err := strconv.ParseFloat(value, 64)
	if !found || err != nil {
		s.t.Fatalf("process_cpu_seconds_total in the metrics: found %v, %v", found, err)
	}
	return time.Duration(seconds * float64(time.Second))
}

// A watch sends the entries of all its keys each time, says that each has changed (Deno takes the contrary for a
// delete), and pings while there is nothing to say.
func TestWatchFrames(t *testing.T) {
	s := startServer(t)
	w := dial(t, s.url(""))
	w.commit(set(key("a"), js("a")))
	watch := w.watch(t.Context(), key("a"), key("b"), key("c"))
	expect := func(want ...any) {
		t.Helper()
		for {
			out, err := watch.frame()
			if err != nil {
				t.Fatal(err)
			}
			if out == nil {
				continue
			}
			if len(out.Keys) != len(want) || out.Status != dp.SnapshotReadStatus_SR_SUCCESS {
				t.Fatalf("got %v, want %d keys", out, len(want))
			}
			for i, k := range out.Keys {
				if got := decode(t, k.EntryIfChanged); got != want[i] || !k.Changed {
					t.Errorf("key %d: got %v, changed %v; want %v", i, got, k.Changed, want[i])
				}
			}
			return
		}
	}
	expect("a", nil, nil)
	w.commit(set(key("c"), js("c")))
	expect("a", nil, "c")
	w.commit(del(key("a")), set(key("b"), js("b")))
	expect(nil, "b", "c")
	if out, err := watch.frame(); out != nil || err != nil {
		t.Errorf("while nothing changes: got %v, %v; want a ping", out, err)
	}
}

// A key that a commit makes from its versionstamp wakes the watch on that key. The next versionstamps are known to lie
// in the next positions of the log.
func TestWatchSeesVersionstampSuffix(t *testing.T) {
	s := startServer(t)
	w := dial(t, s.url(""))
	last := w.commit().Position()
	keys := make([][]byte, kv.MaxWatchedKeys)
	for i := range keys {
		keys[i] = key("log", kv.NewVersionstamp(last+1+kv.Position(i), 0).String())
	}
	watch := w.watch(t.Context(), keys...)
	watch.next()
	stamp := w.commit(mutation(dp.MutationType_M_SET_SUFFIX_VERSIONSTAMPED_KEY, key("log"), js("entry")))
	if ahead := stamp.Position() - last; stamp.Index() != 0 || ahead > kv.MaxWatchedKeys {
		t.Fatalf("the commit is %d positions ahead, at %v: beyond what the test watches", ahead, stamp)
	}
	if got := decode(t, watch.next()[stamp.Position()-last-1]); got != "entry" {
		t.Errorf("the watch shows %v, want entry", got)
	}
}

// SIGTERM ends the watches cleanly, and the server with them: no client sees a broken stream.
func TestStopEndsWatches(t *testing.T) {
	s := startServer(t)
	w := dial(t, s.url(""))
	var all []*watching
	for i := range 50 {
		watch := w.watch(t.Context(), key("w", i))
		watch.next()
		all = append(all, watch)
	}
	s.stop()
	for i, watch := range all {
		out, err := watch.frame()
		for out == nil && err == nil { // pings
			out, err = watch.frame()
		}
		if !errors.Is(err, io.EOF) {
			t.Errorf("watch %d ended with %v, want a clean end", i, err)
		}
	}
}
