package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"syscall"

	"github.com/nats-io/nats.go"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/internal/cluster"
	"github.com/millpondkv/millpond/internal/importer"
	"github.com/millpondkv/millpond/kv"
)

// The exit codes, as the help of the root command has them for users.
const (
	exitOK           = 0
	exitError        = 1
	exitUsage        = 2
	exitNotFound     = 3
	exitCheckFailed  = 4
	exitUnauthorized = 5
	exitUnavailable  = 6
	exitIncomplete   = 7
	exitInterrupted  = 130
)

// usageError says that the command line is wrong.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// errNotFound ends a command that has said which keys were not found.
var errNotFound = errors.New("not found")

// exit shows err, with which the command has ended, and returns its exit code.
func exit(err error, command string, stderr io.Writer) int {
	code := exitCode(err)
	err = withoutPart(err)
	switch {
	case code == exitOK || code == exitInterrupted || errors.Is(err, errNotFound):
	case code == exitUsage:
		fmt.Fprintf(stderr, "millpond: %v\nSee: %s --help\n", err, command)
	default:
		fmt.Fprintf(stderr, "millpond: %v\n", err)
	}
	return code
}

// part is how the server names what is wrong in an atomic, of which a command's user knows nothing.
var part = regexp.MustCompile(`^(mutation|enqueue) 0: `)

// withoutPart returns err without that name, if there is one.
func withoutPart(err error) error {
	if err == nil || !part.MatchString(err.Error()) {
		return err
	}
	return errors.New(part.ReplaceAllString(err.Error(), ""))
}

func exitCode(err error) int {
	var usage *usageError
	var unreachable *cluster.UnreachableError
	var address *net.AddrError // it is none
	var settings *cluster.SettingsError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage), errors.Is(err, kv.ErrInvalid), errors.As(err, &address), errors.As(err, &settings):
		return exitUsage
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.Is(err, errNotFound):
		return exitNotFound
	case errors.Is(err, client.ErrCheckFailed), errors.Is(err, importer.ErrExists):
		return exitCheckFailed
	case errors.Is(err, kv.ErrUnauthorized), errors.Is(err, nats.ErrAuthorization):
		return exitUnauthorized
	case errors.As(err, &unreachable), errors.Is(err, kv.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		return exitUnavailable
	case errors.Is(err, errIncomplete):
		return exitIncomplete
	}
	return exitError
}

// advisedError is an error in words that say what to do about it.
type advisedError struct {
	error
	advice string
}

func (e *advisedError) Error() string { return e.advice }
func (e *advisedError) Unwrap() error { return e.error }

// remote is a server that a command speaks to, in the words of the command line.
type remote struct {
	url         string
	urlFrom     string // how another one is named
	token       string
	tokenSource string // where the token came from
	tokenFrom   string // how one is given
}

// advise puts err into words that say what to do, if the server could not be reached or has refused the token.
func (s remote) advise(err error) error {
	var advised *advisedError
	switch {
	case errors.As(err, &advised): // it came from another server
		return err
	case errors.Is(err, syscall.ECONNREFUSED):
		return &advisedError{err, fmt.Sprintf("nothing listens at %s; start a server with \"millpond serve\", or name another one with %s", s.url, s.urlFrom)}
	case errors.Is(err, kv.ErrUnauthorized) && s.token == "":
		return &advisedError{err, fmt.Sprintf("%s needs an access token, and none was given; %s", s.url, s.tokenFrom)}
	case errors.Is(err, kv.ErrUnauthorized):
		return &advisedError{err, fmt.Sprintf("%s has refused the access token, which came from %s", s.url, s.tokenSource)}
	}
	return err
}
