package client_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/internal/fakeserver"
	"github.com/millpondkv/millpond/kv"
)

// status answers with a status and a sentence.
func status(code int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, text, code) }
}

// garbage answers with status 200 and a body.
func garbage(contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Write([]byte(body))
	}
}

// cut closes the connection after it has sent the beginning of an answer.
func cut(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/x-protobuf")
	w.Header().Set("Content-Length", "100")
	w.Write([]byte{8, 1})
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

// drop closes the connection without an answer.
func drop(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// thenDrop does what is asked, and closes the connection without an answer.
func thenDrop(s *fakeserver.Server) http.HandlerFunc {
	return func(_ http.ResponseWriter, r *http.Request) {
		s.Serve(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	}
}

const protobuf = "application/x-protobuf"

// breakRequests answers the first n requests to paths that end so with h; n < 0: all.
func breakRequests(s *fakeserver.Server, path string, n int64, h http.HandlerFunc) {
	var left atomic.Int64
	left.Store(n)
	s.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, path) || n >= 0 && left.Add(-1) < 0 {
			return false
		}
		h(w, r)
		return true
	})
}

// checkKind expects err to be of this kind of the catalogue and of no other; a nil kind is none of them.
func checkKind(t *testing.T, err, want error) {
	t.Helper()
	if err == nil {
		t.Error("there was no error")
	}
	for _, kind := range []error{kv.ErrInvalid, kv.ErrUnauthorized, kv.ErrNoDatabase, kv.ErrUnavailable, kv.ErrUnknownOutcome, client.ErrCheckFailed} {
		if got := errors.Is(err, kind); got != (kind == want) {
			t.Errorf("is it %q? %v: %v", kind, got, err)
		}
	}
}

// faults are what may happen to a request, and what a read and a write make of it.
var faults = []struct {
	name        string
	answer      http.HandlerFunc
	read, write error // the kinds if it happens again and again; nil: none of them
	readAgain   bool  // whether the read succeeds if it happens once
	writeAgain  bool
}{
	{"400", status(400, "sentence"), kv.ErrInvalid, kv.ErrInvalid, false, false},
	{"401", status(401, "sentence"), kv.ErrUnauthorized, kv.ErrUnauthorized, true, true},
	{"403", status(403, "sentence"), kv.ErrUnauthorized, kv.ErrUnauthorized, true, true},
	{"404", status(404, "sentence"), kv.ErrNoDatabase, kv.ErrNoDatabase, false, false},
	{"409", status(409, "sentence"), nil, kv.ErrUnknownOutcome, false, false},
	{"413", status(413, "sentence"), kv.ErrInvalid, kv.ErrInvalid, false, false},
	{"429", status(429, "sentence"), kv.ErrUnavailable, kv.ErrUnavailable, true, true},
	{"500", status(500, "sentence"), kv.ErrUnavailable, kv.ErrUnknownOutcome, true, false},
	{"502", status(502, "sentence"), kv.ErrUnavailable, kv.ErrUnknownOutcome, true, false},
	{"503", status(503, "sentence"), kv.ErrUnavailable, kv.ErrUnavailable, true, true},
	{"a redirect", http.RedirectHandler("/elsewhere", http.StatusTemporaryRedirect).ServeHTTP, nil, nil, false, false},
	{"another content type", garbage("text/html", "<h1>Hello</h1>"), nil, kv.ErrUnknownOutcome, false, false},
	{"not protobuf", garbage(protobuf, "\xff\xff\xff"), nil, kv.ErrUnknownOutcome, false, false},
	{"nothing", garbage(protobuf, ""), kv.ErrUnavailable, kv.ErrUnknownOutcome, true, false},
	{"no answer", drop, kv.ErrUnavailable, kv.ErrUnknownOutcome, true, false},
	{"half an answer", cut, kv.ErrUnavailable, kv.ErrUnknownOutcome, true, false},
	// SnapshotReadOutput{read_disabled} and AtomicWriteOutput{AW_WRITE_DISABLED}.
	{"disabled", func(w http.ResponseWriter, r *http.Request) {
		answer := garbage(protobuf, "\x10\x01")
		if strings.HasSuffix(r.URL.Path, "/atomic_write") {
			answer = garbage(protobuf, "\x08\x05")
		}
		answer(w, r)
	}, kv.ErrUnavailable, kv.ErrUnavailable, true, true},
}

// A read that fails for good says why; one that may succeed the next time is sent again.
func TestReadFaults(t *testing.T) {
	for _, fault := range faults {
		for _, p := range protocols {
			t.Run(fault.name+"/"+p.name, func(t *testing.T) {
				t.Parallel()
				db, server := open(t, client.WithHTTPClient(p.http), client.WithRetryTime(100*time.Millisecond))
				set(t, db, kv.Key{"a"}, "x")
				breakRequests(server, "/snapshot_read", -1, fault.answer)
				_, err := db.Get(t.Context(), kv.Key{"a"})
				checkKind(t, err, fault.read)
				breakRequests(server, "/snapshot_read", 1, fault.answer)
				db = openAt(t, server.URL, client.WithHTTPClient(p.http))
				if entry, err := db.Get(t.Context(), kv.Key{"a"}); (err == nil && entry.Exists()) != fault.readAgain {
					t.Errorf("after one fault: %v, %v", entry, err)
				}
			})
		}
	}
}

