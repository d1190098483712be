package kvconnect_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kvconnect"
	pb "github.com/millpondkv/millpond/kvconnect/datapath"
)

// watcher is a client's side of a watch that is served in the same bubble, without a network.
type watcher struct {
	header http.Header
	frames chan string // what was written
	leave  context.CancelFunc
	done   chan any // what the handler panicked with, or nil, when it has returned
}

func (w *watcher) Header() http.Header { return w.header }

func (w *watcher) WriteHeader(int) {}

func (w *watcher) Write(b []byte) (int, error) {
	w.frames <- string(b)
	return len(b), nil
}

func (w *watcher) Flush() {}

// watch starts a watch of the keys.
func (s *testServer) watch(t testing.TB, keys ...[]byte) *watcher {
	message := new(pb.Watch)
	for _, k := range keys {
		message.Keys = append(message.Keys, &pb.WatchKey{Key: k})
	}
	w := &watcher{frames: make(chan string, 100), done: make(chan any, 1), header: http.Header{}}
	ctx, leave := context.WithCancel(t.Context())
	w.leave = leave
	r := s.request("/default/watch", strings.NewReader(marshal(t, message))).WithContext(ctx)
	go func() {
		defer func() { w.done <- recover() }()
		s.ServeHTTP(w, r)
	}()
	return w
}

// next returns the next message; nil is a ping.
func (w *watcher) next(t testing.TB) *pb.WatchOutput {
	t.Helper()
	frame := <-w.frames
	if n := int(binary.LittleEndian.Uint32([]byte(frame))); n != len(frame)-4 {
		t.Fatalf("a frame of %d bytes says %d", len(frame)-4, n)
	} else if n == 0 {
		return nil
	}
	out := new(pb.WatchOutput)
	if err := proto.Unmarshal([]byte(frame[4:]), out); err != nil {
		t.Fatal(err)
	}
	return out
}

func watchOutput(entries ...*pb.KvEntry) *pb.WatchOutput {
	out := &pb.WatchOutput{Status: pb.SnapshotReadStatus_SR_SUCCESS}
	for _, e := range entries {
		out.Keys = append(out.Keys, &pb.WatchKeyOutput{Changed: true, EntryIfChanged: e})
	}
	return out
}

func wantFrame(t testing.TB, w *watcher, want *pb.WatchOutput) {
	t.Helper()
	if diff := cmp.Diff(want, w.next(t), protocmp.Transform()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// The first message has every key; each later one too, all marked as changed, and comes with the change.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, nil)
		s.set(t, []byte("1"), key("a"))
		began := time.Now()
		w := s.watch(t, key("a"), key("b"))
		wantFrame(t, w, watchOutput(entry(key("a"), "1", 1), nil))
		if got := w.header.Get("Content-Type"); got != "application/octet-stream" {
			t.Errorf("got the content type %q", got)
		}
		s.set(t, []byte("2"), key("b"))
		wantFrame(t, w, watchOutput(entry(key("a"), "1", 1), entry(key("b"), "2", 2)))
		if s.Watches() != 1 || time.Since(began) != 0 {
			t.Errorf("%d watches run after %v", s.Watches(), time.Since(began))
		}
		w.leave()
		if p := <-w.done; p != http.ErrAbortHandler || s.Watches() != 0 {
			t.Errorf("the handler ended with %v, %d watches run", p, s.Watches())
		}
	})
}

// A silent watch pings every five seconds, and wakes for nothing else.
func TestWatchPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, nil)
		calls := 0
		s.db.watch = func(keys []kv.EncodedKey) kvconnect.Watch {
			return countingWatch{&fakeWatch{db: s.db, keys: keys}, &calls}
		}
		w := s.watch(t, key("a"))
		wantFrame(t, w, watchOutput(nil))
		for i := range 3 {
			began := time.Now()
			if out := w.next(t); out != nil || time.Since(began) != 5*time.Second {
				t.Fatalf("ping %d: got %v after %v", i, out, time.Since(began))
			}
		}
		synctest.Wait()
		if calls != 5 {
			t.Errorf("Next was called %d times", calls)
		}
		w.leave()
		<-w.done
	})
}

type countingWatch struct {
	kvconnect.Watch
	calls *int
}

func (w countingWatch) Next(ctx context.Context) ([]kv.Entry, error) {
	*w.calls++
	return w.Watch.Next(ctx)
}

