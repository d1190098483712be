package client

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/millpondkv/millpond/kv"
)

// The bounds of the KV Connect transport.
const (
	metadataTimeout = 10 * time.Second // of one metadata exchange; a server that takes longer is as good as down
	renewBefore     = 5 * time.Minute  // before the server's token runs out; as @deno/kv does
	renewAtMost     = time.Minute      // between two renewals, whatever a server with another clock says
	renewAgain      = 10 * time.Second // after a renewal that failed
	firstPause      = 50 * time.Millisecond
	maxPause        = time.Second      // between two tries; a change of Millpond's leader takes 2 or 3 s
	maxWatchPause   = 10 * time.Second // between two connections of a watch, which tries for ever
	watchSilence    = time.Minute      // without a frame, then the connection is dead; servers ping every 5 s
	maxAnswer       = 128 << 20        // bytes: 1000 entries of the largest size, twice
	maxMetadata     = 1 << 20          // bytes
	maxErrorText    = 4 << 10          // bytes of an answer that are shown as the server's sentence
	maxFrame        = 16 << 20         // bytes of a watch's frame; as Deno
	idleConnections = 256              // kept for later calls; more callers than that open connections anew
)

// connection is the transport over KV Connect: HTTP requests to the endpoint and with the token that the server hands out
// in exchange for the access token. Together they are a session, which is renewed before its token runs out and when the
// server refuses it.
type connection struct {
	url       *url.URL
	tokens    func(context.Context) (string, error)
	http      *http.Client // for the metadata exchange
	data      *http.Client // for everything else; follows no redirects
	log       *slog.Logger
	retryTime time.Duration
	silence   time.Duration // watchSilence; tests shorten it
	now       func() time.Time

	renewing chan struct{} // holds one token while a session is made; cap 1

	mu      sync.Mutex
	session *session // never nil once connect has returned
}

// session is never modified.
type session struct {
	endpoint   string // the strong one, without a slash at its end
	token      string
	databaseID string
	version    int
	expiry     bool // the server tells when entries expire, if it is asked to
	renewAt    time.Time
}

func connect(ctx context.Context, rawURL string, o options) (transport, error) {
	u, err := url.Parse(rawURL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, kv.Invalidf("the URL %q cannot be used; write one such as http://127.0.0.1:4512, or nats://127.0.0.1:4222/default in a cluster", rawURL)
	}
	c := &connection{
		url: u, tokens: o.tokens, http: o.http, log: o.logger, retryTime: o.retryTime, silence: watchSilence, now: o.now,
		renewing: make(chan struct{}, 1),
	}
	if c.http == nil {
		c.http = &http.Client{Transport: newHTTPTransport()}
	}
	data := *c.http
	data.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.data = &data
	_, err = c.renew(ctx, nil)
	return c, err
}

func newHTTPTransport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConns, t.MaxIdleConnsPerHost = 0, idleConnections
	t.HTTP2 = &http.HTTP2Config{SendPingTimeout: 15 * time.Second} // notices a dead server
	return t
}

func (c *connection) Close() { c.http.CloseIdleConnections() }

// current returns the session, and renews it if it is time. A renewal that fails is only logged: the old session may still
// do, and if not the server will say so.
func (c *connection) current(ctx context.Context) *session {
	c.mu.Lock()
	s := c.session
	c.mu.Unlock()
	if c.now().Before(s.renewAt) {
		return s
	}
	select {
	case c.renewing <- struct{}{}:
	default:
		return s // another call is at it
	}
	defer func() { <-c.renewing }()
	renewed, err := c.exchange(ctx)
	if err != nil {
		c.log.WarnContext(ctx, "could not renew the database's token", "error", err)
		again := *s
		again.renewAt = c.now().Add(renewAgain)
		renewed = &again
	}
	c.setSession(renewed)
	return renewed
}

// renew replaces the session old, which the server has refused, unless another call has done so.
func (c *connection) renew(ctx context.Context, old *session) (*session, error) {
	select {
	case c.renewing <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-c.renewing }()
	c.mu.Lock()
	s := c.session
	c.mu.Unlock()
	if s != old {
		return s, nil
	}
	s, err := c.exchange(ctx)
	if err != nil {
		return nil, err
	}
	c.setSession(s)
	return s, nil
}

func (c *connection) setSession(s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session = s
}
