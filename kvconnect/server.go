package kvconnect

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/millpondkv/millpond/kv"
)

// Config is what a Server needs. Databases and AccessToken must be set.
type Config struct {
	Databases Databases

	// AccessToken opens every database. Tokens for the data path are derived from it, so servers with the same access
	// token accept each other's, and a new access token makes the old ones void.
	AccessToken string

	// TrustForwarded makes the URLs that a client of protocol version 1 gets follow X-Forwarded-Proto and
	// X-Forwarded-Host. Set it only behind a proxy that sets both. Later versions get relative URLs and need neither.
	TrustForwarded bool

	// Raw accepts keys that are not encodings of a kv.Key, and V8 values without a V8 header, for protocol test suites.
	// One such key or value makes every read that returns it throw in Deno.
	Raw bool

	// Eventual offers clients an endpoint for eventual reads too. Then every Database is an EventualReader.
	Eventual bool

	// RequestTimeout bounds a metadata exchange, a read and an atomic write, from the end of its body.
	// A read that takes longer is answered with 503 and an atomic write with its unknown outcome. 0 means 30 seconds.
	RequestTimeout time.Duration

	// Observe, if set, is told of every request when it has ended: its endpoint, the status that was answered (499 if
	// the client had gone before), and how long it took. For a watch that is its whole life.
	Observe func(endpoint Endpoint, status int, took time.Duration)

	// Logger gets the errors that nobody expected, and never a key, value or token. nil: slog.Default().
	Logger *slog.Logger

	// Now is the clock for tokens and for the times in requests. nil: time.Now.
	Now func() time.Time
}

const defaultRequestTimeout = 30 * time.Second

// Server serves KV Connect. It answers POST only; see the package comment for what that is good for.
type Server struct {
	config Config
	tokens *tokens

	draining context.Context // ends when Drain is called
	drain    context.CancelFunc
	watches  atomic.Int64 // running

	histories chan struct{} // filled by each answer about the past
}

// New returns a Server. It fails if config lacks what it needs.
func New(config Config) (*Server, error) {
	if config.Databases == nil {
		return nil, errors.New("kvconnect: Config.Databases is not set")
	}
	if config.AccessToken == "" {
		return nil, errors.New("kvconnect: Config.AccessToken is empty; without one every client could read and write everything")
	}
	if config.RequestTimeout == 0 {
		config.RequestTimeout = defaultRequestTimeout
	}
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	s := &Server{config: config, tokens: newTokens(config.AccessToken), histories: make(chan struct{}, mostHistories)}
	s.draining, s.drain = context.WithCancel(context.Background())
	return s, nil
}

// Drain ends all watches, each after the frame that it is writing, and refuses new ones with 503; other requests are
// served on. It does not wait: http.Server.Shutdown does, so give it to http.Server.RegisterOnShutdown.
func (s *Server) Drain() { s.drain() }

// Watches returns how many watches are running.
func (s *Server) Watches() int { return int(s.watches.Load()) }

func (s *Server) ServeHTTP(hw http.ResponseWriter, r *http.Request) {
	began, w := time.Now(), &reply{ResponseWriter: hw}
	to, err := parseRoute(r.URL.Path)
	if err == nil && r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		err = failure(http.StatusMethodNotAllowed, "KV Connect is spoken with POST, not %.20s", r.Method)
	}
	if err == nil {
		err = s.serve(w, r, to)
	}
	status, abort := s.answer(w, r, to, err)
	if s.config.Observe != nil {
		s.config.Observe(to.endpoint, status, time.Since(began))
	}
	if abort {
		panic(http.ErrAbortHandler) // or net/http would answer with an empty 200
	}
}

// serve answers the request, or returns why it did not; then nothing was written.
func (s *Server) serve(w *reply, r *http.Request, to route) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked(p)
		}
	}()
	switch to.endpoint {
	case EndpointMetadata:
		return s.metadata(w, r, to.database)
	case EndpointSnapshotRead:
		return s.snapshotRead(w, r, to)
	case EndpointAtomicWrite:
		return s.atomicWrite(w, r, to.database)
	case EndpointWatch:
		return s.watch(w, r, to.database)
	case EndpointHistory:
		return s.history(w, r, to.database)
	default:
		return s.queue(w, r, to)
	}
}

// now is the time by the server's clock.
func (s *Server) now() kv.Millis { return kv.MillisOf(s.config.Now()) }
