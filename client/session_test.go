package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/internal/fakeserver"
	"github.com/millpondkv/millpond/kv"
)

// Open says what is wrong with an answer that is not a KV Connect server's.
func TestOpenFaults(t *testing.T) {
	metadata := func(format string, args ...any) http.HandlerFunc {
		return garbage("application/json", fmt.Sprintf(format, args...))
	}
	const good = `{"version":%d,"databaseId":%q,"token":%q,"expiresAt":"2100-01-01T00:00:00Z","endpoints":[{"url":%q,"consistency":%q}]}`
	id := fakeserver.DatabaseID
	tests := []struct {
		name   string
		answer http.HandlerFunc
		kind   error
		want   string
	}{
		{"401", status(401, "no"), kv.ErrUnauthorized, "no"},
		{"404", status(404, "no database"), kv.ErrNoDatabase, "no database"},
		{"503", status(503, "later"), kv.ErrUnavailable, "later"},
		{"400", status(400, "what"), kv.ErrInvalid, "what"},
		{"a web page", garbage("text/html", "<h1>Hello</h1>"), nil, "is not that of a KV Connect server; is the URL right?"},
		{"no answer", drop, kv.ErrUnavailable, "no answer from"},
		{"version 1", metadata(good, 1, id, "t", "/", "strong"), nil, "version 1"},
		{"version 4", metadata(good, 4, id, "t", "/", "strong"), nil, "version 4"},
		{"no UUID", metadata(good, 3, "x", "t", "/", "strong"), nil, `the database id "x" is not a UUID`},
		{"no token", metadata(good, 3, id, "", "/", "strong"), nil, "no token"},
		{"no strong endpoint", metadata(good, 3, id, "t", "/", "eventual"), nil, "no endpoint for strong reads"},
		{"bad endpoint", metadata(good, 3, id, "t", ":", "strong"), nil, "not a URL"},
		{"no time", metadata(`{"version":3,"expiresAt":"soon"}`), nil, "is not that of a KV Connect server"},
		{"too long", garbage("application/json", strings.Repeat(" ", 2<<20)), kv.ErrUnavailable, "larger than"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			server := httptest.NewServer(test.answer)
			defer server.Close()
			_, err := client.Open(t.Context(), server.URL)
			checkKind(t, err, test.kind)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error = %v, want one with %q", err, test.want)
			}
		})
	}
}

// A refused data token is exchanged once, with an access token that the source makes anew.
func TestRefusedToken(t *testing.T) {
	server := fakeserver.New(t)
	var asked int
	db := openAt(t, server.URL, client.WithTokenSource(func(context.Context) (string, error) {
		asked++
		return fakeserver.Token, nil
	}))
	breakRequests(server, "/atomic_write", 1, status(401, "the token has expired"))
	set(t, db, kv.Key{"a"}, "x")
	if asked != 2 || server.Requests("/") != 2 || server.Requests("/atomic_write") != 2 {
		t.Errorf("token source asked %d times, %d exchanges, %d writes; want 2 each", asked, server.Requests("/"), server.Requests("/atomic_write"))
	}
}

// An error of the token source is Open's error.
func TestTokenSourceError(t *testing.T) {
	broken := errors.New("the vault is closed")
	_, err := client.Open(t.Context(), fakeserver.New(t).URL, client.WithTokenSource(func(context.Context) (string, error) { return "", broken }))
	if !errors.Is(err, broken) {
		t.Errorf("error = %v, want the source's", err)
	}
}

// Metadata may be behind a redirect; a relative endpoint is one of the server that answered.
func TestRedirectedMetadata(t *testing.T) {
	server := fakeserver.New(t)
	front := httptest.NewServer(http.RedirectHandler(server.URL, http.StatusTemporaryRedirect))
	defer front.Close()
	// The token is for the host it was given for, so the redirect must bring its own.
	follow := &http.Client{CheckRedirect: func(req *http.Request, _ []*http.Request) error {
		req.Header.Set("Authorization", "Bearer "+fakeserver.Token)
		return nil
	}}
	set(t, openAt(t, front.URL, client.WithHTTPClient(follow)), kv.Key{"a"}, "x")
}

// With protocol version 2 everything works but watches.
func TestVersion2(t *testing.T) {
	server := fakeserver.New(t)
	server.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/" {
			if got := r.Header.Get("X-Denokv-Version"); got != "2" {
				t.Errorf("version %q was sent to %s, want 2", got, r.URL.Path)
			}
			return false
		}
		recorder := httptest.NewRecorder()
		server.Serve(recorder, r)
		garbage("application/json", strings.Replace(recorder.Body.String(), `"version":3`, `"version":2`, 1))(w, r)
		return true
	})
	db := openAt(t, server.URL)
	set(t, db, kv.Key{"a"}, "x")
	if !get(t, db, kv.Key{"a"}).Exists() {
		t.Error("what was set is absent")
	}
	for _, err := range db.Watch(t.Context(), kv.Key{"a"}) {
		checkKind(t, err, kv.ErrInvalid)
	}
}

// Many calls at once that meet a refused token share one exchange, and all succeed.
func TestConcurrentRenewal(t *testing.T) {
	db, server := open(t)
	var refuse = make(chan struct{}, 8)
	arrived := make(chan struct{})
	server.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/snapshot_read") {
			return false
		}
		select {
		case refuse <- struct{}{}: // the first eight wait for each other
			if len(refuse) == cap(refuse) {
				close(arrived)
			}
			select {
			case <-arrived:
			case <-time.After(10 * time.Second):
			}
			http.Error(w, "expired", http.StatusUnauthorized)
			return true
		default:
			return false
		}
	})
	errs := make(chan error)
	for range cap(refuse) {
		go func() {
			_, err := db.Get(context.Background(), kv.Key{"a"})
			errs <- err
		}()
	}
	for range cap(refuse) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if n := server.Requests("/"); n != 2 {
		t.Errorf("%d metadata exchanges, want that of Open and one more", n)
	}
}
