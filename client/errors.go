package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/millpondkv/millpond/kv"
)

var (
	// ErrClosed says that the DB was closed before or during the call.
	ErrClosed = errors.New("the database handle is closed")

	// ErrCheckFailed says that nothing was written because a check did not hold. The error is a *CheckError.
	ErrCheckFailed = errors.New("a check did not hold")
)

// CheckError says which checks of an atomic did not hold.
type CheckError struct {
	// Failed has the indexes of the checks, in the order in which they were added, ascending. It is empty if the server did
	// not say; Millpond does, denokv does not.
	Failed []int
	Keys   []kv.Key // the key of each check in Failed
}

func (e *CheckError) Error() string {
	switch len(e.Failed) {
	case 0:
		return "nothing was written: a check did not hold"
	case 1:
		return fmt.Sprintf("nothing was written: the check of %v did not hold", e.Keys[0])
	}
	return fmt.Sprintf("nothing was written: the checks of %v did not hold", e.Keys)
}

func (e *CheckError) Is(target error) bool { return target == ErrCheckFailed }

// failure is an error of a transport: a sentence, the sentinel that it stands for and what caused it.
type failure struct {
	kind    error // nil: none fits
	message string
	cause   error // may be nil
}

func (e *failure) Error() string {
	if e.cause != nil {
		return e.message + ": " + e.cause.Error()
	}
	return e.message
}

func (e *failure) Unwrap() []error {
	var errs []error
	for _, err := range []error{e.kind, e.cause} {
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// ended is f as the last failure before ctx ended, if it did.
func (f *failure) ended(ctx context.Context) error {
	cause := context.Cause(ctx)
	if cause == nil || errors.Is(f, cause) {
		return f
	}
	return fmt.Errorf("%w; before that, %w", cause, f)
}
