package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"

	"github.com/nats-io/nats.go"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/internal/cluster"
	"github.com/millpondkv/millpond/internal/importer"
	"github.com/millpondkv/millpond/kv"
)

// The exit codes, as the help of the root command has them.
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
	switch {
	case code == exitOK || code == exitInterrupted || errors.Is(err, errNotFound):
	case code == exitUsage:
		fmt.Fprintf(stderr, "millpond: %v\nSee: %s --help\n", err, command)
	default:
		fmt.Fprintf(stderr, "millpond: %v\n", err)
	}
	return code
}

func exitCode(err error) int {
	var usage *usageError
	var unreachable *cluster.UnreachableError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
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
	}
	if errors.Is(err, errIncomplete) {
		return exitIncomplete
	}
	return exitError
}

// advice returns what to do about err, or nothing.
func (c *connection) advice(err error) string {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Sprintf("nothing listens at %s; start a server with \"millpond serve\", or name another one with --url or MILLPOND_URL", c.URL)
	case errors.Is(err, kv.ErrUnauthorized) && c.AccessToken == "":
		return "no access token was given; set DENO_KV_ACCESS_TOKEN to the server's, or use --access-token-file"
	case errors.Is(err, kv.ErrUnauthorized):
		return "the access token came from " + c.loader.Source("access-token")
	}
	return ""
}
