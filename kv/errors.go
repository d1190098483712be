package kv

import (
	"errors"
	"fmt"
)

// The errors that a caller branches on, by when they happen. Test for them with errors.Is; the text of the error that
// carries one is a sentence for the user.
var (
	// Before anything was decided; the same request will fail again.
	ErrInvalid      = errors.New("invalid request")
	ErrUnauthorized = errors.New("not authorized")
	ErrNoDatabase   = errors.New("no such database")

	// Of a feed: the log does not go back to where it was to go on from. What is there now must be read, and the feed begun anew. Of
	// a read of the past: the history that is kept does not go back to the moment; the sentence says how far it does.
	ErrGone = errors.New("no longer in the log")

	// Before anything was decided; it will fail until an operator has mended the database. Reads go on.
	ErrWritesDisabled = errors.New("writes are disabled")

	// Before anything was decided; the request can be sent again as it is.
	ErrUnavailable = errors.New("temporarily unavailable")

	// After the atomic may have reached the log: it was committed whole or not at all, and this process could not find
	// out which in the time that the request had. Sending it again may commit it twice.
	ErrUnknownOutcome = errors.New("unknown outcome")
)

// Error is a sentence for the user together with the sentinel above that it stands for.
type Error struct {
	Kind    error
	Message string
}

func (e *Error) Error() string { return e.Message }
func (e *Error) Unwrap() error { return e.Kind }

// Errorf returns an Error of the given kind.
func Errorf(kind error, format string, args ...any) error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// Invalidf returns an Error that is ErrInvalid.
func Invalidf(format string, args ...any) error { return Errorf(ErrInvalid, format, args...) }

// SafeToRetry reports whether the request that failed with err has changed nothing and may succeed if sent again.
func SafeToRetry(err error) bool { return errors.Is(err, ErrUnavailable) }
