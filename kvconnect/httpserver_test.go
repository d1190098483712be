package kvconnect_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kvconnect"
	pb "github.com/millpondkv/millpond/kvconnect/datapath"
)

// listen serves s on a real port until the test ends, or until the returned server is shut down.
func (s *testServer) listen(t testing.TB) (url string, server *http.Server) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server = &http.Server{Handler: s}
	kvconnect.ConfigureServer(server)
	server.RegisterOnShutdown(s.Drain)
	served := make(chan struct{})
	go func() {
		defer close(served)
		server.Serve(listener)
	}()
	t.Cleanup(func() {
		server.Close()
		<-served
	})
	return "http://" + listener.Addr().String(), server
}

// protocolClient returns a client that speaks one version of HTTP, over one connection if that is 2.
func protocolClient(t testing.TB, h2 bool) *http.Client {
	transport := &http.Transport{Protocols: new(http.Protocols), HTTP2: &http.HTTP2Config{StrictMaxConcurrentRequests: true}}
	transport.Protocols.SetHTTP1(!h2)
	transport.Protocols.SetUnencryptedHTTP2(h2)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (s *testServer) call(t testing.TB, client *http.Client, url string, body io.Reader) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, body)
	if err != nil {
		t.Fatal(err)
	}
	s.authorize(r)
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	return response
}

// bothProtocols runs a test against a real server, once with HTTP/1.1 and once with HTTP/2 by prior knowledge.
func bothProtocols(t *testing.T, test func(t *testing.T, s *testServer, client *http.Client, url string, server *http.Server)) {
	for _, h2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("HTTP2=%v", h2), func(t *testing.T) {
			s := newTestServer(t, nil)
			url, server := s.listen(t)
			test(t, s, protocolClient(t, h2), url, server)
		})
	}
}

// One port speaks HTTP/1.1 and HTTP/2 without TLS; answers have their length and are never compressed or redirected.
func TestProtocols(t *testing.T) {
	bothProtocols(t, func(t *testing.T, s *testServer, client *http.Client, url string, _ *http.Server) {
		response := s.call(t, client, url+"/default/snapshot_read", http.NoBody)
		if got := response.Proto == "HTTP/2.0"; got != client.Transport.(*http.Transport).Protocols.UnencryptedHTTP2() {
			t.Errorf("got %s", response.Proto)
		}
		body, err := io.ReadAll(response.Body)
		if err != nil || response.ContentLength != int64(len(body)) || response.Uncompressed {
			t.Errorf("got %q, %v; Content-Length %d", body, err, response.ContentLength)
		}
		for path, status := range map[string]int{"//": 404, "/default//snapshot_read": 404, "/default/./watch": 404, "/x/../default": 404} {
			if got := s.call(t, client, url+path, http.NoBody); got.StatusCode != status {
				t.Errorf("%s: got %s", path, got.Status)
			}
		}
	})
}

// A body that is too large gets its sentence before it has been sent, and one of unknown length when it has become so.
func TestBodyTooLarge(t *testing.T) {
	bothProtocols(t, func(t *testing.T, s *testServer, client *http.Client, url string, _ *http.Server) {
		for _, body := range []io.Reader{bytes.NewReader(make([]byte, 2<<20+1)), io.LimitReader(zeros{}, 2<<20+1)} {
			response := s.call(t, client, url+"/default/atomic_write", body)
			text, err := io.ReadAll(response.Body)
			if response.StatusCode != http.StatusRequestEntityTooLarge || err != nil || !strings.Contains(string(text), "at most 2097152") {
				t.Errorf("got %s %q %v", response.Status, text, err)
			}
		}
	})
}

// readFrame reads the next frame of a watch that is not a ping.
func readFrame(t testing.TB, body io.Reader) *pb.WatchOutput {
	t.Helper()
	var length [4]byte
	for {
		if _, err := io.ReadFull(body, length[:]); err != nil {
			t.Fatal(err)
		}
		if n := binary.LittleEndian.Uint32(length[:]); n > 0 {
			frame, out := make([]byte, n), new(pb.WatchOutput)
			if _, err := io.ReadFull(body, frame); err != nil {
				t.Fatal(err)
			}
			if err := proto.Unmarshal(frame, out); err != nil {
				t.Fatal(err)
			}
			return out
		}
	}
}

