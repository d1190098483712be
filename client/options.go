package client

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/nats-io/nats.go"
)

// Option changes what Open does.
type Option func(*options)

type options struct {
	tokens    func(context.Context) (string, error)
	http      *http.Client
	codec     Codec
	nats      []nats.Option
	logger    *slog.Logger
	retryTime time.Duration
	now       func() time.Time
}

func defaultOptions() options {
	return options{
		tokens:    func(context.Context) (string, error) { return "", nil },
		codec:     V8Codec{},
		logger:    slog.New(slog.DiscardHandler),
		retryTime: 10 * time.Second, // several times what a change of Millpond's leader takes
		now:       time.Now,
	}
}

// WithAccessToken sends this token. Without it, or with an empty one, none is sent.
func WithAccessToken(token string) Option {
	return WithTokenSource(func(context.Context) (string, error) { return token, nil })
}

// WithTokenSource asks for the access token whenever one is needed: in Open, before the server's own short-lived token runs
// out, and after the server has refused it. The function may be called from several goroutines, one at a time.
func WithTokenSource(source func(context.Context) (string, error)) Option {
	return func(o *options) { o.tokens = source }
}

// WithHTTPClient uses this client, to add tracing, certificates or a proxy. Its Timeout would end watches; use contexts. Its
// CheckRedirect is not used for requests to the database, which follow no redirects.
//
// Without this option an own http.Transport is used: HTTP/1.1 for http URLs and HTTP/2 for https ones.
func WithHTTPClient(c *http.Client) Option {
	return func(o *options) { o.http = c }
}

// WithNATS sets options of the connection to NATS, for credentials and TLS above all: nats.UserCredentials, nats.RootCAs,
// nats.ClientCert, nats.Secure. It has no effect on other URLs, as WithHTTPClient and the access token have none on those of NATS.
//
// Unless an option says otherwise, a server that is lost is noticed after two seconds, and the others are tried for ever. Options
// that make nats.go keep what is sent while nothing is connected must not be used: a try of a commit must not arrive later.
func WithNATS(opts ...nats.Option) Option {
	return func(o *options) { o.nats = append(o.nats, opts...) }
}

// WithLogger logs retries, lost watches and failed renewals of the server's token, never keys, values or tokens. By default
// nothing is logged.
func WithLogger(l *slog.Logger) Option {
	return func(o *options) { o.logger = l }
}

// WithRetryTime bounds the time during which a call sends again what is safe to send again; 10 s by default. With 0 a
// call fails at its first failure. The context of the call may end it earlier. Watches reconnect without a bound.
func WithRetryTime(d time.Duration) Option {
	return func(o *options) { o.retryTime = d }
}
