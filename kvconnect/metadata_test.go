package kvconnect_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kvconnect"
	pb "github.com/millpondkv/millpond/kvconnect/datapath"
)

// metadataRequest is a good metadata exchange, but for what the test changes.
func metadataRequest(path, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+accessToken)
	return r
}

// The reply satisfies the strictest client, Node's: exact content type, exact fields, a UTC time with Z.
func TestMetadataReply(t *testing.T) {
	now := time.Date(2026, 5, 4, 3, 2, 1, 999, time.FixedZone("", 3600))
	s := newTestServer(t, func(c *kvconnect.Config) { c.Now = func() time.Time { return now } })
	w := s.do(metadataRequest("/", `{"supportedVersions":[1,2,3]}`))
	if got := w.Header()["Content-Type"]; !cmp.Equal(got, []string{"application/json"}) {
		t.Errorf("got the content type %q", got)
	}
	var got map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != http.StatusOK {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	if token, _ := got["token"].(string); len(token) < 40 || strings.ContainsAny(token, " \r\n+/=") {
		t.Errorf("got the token %q", token)
	}
	delete(got, "token")
	want := map[string]any{
		"version":    3.0,
		"databaseId": databaseID,
		"endpoints":  []any{map[string]any{"url": "default", "consistency": "strong"}},
		"expiresAt":  "2026-05-05T02:02:01Z",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// The highest version that both sides know wins; a client that names none knows version 1.
func TestNegotiate(t *testing.T) {
	s := newTestServer(t, nil)
	for body, want := range map[string]int{
		``: 1, " \n": 1,
		`{"supportedVersions":[1]}`:                   1,
		`{"supportedVersions":[1,2]}`:                 2,
		`{"supportedVersions":[3,2,1]}`:               3,
		`{"supportedVersions":[2,4,99],"other":true}`: 2,
	} {
		var got metadata
		w := s.do(metadataRequest("/", body))
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got.Version != want {
			t.Errorf("%s: got %d %s, want version %d", body, w.Code, w.Body, want)
		}
	}
	for _, body := range []string{`{`, `[]`, `[1,2,3]`, `null`, `{}`, `{"supportedVersions":null}`, `{"supportedVersions":3}`,
		`{"supportedVersions":["3"]}`, `{"supportedVersions":[2.5]}`, `{"supportedVersions":[3]}x`, "\x00"} {
		wantError(t, s.do(metadataRequest("/", body)), 400, `the metadata request is malformed; send JSON like {"supportedVersions": [1, 2, 3]}`)
	}
	for _, body := range []string{`{"supportedVersions":[]}`, `{"supportedVersions":[4]}`, `{"supportedVersions":[0,-1]}`} {
		wantError(t, s.do(metadataRequest("/", body)), 400, "no protocol version in common: the server knows 1, 2 and 3")
	}
}

// Version 1 gets an absolute URL, from the Host header, or from a proxy's headers where those are trusted.
func TestMetadataVersion1URL(t *testing.T) {
	for _, test := range []struct {
		trust             bool
		host, proto, from string
		want              string
	}{
		{false, "kv.test:4512", "", "", "http://kv.test:4512/orders"},
		{false, "kv.test:4512", "https", "evil.test", "http://kv.test:4512/orders"},
		{true, "10.0.0.1:4512", "https", "kv.test, 10.0.0.9", "https://kv.test/orders"},
		{true, "10.0.0.1:4512", "gopher", "", "http://10.0.0.1:4512/orders"},
	} {
		s := newTestServer(t, func(c *kvconnect.Config) { c.TrustForwarded = test.trust })
		r := metadataRequest("/orders/", "")
		r.Host = test.host
		r.Header.Set("X-Forwarded-Proto", test.proto)
		r.Header.Set("X-Forwarded-Host", test.from)
		var got metadata
		if w := s.do(r); json.Unmarshal(w.Body.Bytes(), &got) != nil || got.Endpoints[0].URL != test.want {
			t.Errorf("%+v: got %d %s", test, w.Code, w.Body)
		}
	}
	r := metadataRequest("/", "")
	r.Host = ""
	wantError(t, newTestServer(t, nil).do(r), 400, "protocol version 1 needs a Host header")
}

// What goes wrong with the database itself has its status here too.
func TestMetadataErrors(t *testing.T) {
	s := newTestServer(t, nil)
	wantError(t, s.do(metadataRequest("/nothere", "")), 404, `there is no database "nothere"`)

	s.databases.err = kv.ErrUnavailable
	wantError(t, s.do(metadataRequest("/", "")), 503, "temporarily unavailable")

	s.databases.err = errors.New("disk on fire at /dev/sda")
	wantError(t, s.do(metadataRequest("/", "")), 409, "its log says how")
	if !strings.Contains(s.log.String(), "disk on fire") {
		t.Errorf("the log has %q", s.log)
	}

	r := httptest.NewRequest(http.MethodPost, "/", io.LimitReader(zeros{}, 2<<20+1))
	r.Header.Set("Authorization", "Bearer "+accessToken)
	wantError(t, s.do(r), 413, "at most 2097152 are allowed")
}

// zeros reads as zeros without end.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

// A server without an access token, or without databases, is refused.
func TestNewRefuses(t *testing.T) {
	if _, err := kvconnect.New(kvconnect.Config{Databases: &fakeDatabases{}}); err == nil || !strings.Contains(err.Error(), "AccessToken is empty") {
		t.Errorf("got %v", err)
	}
	if _, err := kvconnect.New(kvconnect.Config{AccessToken: accessToken}); err == nil || !strings.Contains(err.Error(), "Databases is not set") {
		t.Errorf("got %v", err)
	}
}

// Only the metadata exchange creates a database: whoever mistypes a data path is told, and leaves nothing behind.
func TestOnlyMetadataCreates(t *testing.T) {
	s := newTestServer(t, nil)
	s.databases.creates = true
	for endpoint, message := range map[string]proto.Message{
		"snapshot_read": new(pb.SnapshotRead), "atomic_write": new(pb.AtomicWrite), "watch": &pb.Watch{Keys: []*pb.WatchKey{{Key: key("k")}}},
	} {
		w := s.do(s.request("/typo/"+endpoint, strings.NewReader(marshal(t, message))))
		wantError(t, w, 403, `there is no database "typo", or no longer; exchange metadata again`)
	}
	if _, ok := s.databases.databases["typo"]; ok {
		t.Error("a data path request has created the database")
	}
	s.exchange(t, "/typo")
	if _, ok := s.databases.databases["typo"]; !ok {
		t.Error("the metadata exchange has not created the database")
	}
}
