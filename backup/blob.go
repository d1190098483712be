package backup

import (
	"context"
	"errors"
	"io"
)

// What a Blob answers when a name is free, or is not.
var (
	ErrNotFound = errors.New("there is nothing under that name")
	ErrExists   = errors.New("there is something under that name already")
)

// Blob keeps bytes under names: a directory, or a bucket of an object store. Names are of letters, digits, dots, hyphens,
// underscores, and slashes between them. Its methods may be called from several goroutines.
type Blob interface {
	// Put stores all that r yields, which is not nothing, under a name that is free, and returns when it is durable. It fails with ErrExists if the
	// name is taken. After any other error it may be stored whole, or not at all.
	Put(ctx context.Context, name string, r io.Reader) error

	// Get returns what is stored under a name. It fails with ErrNotFound. The reader must be closed.
	Get(ctx context.Context, name string) (io.ReadCloser, error)

	// List returns the names that begin with prefix, in no order.
	List(ctx context.Context, prefix string) ([]string, error)

	// Delete removes a name; that there was nothing is no error.
	Delete(ctx context.Context, name string) error

	// String says where this is, for people. It has no secrets.
	String() string
}