// A write is sent again only if it has certainly not been done. After an unknown outcome it is not safe to retry.
func TestWriteFaults(t *testing.T) {
	for _, fault := range faults {
		for _, p := range protocols {
			t.Run(fault.name+"/"+p.name, func(t *testing.T) {
				t.Parallel()
				db, server := open(t, client.WithHTTPClient(p.http), client.WithRetryTime(100*time.Millisecond))
				breakRequests(server, "/atomic_write", -1, fault.answer)
				_, err := db.Set(t.Context(), kv.Key{"a"}, text("x"))
				checkKind(t, err, fault.write)
				if want := errors.Is(fault.write, kv.ErrUnavailable); kv.SafeToRetry(err) != want {
					t.Errorf("SafeToRetry is %v, want %v", !want, want)
				}
				breakRequests(server, "/atomic_write", 1, fault.answer)
				db = openAt(t, server.URL, client.WithHTTPClient(p.http))
				if _, err := db.Set(t.Context(), kv.Key{"a"}, text("x")); (err == nil) != fault.writeAgain {
					t.Errorf("after one fault: %v", err)
				}
			})
		}
	}
}

// A commit whose answer is lost is not done twice.
func TestWriteOnce(t *testing.T) {
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			db, server := open(t, client.WithHTTPClient(p.http))
			breakRequests(server, "/atomic_write", 1, thenDrop(server))
			_, err := db.Atomic().Sum(kv.Key{"n"}, 1).Commit(t.Context())
			checkKind(t, err, kv.ErrUnknownOutcome)
			if got := get(t, db, kv.Key{"n"}).Value.Data[0]; got != 1 {
				t.Errorf("the sum was done %d times", got)
			}
		})
	}
}

// The server's sentence is what the user reads; a web page is not shown.
func TestServersSentence(t *testing.T) {
	db, server := open(t, client.WithRetryTime(0))
	breakRequests(server, "/snapshot_read", 1, status(400, "range 0: the key is too long\n"))
	if _, err := db.Get(t.Context(), kv.Key{"a"}); err == nil || err.Error() != "range 0: the key is too long" {
		t.Errorf("error = %v", err)
	}
	breakRequests(server, "/snapshot_read", 1, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusServiceUnavailable)
		w.Write([]byte("<h1>Sorry</h1>"))
	})
	if _, err := db.Get(t.Context(), kv.Key{"a"}); err == nil || !strings.HasSuffix(err.Error(), "/snapshot_read answered with status 503 Service Unavailable") {
		t.Errorf("error = %v", err)
	}
}

// A server that is down is told as such, and the write that did not reach it is safe to retry.
func TestServerDown(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	_, err := client.Open(t.Context(), server.URL)
	checkKind(t, err, kv.ErrUnavailable)
	if !errors.Is(err, syscall.ECONNREFUSED) || !strings.HasPrefix(err.Error(), "no answer from "+server.URL) {
		t.Errorf("error = %v", err)
	}
	var dead atomic.Bool
	transport := transportFunc(func(req *http.Request) (*http.Response, error) {
		if dead.Load() {
			req.URL.Host = strings.TrimPrefix(server.URL, "http://")
		}
		return http.DefaultTransport.RoundTrip(req)
	})
	db, _ := open(t, client.WithHTTPClient(&http.Client{Transport: transport}), client.WithRetryTime(100*time.Millisecond))
	dead.Store(true)
	_, err = db.Set(t.Context(), kv.Key{"a"}, text("x"))
	checkKind(t, err, kv.ErrUnavailable)
}

// The context ends a call at once: a read with its cause, a write that was sent with an unknown outcome too.
func TestContext(t *testing.T) {
	db, server := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	server.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		cancel()
		<-r.Context().Done()
		return true
	})
	_, err := db.Get(ctx, kv.Key{"a"})
	checkKind(t, err, nil)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("read: %v, want context.Canceled", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	_, err = db.Set(ctx, kv.Key{"a"}, text("x"))
	checkKind(t, err, kv.ErrUnknownOutcome)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("write: %v, want context.Canceled", err)
	}
}

// A context that ends between two tries ends the call: nothing was done, and both reasons are told.
func TestContextBetweenTries(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	afterAnswer := transportFunc(func(req *http.Request) (*http.Response, error) {
		resp, err := http.DefaultTransport.RoundTrip(req)
		if strings.HasSuffix(req.URL.Path, "/atomic_write") {
			cancel()
		}
		return resp, err
	})
	db, server := open(t, client.WithHTTPClient(&http.Client{Transport: afterAnswer}))
	breakRequests(server, "/atomic_write", -1, status(503, "busy"))
	_, err := db.Set(ctx, kv.Key{"a"}, text("x"))
	checkKind(t, err, kv.ErrUnavailable)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want context.Canceled too", err)
	}
}

type transportFunc func(*http.Request) (*http.Response, error)

func (f transportFunc) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }
