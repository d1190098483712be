package client

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millpondkv/millpond/internal/fakeserver"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kv/kvtest"
)

// connectTo returns the transport to a server, with a clock.
func connectTo(t *testing.T, server *fakeserver.Server, now func() time.Time) *connection {
	t.Helper()
	o := defaultOptions()
	WithAccessToken(fakeserver.Token)(&o)
	o.now = now
	transport, err := connect(t.Context(), server.URL, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(transport.Close)
	return transport.(*connection)
}

// underRules is a transport as kvtest wants it.
type underRules struct {
	transport
	clock interface{ SetNow(kv.Millis) }
}

func (u underRules) SetNow(now kv.Millis) { u.clock.SetNow(now) }

func (u underRules) Read(ctx context.Context, ranges []kv.Range) ([][]kv.Entry, error) {
	return u.transport.Read(ctx, ranges, Strong)
}

func (u underRules) Commit(ctx context.Context, a *kv.Atomic) (kv.CommitResult, error) {
	versionstamp, err := u.transport.Commit(ctx, a)
	var failed *CheckError
	if errors.As(err, &failed) {
		return kv.CommitResult{FailedChecks: failed.Failed}, nil
	}
	return kv.CommitResult{Versionstamp: versionstamp}, err
}

// Nothing of the rules of Deno KV is lost on the way to the server and back.
func TestRules(t *testing.T) {
	server := fakeserver.New(t)
	kvtest.Rules(t, underRules{connectTo(t, server, time.Now), server})
}

// The session is renewed when it is time, even though the server could not do it for a while, and meanwhile the old one
// serves.
func TestRenewal(t *testing.T) {
	server := fakeserver.New(t)
	var elapsed atomic.Int64
	start := time.Now()
	c := connectTo(t, server, func() time.Time { return start.Add(time.Duration(elapsed.Load())) })
	read := func() {
		t.Helper()
		if _, err := c.Read(t.Context(), []kv.Range{{Start: "", End: "\xff", Limit: 1}}, Strong); err != nil {
			t.Error(err)
		}
	}
	exchanges := func(want int) {
		t.Helper()
		if got := server.Requests("/"); got != want {
			t.Errorf("%d metadata exchanges, want %d", got, want)
		}
	}
	elapsed.Store(int64(23 * time.Hour))
	read()
	exchanges(1)
	server.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/" {
			http.Error(w, "later", http.StatusServiceUnavailable)
		}
		return r.URL.Path == "/"
	})
	elapsed.Store(int64(24*time.Hour - renewBefore/2))
	read()
	read()
	exchanges(2) // the failure is not repeated at once
	server.Intercept(nil)
	elapsed.Add(int64(renewAgain))
	read()
	read()
	exchanges(3)
}

// A server whose clock is wrong is not asked all the time.
func TestRenewalTime(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	for _, test := range []struct{ life, want time.Duration }{
		{24 * time.Hour, 24*time.Hour - 5*time.Minute},
		{time.Hour, 55 * time.Minute},
		{8 * time.Minute, 4 * time.Minute},
		{10 * time.Second, time.Minute},
		{-time.Hour, time.Minute},
	} {
		if got := renewalTime(now, now.Add(test.life)).Sub(now); got != test.want {
			t.Errorf("a token for %v is renewed after %v, want %v", test.life, got, test.want)
		}
	}
}

// A watch over a connection that has died without a word is made anew.
func TestWatchSilence(t *testing.T) {
	server := fakeserver.New(t)
	c := connectTo(t, server, time.Now)
	c.silence = 50 * time.Millisecond
	first := true
	server.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if !first {
			return false
		}
		first = false
		w.Header().Set("Content-Type", "application/octet-stream")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		return true
	})
	for entries, err := range c.Watch(t.Context(), []kv.EncodedKey{"a"}) {
		if err != nil || len(entries) != 1 {
			t.Errorf("%v, %v", entries, err)
		}
		break
	}
}