// Frames arrive as they are written, and shutting the server down ends the stream as one that is complete.
func TestWatchOverNetwork(t *testing.T) {
	bothProtocols(t, func(t *testing.T, s *testServer, client *http.Client, url string, server *http.Server) {
		body := marshal(t, &pb.Watch{Keys: []*pb.WatchKey{{Key: key("a")}}})
		response := s.call(t, client, url+"/default/watch", strings.NewReader(body))
		if out := readFrame(t, response.Body); out.Keys[0].EntryIfChanged != nil {
			t.Errorf("got %v", out)
		}
		s.set(t, []byte("v"), key("a"))
		if out := readFrame(t, response.Body); string(out.Keys[0].EntryIfChanged.GetValue()) != "v" {
			t.Errorf("got %v", out)
		}
		if err := server.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if rest, err := io.ReadAll(response.Body); err != nil || len(rest) != 0 {
			t.Errorf("the stream ended with %q, %v", rest, err)
		}
	})
}

// When a client leaves, its watch ends.
func TestWatchClientLeaves(t *testing.T) {
	bothProtocols(t, func(t *testing.T, s *testServer, client *http.Client, url string, _ *http.Server) {
		closed := make(chan struct{})
		s.db.watch = func(keys []kv.EncodedKey) kvconnect.Watch {
			return closingWatch{&fakeWatch{db: s.db, keys: keys}, closed}
		}
		body := marshal(t, &pb.Watch{Keys: []*pb.WatchKey{{Key: key("a")}}})
		response := s.call(t, client, url+"/default/watch", strings.NewReader(body))
		readFrame(t, response.Body)
		response.Body.Close()
		select {
		case <-closed:
		case <-time.After(30 * time.Second):
			t.Error("the watch is still open")
		}
	})
}

type closingWatch struct {
	kvconnect.Watch
	closed chan struct{}
}

func (w closingWatch) Close() { close(w.closed) }

// One connection holds 1,500 watches and still serves reads, which is what Deno needs: it opens no second one.
func TestManyStreams(t *testing.T) {
	const watches = 1500
	s := newTestServer(t, nil)
	url, _ := s.listen(t)
	client := protocolClient(t, true)
	body := marshal(t, &pb.Watch{Keys: []*pb.WatchKey{{Key: key("a")}}})
	streams := make([]*http.Response, watches)
	for i := range streams {
		streams[i] = s.call(t, client, url+"/default/watch", strings.NewReader(body))
		readFrame(t, streams[i].Body)
	}
	if got := s.Watches(); got != watches {
		t.Errorf("%d watches run", got)
	}
	if response := s.call(t, client, url+"/default/snapshot_read", http.NoBody); response.StatusCode != http.StatusOK {
		t.Errorf("a read got %s", response.Status)
	}
	s.set(t, []byte("v"), key("a"))
	for i, stream := range streams {
		if out := readFrame(t, stream.Body); string(out.Keys[0].EntryIfChanged.GetValue()) != "v" {
			t.Fatalf("watch %d got %v", i, out)
		}
	}
	s.Drain()
	for i, stream := range streams {
		if _, err := io.ReadAll(stream.Body); err != nil {
			t.Fatalf("watch %d ended with %v", i, err)
		}
	}
}

// A client that leaves while its request is served gets no answer, not even an empty one, and is told apart.
func TestClientGone(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		ctx, leave := context.WithCancel(t.Context())
		statuses := make(chan int, 1)
		s := newTestServer(t, func(c *kvconnect.Config) {
			c.Observe = func(endpoint kvconnect.Endpoint, status int, _ time.Duration) {
				if endpoint == kvconnect.EndpointSnapshotRead {
					statuses <- status
				}
			}
		})
		s.db.read = func(ctx context.Context, _ []kv.Range) ([][]kv.Entry, error) {
			leave()
			<-ctx.Done()
			return nil, ctx.Err()
		}
		url, _ := s.listen(t)
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/default/snapshot_read", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		s.authorize(r)
		if _, err := protocolClient(t, h2).Do(r); err == nil {
			t.Error("the client got an answer")
		}
		if got := <-statuses; got != 499 || s.log.Len() > 0 {
			t.Errorf("HTTP2=%v: got the status %d and the log %q", h2, got, s.log)
		}
	}
}

// Config.Observe learns of every request, whatever became of it.
func TestObserve(t *testing.T) {
	var got []string
	s := newTestServer(t, func(c *kvconnect.Config) {
		c.Observe = func(endpoint kvconnect.Endpoint, status int, took time.Duration) {
			if got = append(got, fmt.Sprint(endpoint, " ", status)); took < 0 {
				t.Errorf("took %v", took)
			}
		}
	})
	s.post(t, "snapshot_read", new(pb.SnapshotRead))
	s.post(t, "atomic_write", &pb.AtomicWrite{Checks: []*pb.Check{{}}})
	s.post(t, "nothing", new(pb.SnapshotRead))
	want := "[metadata 200 snapshot_read 200 atomic_write 400 none 404]"
	if fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
}
