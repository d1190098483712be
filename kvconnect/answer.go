package kvconnect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"strconv"

	"github.com/millpondkv/millpond/kv"
)

// statusClientGone stands for an answer that nobody waits for any more. It is told to Config.Observe and never sent.
const statusClientGone = 499

// statusInternal answers an error that nobody expected. It is not 500: Deno would send the request again without end,
// and one that may have been committed would be committed again. Of the statuses that end the call it is the one that
// blames the state of things and not the request.
const statusInternal = http.StatusConflict

// failure is an error with the status to answer it with; what it says is for the user.
func failure(status int, format string, args ...any) error {
	return &statusError{status, fmt.Sprintf(format, args...)}
}

type statusError struct {
	status  int
	message string
}

func (e *statusError) Error() string { return e.message }

// panicError is a panic on the way to an answer.
type panicError struct {
	value any
	stack []byte
}

func panicked(value any) error { return &panicError{value, debug.Stack()} }

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v\n%s", e.value, e.stack) }

// statusOf returns the status and the sentence for err, and whether err was expected. Only errors that are meant for
// users show their text.
//
//	400  kv.ErrInvalid          the request will never work
//	401  kv.ErrUnauthorized     Deno fetches new metadata, once, and tries again
//	403  another database id    likewise; or no such database, on the data path
//	404  kv.ErrNoDatabase
//	409  kv.ErrUnknownOutcome   must not be sent again unseen, so it is no 5xx
//	409  anything unexpected    likewise
//	410  kv.ErrGone             of the past: it does not reach back so far
//	503  kv.ErrUnavailable      Deno sends the request again until it works
func statusOf(err error) (status int, message string, expected bool) {
	var own *statusError
	if errors.As(err, &own) {
		return own.status, own.message, true
	}
	switch {
	case errors.Is(err, kv.ErrInvalid):
		status, message = http.StatusBadRequest, "the request is invalid"
	case errors.Is(err, kv.ErrUnauthorized):
		status, message = http.StatusUnauthorized, "the request is not authorized"
	case errors.Is(err, kv.ErrNoDatabase):
		status, message = http.StatusNotFound, "there is no such database"
	case errors.Is(err, kv.ErrGone):
		status, message = http.StatusGone, "the history that is kept does not reach back so far"
	case errors.Is(err, kv.ErrUnknownOutcome):
		status, message = http.StatusConflict, "the atomic write may or may not have been committed; read what it would "+
			"have written before sending it again"
	case errors.Is(err, kv.ErrUnavailable):
		status, message = http.StatusServiceUnavailable, "the database is temporarily unavailable; try again"
	default:
		return statusInternal, "the server failed in a way that it did not expect, and its log says how; an atomic write " +
			"may or may not have been committed", false
	}
	var user *kv.Error
	if errors.As(err, &user) {
		message = user.Message
	}
	return status, message, true
}

// errClientGone says that an answer could not be sent.
var errClientGone = errors.New("the client has gone")

// answer sends err to the client, unless it is nil, and returns the status of the request. If abort is set the client
// has gone, or has a part of another answer already, and the stream or connection must be aborted.
func (s *Server) answer(w *reply, r *http.Request, to route, err error) (status int, abort bool) {
	if err == nil {
		return http.StatusOK, false
	}
	gone := errors.Is(err, errClientGone) || r.Context().Err() != nil
	leaving := gone && (errors.Is(err, errClientGone) || errors.Is(err, context.Canceled))
	status, message, expected := statusOf(err)
	if !expected && !leaving {
		s.config.Logger.Error("request failed", "endpoint", string(to.endpoint), "database", to.database, "error", err)
	}
	switch {
	case gone:
		return statusClientGone, true
	case w.begun:
		return status, true
	case status == http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(message)))
	w.WriteHeader(status)
	io.WriteString(w, message) // an error here is the client's leaving
	return status, false
}

// reply is a ResponseWriter that knows whether an answer has begun.
type reply struct {
	http.ResponseWriter
	begun bool
}

func (w *reply) WriteHeader(status int) {
	w.begun = true
	w.ResponseWriter.WriteHeader(status)
}

func (w *reply) Write(b []byte) (int, error) {
	w.begun = true
	return w.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (w *reply) Unwrap() http.ResponseWriter { return w.ResponseWriter }
