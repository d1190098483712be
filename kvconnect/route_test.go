package kvconnect_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/millpondkv/millpond/kvconnect"
)

// Names are checked by one rule, and any name may be a database.
func TestValidName(t *testing.T) {
	for name, want := range map[string]bool{
		"a": true, "orders-2_x": true, "metrics": true, "0": true, "-": true,
		strings.Repeat("a", 64): true, strings.Repeat("a", 65): false,
		"": false, "Orders": false, "a.b": false, "a b": false, "é": false, "a/b": false, "..": false,
	} {
		if got := kvconnect.ValidName(name); got != want {
			t.Errorf("ValidName(%q) = %v", name, got)
		}
	}
}

// A path that means nothing is answered with a reason, and never with a redirect.
func TestPaths(t *testing.T) {
	s := newTestServer(t, nil)
	for _, test := range []struct {
		method, path string
		status       int
		text         string
	}{
		{"POST", "/Orders", 404, `"Orders": a name is 1 to 64 of a-z, 0-9, _ and -`},
		{"POST", "//", 404, "a name is"},
		{"POST", "//orders", 404, "a name is"},
		{"POST", "/orders/../default", 404, `no endpoint "../default"`},
		{"POST", "/orders/get", 404, "a database has snapshot_read, atomic_write and watch"},
		{"POST", "/orders/snapshot_read/", 404, "no endpoint"},
		{"POST", "/a%2Fwatchx", 404, "no endpoint"},
		{"POST", "/" + strings.Repeat("x", 10_000), 404, "a name is"},
		{"POST", "/nothere", 404, `no database "nothere"`},
		{"GET", "/", 405, "spoken with POST, not GET"},
		{"GET", "/metrics", 405, "POST"},
		{"PUT", "/default/atomic_write", 405, "POST"},
		{"HEAD", "/orders", 405, ""},
		{"GET", "/Orders", 404, "a name is"},
	} {
		r := httptest.NewRequest(test.method, test.path, nil)
		r.Header.Set("Authorization", "Bearer "+accessToken)
		w := s.do(r)
		wantError(t, w, test.status, test.text)
		if allow := w.Header().Get("Allow"); (allow == http.MethodPost) != (test.status == 405) {
			t.Errorf("%s %.20s: got Allow %q", test.method, test.path, allow)
		}
	}
}

// The endpoint resolves, from whatever form the metadata URL had, to the database's own data path, also behind a proxy
// that strips a prefix.
func TestEndpointResolves(t *testing.T) {
	s := newTestServer(t, nil)
	for _, test := range []struct{ prefix, path, want string }{
		{"http://h:4512", "/", "http://h:4512/default"},
		{"http://h:4512", "/default", "http://h:4512/default"},
		{"http://h:4512", "/orders", "http://h:4512/orders"},
		{"http://h:4512", "/orders/", "http://h:4512/orders"},
		{"https://h/kv", "/", "https://h/kv/default"},
		{"https://h/kv", "/orders", "https://h/kv/orders"},
		{"https://h/kv", "/orders/", "https://h/kv/orders"},
	} {
		base := httptest.NewRequest(http.MethodPost, test.prefix+test.path, nil).URL
		got, err := base.Parse(s.exchange(t, test.path).Endpoints[0].URL)
		if err != nil || got.String() != test.want {
			t.Errorf("%s%s: got %v, %v, want %s", test.prefix, test.path, got, err, test.want)
		}
	}
}
