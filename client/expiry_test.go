package client_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/internal/fakeserver"
	"github.com/millpondkv/millpond/kv"
)

// Millpond's servers tell when an entry expires, and only to those who ask; of others it is not known.
func TestTellsExpiry(t *testing.T) {
	at := time.UnixMilli(time.Now().UnixMilli()).Add(time.Hour)
	for _, tells := range []bool{true, false} {
		server := fakeserver.New(t)
		if !tells { // as another server is
			server.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Header.Get("X-Millpond-Expiry") != "" {
					t.Error("a server that does not tell was asked")
				}
				server.Serve(withoutHeader{w}, r)
				return true
			})
		}
		db, err := client.Open(t.Context(), server.URL, client.WithAccessToken(fakeserver.Token))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if db.TellsExpiry() != tells {
			t.Errorf("TellsExpiry is %v, want %v", db.TellsExpiry(), tells)
		}
		_, err1 := db.Set(t.Context(), kv.Key{"a"}, client.U64(1), client.ExpireAt(at))
		_, err2 := db.Set(t.Context(), kv.Key{"b"}, client.U64(1))
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		want := map[string]kv.Millis{`["a"]`: 0, `["b"]`: 0}
		if tells {
			want[`["a"]`] = kv.MillisOf(at)
		}
		for e, err := range db.List(context.Background(), client.Selector{}) {
			if err != nil || e.ExpireAt != want[e.Key.String()] {
				t.Errorf("%s expires at %d, want %d (%v)", e.Key, e.ExpireAt, want[e.Key.String()], err)
			}
		}
	}
}

type withoutHeader struct{ http.ResponseWriter }

func (w withoutHeader) WriteHeader(code int) {
	w.Header().Del("X-Millpond-Expiry")
	w.ResponseWriter.WriteHeader(code)
}

func (w withoutHeader) Write(b []byte) (int, error) {
	w.Header().Del("X-Millpond-Expiry")
	return w.ResponseWriter.Write(b)
}
