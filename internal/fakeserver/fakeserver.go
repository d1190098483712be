// Package fakeserver is a KV Connect server for the tests of clients: the real protocol server with the model of kvtest
// behind it, over a real connection, which can be told to misbehave.
package fakeserver

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kv/kvtest"
	"github.com/millpondkv/millpond/kvconnect"
)

// Token is the access token of every Server.
const Token = "the-access-token"

// DatabaseID is the UUID of the only database of every Server, the default one.
const DatabaseID = "2f3f0d4c-9d3c-4a8f-8d43-0c7d0e4f7a11"

// Server is a running server, on HTTP/1.1 and HTTP/2 without TLS.
type Server struct {
	URL  string
	http *httptest.Server
	kv   *kvconnect.Server

	mu         sync.Mutex
	intercept  func(http.ResponseWriter, *http.Request) bool
	requests   []string // paths
	model      *kvtest.Model
	position   kv.Position
	now        kv.Millis     // 0: the time of day
	changed    chan struct{} // closed and replaced when the model or the clock has changed
	deliveries []*delivery   // of the model's messages
}

// New starts a server that runs until the end of the test.
func New(t testing.TB) *Server {
	t.Helper()
	s, err := Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// Start starts a server that runs until it is closed, for examples.
func Start() (*Server, error) {
	s := &Server{model: kvtest.New(), changed: make(chan struct{})}
	var err error
	s.kv, err = kvconnect.New(kvconnect.Config{Databases: databases{s}, AccessToken: Token})
	if err != nil {
		return nil, err
	}
	s.http = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	kvconnect.ConfigureServer(s.http.Config)
	s.http.Start()
	s.URL = s.http.URL
	return s, nil
}

// Close ends the watches and the connections.
func (s *Server) Close() {
	s.kv.Drain()
	s.http.CloseClientConnections()
	s.http.Close()
}

// Intercept gives f every request that comes from now on, before the server has seen it. If f returns false the server
// serves the request as if nothing had happened. A nil f intercepts no more.
func (s *Server) Intercept(f func(http.ResponseWriter, *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.intercept = f
}

// Requests returns how many requests have come to paths that end so.
func (s *Server) Requests(suffix string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(slices.DeleteFunc(slices.Clone(s.requests), func(p string) bool { return !strings.HasSuffix(p, suffix) }))
}

// SetNow stops the clock of the database.
func (s *Server) SetNow(now kv.Millis) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = now
	s.notify()
}

// Serve answers a request as the server would without Intercept.
func (s *Server) Serve(w http.ResponseWriter, r *http.Request) { s.kv.ServeHTTP(w, r) }

// CutConnections closes all connections.
func (s *Server) CutConnections() { s.http.CloseClientConnections() }

// Messages returns everything that was enqueued.
func (s *Server) Messages() []kvtest.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.model.Messages()
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests = append(s.requests, r.URL.Path)
	intercept := s.intercept
	s.mu.Unlock()
	if intercept != nil {
		body, err := io.ReadAll(r.Body) // net/http notices that a client has gone only behind the body
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		if intercept(w, r) {
			return
		}
	}
	s.kv.ServeHTTP(w, r)
}

// notify wakes the watches. The caller holds mu.
func (s *Server) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Server) time() kv.Millis {
	if s.now != 0 {
		return s.now
	}
	return kv.MillisOf(time.Now())
}

type databases struct{ s *Server }

func (d databases) Database(_ context.Context, name string, _ bool) (kvconnect.Database, error) {
	if name != kvconnect.DefaultDatabase {
		return nil, kv.Errorf(kv.ErrNoDatabase, "there is no database %q", name)
	}
	return database(d), nil
}

// database is the model behind the server's lock.
type database struct{ s *Server }

func (d database) ID() string { return DatabaseID }

func (d database) Read(_ context.Context, ranges []kv.Range) ([][]kv.Entry, error) {
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	return d.s.model.Read(ranges, d.s.time()), nil
}

func (d database) Commit(_ context.Context, a *kv.Atomic) (kv.CommitResult, error) {
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	d.s.position++
	result, err := d.s.model.Commit(a, d.s.time(), kv.NewVersionstamp(d.s.position, 0))
	d.s.notify()
	return result, err
}

func (d database) Watch(keys []kv.EncodedKey) kvconnect.Watch {
	return &watch{s: d.s, keys: keys}
}

// watch shows its keys after every commit.
type watch struct {
	s       *Server
	keys    []kv.EncodedKey
	changed chan struct{} // nil: nothing was shown yet
}

func (w *watch) Next(ctx context.Context) ([]kv.Entry, error) {
	if w.changed != nil {
		select {
		case <-w.changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	w.changed = w.s.changed
	entries := make([]kv.Entry, len(w.keys))
	for i, key := range w.keys {
		entries[i].Key = key
		found := w.s.model.Read([]kv.Range{{Start: key, End: key + "\x00", Limit: 1}}, w.s.time())[0]
		if len(found) > 0 {
			entries[i] = found[0]
		}
	}
	return entries, nil
}

func (w *watch) Close() {}
