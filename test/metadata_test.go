package test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The metadata exchange answers with the highest version that both sides know, over HTTP/1.1 and HTTP/2 alike, in the
// form that the strictest client (Node's) accepts: no field and no character more.
func TestMetadataExchange(t *testing.T) {
	s := startServer(t)
	clients := map[string]*http.Client{"HTTP1": new(http.Client), "HTTP2": h2c(new(atomic.Int32))}
	for protocol, client := range clients {
		for _, c := range []struct {
			body    string
			version int
		}{
			{``, 1},
			{`{"supportedVersions":[1]}`, 1},
			{`{"supportedVersions":[1,2]}`, 2},
			{`{"supportedVersions":[3]}`, 3},
			{`{"supportedVersions":[1,2,3]}`, 3},
			{`{"supportedVersions":[2,3,4]}`, 3},
		} {
			t.Run(protocol+"/"+c.body, func(t *testing.T) {
				resp, err := open(t.Context(), client, s.url(""), metadataHeader(), []byte(c.body))
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				var m metadata
				decoder := json.NewDecoder(resp.Body)
				decoder.DisallowUnknownFields()
				if err := decoder.Decode(&m); err != nil {
					t.Fatal(err)
				}
				if got, want := resp.Header.Get("Content-Type"), "application/json"; got != want || resp.StatusCode != 200 {
					t.Errorf("status %d with content type %q, want 200 with %q", resp.StatusCode, got, want)
				}
				checkMetadata(t, m, c.version)
			})
		}
	}
}

func checkMetadata(t *testing.T, m metadata, version int) {
	t.Helper()
	if m.Version != version {
		t.Errorf("got version %d, want %d", m.Version, version)
	}
	if uuid := regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`); !uuid.MatchString(m.DatabaseID) {
		t.Errorf("databaseId %q is not a lowercase UUID", m.DatabaseID)
	}
	expires, err := time.Parse(time.RFC3339, m.ExpiresAt)
	if err != nil || !strings.HasSuffix(m.ExpiresAt, "Z") || time.Until(expires) < time.Hour {
		t.Errorf("expiresAt %q is not an hour or more ahead, in UTC with a Z", m.ExpiresAt)
	}
	if len(m.Endpoints) != 1 || m.Endpoints[0].Consistency != "strong" {
		t.Fatalf("got endpoints %v, want a strong one", m.Endpoints)
	}
	url := m.Endpoints[0].URL
	if strings.HasSuffix(url, "/") || version == 1 && !strings.HasPrefix(url, "http://") {
		t.Errorf("the endpoint's URL %q ends in a slash, or is relative in version 1", url)
	}
}

// Each database has an id of its own, which a restart does not change.
func TestDatabaseIDs(t *testing.T) {
	s := startServer(t)
	ids := func() []string {
		return []string{dial(t, s.url("")).id, dial(t, s.url("orders")).id, dial(t, s.url("a")).id}
	}
	before := ids()
	if before[0] == before[1] || before[1] == before[2] || before[0] == before[2] {
		t.Errorf("databases share an id: %q", before)
	}
	if got := dial(t, s.url("default")).id; got != before[0] {
		t.Errorf("the database named default has the id %s, the one at the root %s; want the same", got, before[0])
	}
	s.stop()
	s.start()
	if diff := cmp.Diff(before, ids()); diff != "" {
		t.Errorf("ids after a restart (-before +after):\n%s", diff)
	}
}

// With --create-databases=false there are only the databases that were made before.
func TestCreateDatabasesOff(t *testing.T) {
	s := startServer(t)
	dial(t, s.url("")).commit(set(key("a"), js("kept")))
	dial(t, s.url("orders")).commit(set(key("a"), js("kept")))
	s.stop()
	s.args = append(s.args, "--create-databases=false")
	s.start()

	for _, name := range []string{"", "orders"} {
		if got := decode(t, dial(t, s.url(name)).get(key("a"))); got != "kept" {
			t.Errorf("database %q: got %v, want kept", name, got)
		}
	}
	status, body, err := send(t.Context(), http.DefaultClient, s.url("other"), metadataHeader(), nil)
	if err != nil || status != http.StatusNotFound || !strings.Contains(string(body), "other") {
		t.Errorf("got %v, status %d: %s; want 404 and the database's name", err, status, body)
	}
}