// Drain ends a watch cleanly, with what it has sent so far, and refuses new ones in a way that makes Deno come back.
func TestWatchDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, nil)
		w := s.watch(t, key("a"))
		wantFrame(t, w, watchOutput(nil))
		s.Drain()
		if p := <-w.done; p != nil || s.Watches() != 0 {
			t.Errorf("the handler ended with %v, %d watches run", p, s.Watches())
		}
		s.Drain() // again does nothing
		wantError(t, s.post(t, "watch", &pb.Watch{Keys: []*pb.WatchKey{{Key: key("a")}}}), 503, "the server is shutting down; try again")
		s.set(t, nil, key("a")) // others are served on
	})
}

// What goes wrong before the first frame has a status. What goes wrong later breaks the stream, so that no client takes
// it for a frame.
func TestWatchFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, nil)
		for _, test := range []struct {
			err    error
			status int
			text   string
		}{
			{kv.ErrUnavailable, 503, "temporarily unavailable"},
			{errors.New("secret"), 409, "its log says how"},
		} {
			s.db.watch = func([]kv.EncodedKey) kvconnect.Watch { return &scriptedWatch{errs: []error{test.err}} }
			wantError(t, s.post(t, "watch", &pb.Watch{Keys: []*pb.WatchKey{{Key: key("a")}}}), test.status, test.text)

			s.db.watch = func([]kv.EncodedKey) kvconnect.Watch { return &scriptedWatch{errs: []error{nil, test.err}} }
			w := s.watch(t, key("a"))
			wantFrame(t, w, watchOutput(nil))
			if p := <-w.done; p != http.ErrAbortHandler || len(w.frames) != 0 {
				t.Errorf("%v: the handler ended with %v and %d more frames", test.err, p, len(w.frames))
			}
		}
	})
}

// A watch that has nothing to show yet still begins its answer, with a ping.
func TestWatchSlowStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, nil)
		s.db.watch = func([]kv.EncodedKey) kvconnect.Watch { return &scriptedWatch{} }
		w := s.watch(t, key("a"))
		if out := w.next(t); out != nil {
			t.Errorf("got %v, want a ping", out)
		}
		s.Drain()
		if p := <-w.done; p != nil {
			t.Errorf("the handler ended with %v", p)
		}
	})
}

// scriptedWatch shows one absent key for each nil and fails with each error, then waits for ever.
type scriptedWatch struct{ errs []error }

func (w *scriptedWatch) Next(ctx context.Context) ([]kv.Entry, error) {
	if len(w.errs) == 0 {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	err := w.errs[0]
	w.errs = w.errs[1:]
	return make([]kv.Entry, 1), err
}

func (w *scriptedWatch) Close() {}

// The largest frame, ten of the largest entries, is far below the 16 MiB that Deno takes.
func TestWatchLargestFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, nil)
		var keys [][]byte
		for i := range kv.MaxWatchedKeys {
			keys = append(keys, key(strings.Repeat("k", kv.MaxWriteKeySize-11), i))
			s.set(t, make([]byte, kv.MaxValueSize), keys[i])
		}
		w := s.watch(t, keys...)
		synctest.Wait()
		w.leave()
		<-w.done
		close(w.frames)
		size := 0
		for piece := range w.frames {
			size += len(piece)
		}
		if size < 10*(kv.MaxValueSize+kv.MaxWriteKeySize) || size > 1<<20 {
			t.Errorf("the frame has %d bytes", size)
		}
	})
}

// What is wrong with a watch is told in one sentence.
func TestWatchErrors(t *testing.T) {
	s := newTestServer(t, nil)
	for text, watch := range map[string]*pb.Watch{
		"provide at least one key to watch":                                           {},
		"too many keys watched in a single watch request: 11; at most 10 are allowed": {Keys: repeat(11, &pb.WatchKey{})},
		"watched key 1: the key is 2050 bytes and exceeds the":                        {Keys: []*pb.WatchKey{{}, {Key: make([]byte, 2050)}}},
	} {
		wantError(t, s.post(t, "watch", watch), 400, text)
	}
	for body, text := range map[string]string{
		"\x0a\x05":                 "the request protobuf is malformed",
		"\x0a\x00\x0a\x02\x0a\x01": "watched key 1: the request protobuf is malformed",
	} {
		wantError(t, s.do(s.request("/default/watch", strings.NewReader(body))), 400, text)
	}
}
