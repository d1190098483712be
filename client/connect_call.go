package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"github.com/millpondkv/millpond/kv"
)

// verdict says what is known after a try that failed.
type verdict int

const (
	refused verdict = iota // the server did nothing, and will do nothing the next time
	stale                  // the server did nothing; with a new session it may
	busy                   // nothing was done; later it may be
	lost                   // it may have been done; later it may be again
	garbled                // it may have been done; the answer does not say, and another one would not either
)

// expiryHeader is Millpond's own: by it a server says that it can tell when entries expire, and a client that it wants to know.
const expiryHeader = "X-Millpond-Expiry"

// failedTry is a failure with its verdict.
type failedTry struct {
	verdict verdict
	failure
}

// call sends the message to a method of the data path until there is an answer that decode takes, or no sense in going on.
// A write is only sent again if nothing was done.
func (c *connection) call(ctx context.Context, method string, message proto.Message, write bool, decode func([]byte) *failedTry) error {
	body, err := proto.Marshal(message)
	if err != nil {
		return kv.Invalidf("%v", err) // a string that is not UTF-8, which these messages do not have
	}
	return c.ask(ctx, &exchange{method, body, "application/x-protobuf", write, decode})
}

// exchange is a request, and what takes its answer.
type exchange struct {
	method     string
	body       []byte
	answerType string // the content type
	write      bool
	decode     func([]byte) *failedTry
}

func (c *connection) ask(ctx context.Context, q *exchange) (err error) {
	session, renewed := c.current(ctx), false
	for pause := newPause(c.now, c.retryTime, maxPause); ; {
		failed := c.try(ctx, session, q)
		switch {
		case failed == nil:
			return nil
		case q.write && failed.verdict >= lost:
			failed.kind = nil // an unavailable server would be safe to ask again
			return &failure{kind: kv.ErrUnknownOutcome, message: "it is not known whether the atomic was committed", cause: &failed.failure}
		case ctx.Err() != nil:
			return failed.failure.ended(ctx)
		case failed.verdict == stale && !renewed:
			if session, err = c.renew(ctx, session); err != nil {
				return err
			}
			renewed = true
			continue
		case failed.verdict != busy && failed.verdict != lost:
			return &failed.failure
		}
		c.log.DebugContext(ctx, "will send the request again", "method", q.method, "error", &failed.failure)
		if !pause.wait(ctx) {
			return failed.failure.ended(ctx)
		}
		session = c.current(ctx)
	}
}

// try sends the request once and decodes the answer.
func (c *connection) try(ctx context.Context, s *session, q *exchange) *failedTry {
	resp, failed := c.post(ctx, s, q.method, q.body, q.answerType)
	if failed != nil {
		return failed
	}
	defer resp.Body.Close()
	answer, err := readAll(resp.Body, maxAnswer)
	if err != nil {
		return &failedTry{lost, *c.unreachable(ctx, err)}
	}
	return q.decode(answer)
}

// post sends body once. The response, whose body the caller closes, has status 200 and the content type.
func (c *connection) post(ctx context.Context, s *session, method string, body []byte, contentType string) (*http.Response, *failedTry) {
	// net/http itself sends again only what did not reach the server, and gets a connection anew for that.
	var sent atomic.Bool
	trace := &httptrace.ClientTrace{
		GetConn: func(string) { sent.Store(false) },
		GotConn: func(httptrace.GotConnInfo) { sent.Store(true) },
	}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), http.MethodPost, s.endpoint+"/"+method, bytes.NewReader(body))
	if err != nil {
		return nil, &failedTry{refused, failure{message: "the server's endpoint cannot be used", cause: err}}
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	req.Header.Set("Authorization", "Bearer "+s.token)
	req.Header.Set("X-Denokv-Version", strconv.Itoa(s.version))
	req.Header.Set("X-Denokv-Database-Id", s.databaseID)
	if s.expiry {
		req.Header.Set(expiryHeader, "1")
	}
	resp, err := c.data.Do(req)
	if err != nil {
		verdict := busy
		if sent.Load() {
			verdict = lost
		}
		return nil, &failedTry{verdict, *c.unreachable(ctx, err)}
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		return nil, c.refused(resp)
	}
	if got, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); got != contentType {
		resp.Body.Close()
		return nil, garbledf("the server answered %s with the content type %q instead of %s", method, got, contentType)
	}
	return resp, nil
}

func garbledf(format string, args ...any) *failedTry {
	return &failedTry{garbled, failure{message: fmt.Sprintf(format, args...)}}
}

// unreachable is the failure of a request that got no whole answer.
func (c *connection) unreachable(ctx context.Context, err error) *failure {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	var inner *url.Error // says the method and the URL over again
	if errors.As(err, &inner) {
		err = inner.Err
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("the connection was cut (%w)", err)
	}
	f := &failure{kind: kv.ErrUnavailable, message: "no answer from " + c.url.Redacted(), cause: err}
	if errors.Is(err, context.Canceled) || errors.Is(err, ErrClosed) {
		f.kind = nil // it was the caller who gave up
	}
	return f
}

// refused is the failure of a request that was answered with another status than 200.
func (c *connection) refused(resp *http.Response) *failedTry {
	message := sentence(resp)
	if message == "" {
		message = fmt.Sprintf("%s answered with status %s", resp.Request.URL.Redacted(), resp.Status)
	}
	f := failedTry{refused, failure{kind: kv.ErrInvalid, message: message}}
	switch code := resp.StatusCode; {
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		f.verdict, f.kind = stale, kv.ErrUnauthorized
	case code == http.StatusNotFound:
		f.kind = kv.ErrNoDatabase
	case code == http.StatusGone:
		f.kind = kv.ErrGone
	case code == http.StatusConflict: // Millpond does not know the outcome either
		f.verdict, f.kind = garbled, nil
	case code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable:
		f.verdict, f.kind = busy, kv.ErrUnavailable
	case code >= 500 || code == http.StatusRequestTimeout:
		f.verdict, f.kind = lost, kv.ErrUnavailable
	case code < 400:
		f.kind = nil
		f.message = fmt.Sprintf("%s answered with status %s, which is not KV Connect; is the URL right?", resp.Request.URL.Redacted(), resp.Status)
	}
	return &f
}

// sentence returns the body of a response that is text meant for people, and not a web page.
func sentence(resp *http.Response) string {
	if got, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); got != "text/plain" {
		return ""
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorText))
	if err != nil || !utf8.Valid(b) {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// pause spaces tries: a little longer each time, and random, so that many clients do not come back at once.
type pause struct {
	next, longest time.Duration
	now           func() time.Time
	until         time.Time // zero: for ever
}

func newPause(now func() time.Time, total, longest time.Duration) *pause {
	p := &pause{next: firstPause, longest: longest, now: now}
	if total >= 0 {
		p.until = now().Add(total)
	}
	return p
}

// wait returns false if there is no time left, or ctx ends before.
func (p *pause) wait(ctx context.Context) bool {
	d := p.next/2 + rand.N(p.next/2+1)
	p.next = min(2*p.next, p.longest)
	if !p.until.IsZero() && p.now().Add(d).After(p.until) {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
