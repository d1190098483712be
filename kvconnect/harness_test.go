package kvconnect_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/millpondkv/millpond/kvconnect"
)

const (
	accessToken = "correct-horse-battery"
	databaseID  = "11111111-2222-4333-8444-55555555abcd"
	otherID     = "99999999-2222-4333-8444-55555555abcd"
)

// testServer is a Server with the database "default", and a client's data path token for it.
type testServer struct {
	*kvconnect.Server
	databases *fakeDatabases
	db        *fakeDatabase
	token     string
	log       *strings.Builder
}

// newTestServer returns a running server; change, if not nil, changes its configuration first.
func newTestServer(t testing.TB, change func(*kvconnect.Config)) *testServer {
	t.Helper()
	s := &testServer{db: newFakeDatabase(databaseID), log: new(strings.Builder)}
	s.databases = &fakeDatabases{databases: map[string]*fakeDatabase{
		"default": s.db,
		"orders":  newFakeDatabase(otherID),
	}}
	config := kvconnect.Config{
		Databases:   s.databases,
		AccessToken: accessToken,
		Logger:      slog.New(slog.NewTextHandler(s.log, nil)),
	}
	if change != nil {
		change(&config)
	}
	var err error
	if s.Server, err = kvconnect.New(config); err != nil {
		t.Fatal(err)
	}
	s.token = s.exchange(t, "/").Token
	return s
}

// metadata is the answer to a metadata exchange as a client sees it.
type metadata struct {
	Version    int
	DatabaseID string
	Endpoints  []struct{ URL, Consistency string }
	Token      string
	ExpiresAt  time.Time
}

func (s *testServer) exchange(t testing.TB, path string) (m metadata) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(`{"supportedVersions":[1,2,3]}`))
	r.Header.Set("Authorization", "Bearer "+accessToken)
	w := s.do(r)
	if err := json.Unmarshal(w.Body.Bytes(), &m); err != nil || w.Code != http.StatusOK {
		t.Fatalf("metadata exchange: %d %s", w.Code, w.Body)
	}
	return m
}

func (s *testServer) do(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// request is a good data path request of protocol version 3, but for what the test changes.
func (s *testServer) request(path string, body io.Reader) *http.Request {
	r := httptest.NewRequest(http.MethodPost, path, body)
	s.authorize(r)
	return r
}

func (s *testServer) authorize(r *http.Request) {
	r.Header.Set("Authorization", "Bearer "+s.token)
	r.Header.Set("x-denokv-version", "3")
	r.Header.Set("x-denokv-database-id", databaseID)
}

// post sends a message to an endpoint of the database "default".
func (s *testServer) post(t testing.TB, endpoint string, message proto.Message) *httptest.ResponseRecorder {
	t.Helper()
	return s.do(s.request("/default/"+endpoint, strings.NewReader(marshal(t, message))))
}

func marshal(t testing.TB, message proto.Message) string {
	t.Helper()
	b, err := proto.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// unmarshal reads the message of a good answer.
func unmarshal(t testing.TB, w *httptest.ResponseRecorder, message proto.Message) {
	t.Helper()
	if w.Code != http.StatusOK {
		t.Fatalf("got %d %s, want 200", w.Code, w.Body)
	}
	if got := w.Header().Get("Content-Type"); got != "application/x-protobuf" {
		t.Errorf("got the content type %q", got)
	}
	if err := proto.Unmarshal(w.Body.Bytes(), message); err != nil {
		t.Fatal(err)
	}
}

// wantError checks the status of an answer, that it is one plain sentence, and that the sentence holds the text.
func wantError(t testing.TB, w *httptest.ResponseRecorder, status int, text string) {
	t.Helper()
	body := w.Body.String()
	if w.Code != status || !strings.Contains(body, text) || strings.Contains(body, "\n") {
		t.Errorf("got %d %q, want %d with %q", w.Code, body, status, text)
	}
	if got := w.Header().Get("Content-Type"); got != "text/plain; charset=utf-8" {
		t.Errorf("got the content type %q", got)
	}
}
