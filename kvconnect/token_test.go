package kvconnect_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/millpondkv/millpond/kvconnect"
	pb "github.com/millpondkv/millpond/kvconnect/datapath"
)

// The metadata exchange takes the access token and nothing else.
func TestAccessToken(t *testing.T) {
	s := newTestServer(t, nil)
	for header, text := range map[string]string{
		"":                                    "the access token is missing; set DENO_KV_ACCESS_TOKEN",
		accessToken:                           "the access token is missing; set DENO_KV_ACCESS_TOKEN",
		"Basic " + accessToken:                "the access token is missing; set DENO_KV_ACCESS_TOKEN",
		"Bearer ":                             "the access token is missing; set DENO_KV_ACCESS_TOKEN",
		"Bearer wrong":                        "the access token is wrong",
		"Bearer " + accessToken + "x":         "the access token is wrong",
		"Bearer " + accessToken + " ":         "the access token is wrong",
		"Bearer " + s.token:                   "the access token is wrong",
		"Bearer " + accessToken[1:]:           "the access token is wrong",
		"Bearer " + strings.Repeat("a", 5000): "the access token is wrong",
	} {
		r := metadataRequest("/", `{`) // the token is judged before the body
		r.Header.Set("Authorization", header)
		w := s.do(r)
		wantError(t, w, 401, text)
		if got := w.Header().Get("WWW-Authenticate"); got != "Bearer" {
			t.Errorf("got WWW-Authenticate %q", got)
		}
	}
	for _, scheme := range []string{"Bearer", "bearer", "BEARER"} {
		r := metadataRequest("/", "")
		r.Header.Set("Authorization", scheme+" "+accessToken)
		if w := s.do(r); w.Code != http.StatusOK {
			t.Errorf("%s: got %d %s", scheme, w.Code, w.Body)
		}
	}
}

// The data path takes only tokens that a server with the same access token issued, each until some time after the expiry
// that its client was told.
func TestDataPathToken(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	clock := func(c *kvconnect.Config) { c.Now = func() time.Time { return now } }
	s, replica, stranger := newTestServer(t, clock), newTestServer(t, clock), newTestServer(t, clock)
	other := kvconnect.Config{Databases: stranger.databases, AccessToken: "another-access-token"}
	clock(&other)
	var err error
	if stranger.Server, err = kvconnect.New(other); err != nil {
		t.Fatal(err)
	}
	status := func(s *testServer, token string) int {
		r := s.request("/default/snapshot_read", http.NoBody)
		r.Header.Set("Authorization", "Bearer "+token)
		return s.do(r).Code
	}
	old := s.exchange(t, "/")
	if left := old.ExpiresAt.Sub(now); left < time.Hour {
		t.Errorf("metadata holds for %v; Deno needs an hour or more", left)
	}
	if got := status(replica, old.Token); got != 200 {
		t.Errorf("a replica answers %d", got)
	}
	if got := status(stranger, old.Token); got != 401 {
		t.Errorf("a server with another access token answers %d", got)
	}
	for i := range old.Token {
		flipped := []byte(old.Token)
		flipped[i] ^= 2 // stays in the alphabet or leaves it; either way it is another token
		if got := status(s, string(flipped)); got != 401 {
			t.Errorf("with byte %d flipped: got %d", i, got)
		}
	}
	for _, token := range []string{accessToken, old.Token[1:], old.Token + "A", old.Token + old.Token, "A"} {
		if got := status(s, token); got != 401 {
			t.Errorf("%.20s: got %d", token, got)
		}
	}

	now = old.ExpiresAt
	young := s.exchange(t, "/")
	for _, token := range []string{old.Token, young.Token} {
		if got := status(s, token); got != 200 {
			t.Errorf("at the told expiry: got %d", got)
		}
	}
	now = old.ExpiresAt.Add(time.Hour)
	r := s.request("/default/snapshot_read", http.NoBody)
	r.Header.Set("Authorization", "Bearer "+old.Token)
	wantError(t, s.do(r), 401, "the token has expired; exchange metadata for a new one")
	if got := status(s, young.Token); got != 200 {
		t.Errorf("the young token: got %d", got)
	}
}

// Every data path request names the protocol version and the database that it means.
func TestDataPathHeaders(t *testing.T) {
	s := newTestServer(t, nil)
	for _, test := range []struct {
		version, header, id string
		status              int
		text                string
	}{
		{"3", "x-denokv-database-id", databaseID, 200, ""},
		{"2", "x-denokv-database-id", databaseID, 200, ""},
		{"3", "x-denokv-database-id", strings.ToUpper(databaseID), 200, ""},
		{"", "x-transaction-domain-id", databaseID, 200, ""},
		{"1", "x-transaction-domain-id", databaseID, 200, ""},
		{"4", "x-denokv-database-id", databaseID, 400, `the protocol version "4" in x-denokv-version is unknown; use 2 or 3`},
		{"three", "x-denokv-database-id", databaseID, 400, "unknown"},
		{"3", "x-transaction-domain-id", databaseID, 400, "the header x-denokv-database-id is not a database id"},
		{"", "x-denokv-database-id", databaseID, 400, "the header x-transaction-domain-id is not a database id"},
		{"3", "x-denokv-database-id", "default", 400, "send the UUID from the metadata"},
		{"3", "x-denokv-database-id", strings.ReplaceAll(databaseID, "-", ""), 400, "send the UUID from the metadata"},
		{"3", "x-denokv-database-id", databaseID + "0", 400, "send the UUID from the metadata"},
		{"3", "x-denokv-database-id", strings.ReplaceAll(databaseID, "1", "g"), 400, "send the UUID from the metadata"},
		{"3", "x-denokv-database-id", otherID, 403, `the id of the database "default" is not, or no longer, ` + otherID},
	} {
		r := s.request("/default/snapshot_read", http.NoBody)
		for _, name := range []string{"x-denokv-version", "x-denokv-database-id"} {
			r.Header.Del(name)
		}
		if test.version != "" {
			r.Header.Set("x-denokv-version", test.version)
		}
		r.Header.Set(test.header, test.id)
		if w := s.do(r); test.status == 200 {
			unmarshal(t, w, new(pb.SnapshotReadOutput))
		} else {
			wantError(t, w, test.status, test.text)
		}
	}
}
