package kvconnect

import (
	"context"

	"github.com/millpondkv/millpond/kv"
)

// Databases finds databases by name. Its methods are called concurrently, once for every request, so finding a database
// that is open should cost no more than a look into a map.
type Databases interface {
	// Database returns the database of that name, which has passed ValidName. With create it makes an absent one, if
	// that is allowed; only the metadata exchange asks for it. It fails with kv.ErrNoDatabase if there is none and with
	// kv.ErrUnavailable if it cannot be opened now.
	Database(ctx context.Context, name string, create bool) (Database, error)
}

// Database is one key space. Its methods are called concurrently. They fail with kv.ErrUnavailable when the same
// request may succeed later, with kv.ErrInvalid when it never will, and return soon after ctx has ended.
type Database interface {
	// ID returns the database's UUID, lowercase and hyphenated. It never changes.
	ID() string

	// Read returns the entries of each range, in the ranges' order, from one snapshot that holds every commit that was
	// answered before the call. The ranges are valid by kv.ValidateRanges. What is returned is only read.
	Read(ctx context.Context, ranges []kv.Range) ([][]kv.Entry, error)

	// Commit decides a, which is valid by its Validate. It fails with kv.ErrInvalid if a cannot be applied to what is
	// stored (the sum of a number and a string), and then nothing was written; with kv.ErrWritesDisabled if no atomic
	// will be decided until an operator has mended the database; with kv.ErrUnknownOutcome if a may have been
	// committed. When ctx ends after a may have reached the log, that is an unknown outcome too.
	//
	// The bytes in a are Commit's to keep and are never modified, but they may share one array with the rest of the
	// request, of at most 1 KiB or twice a.Size(): clone what is kept for long.
	Commit(ctx context.Context, a *kv.Atomic) (kv.CommitResult, error)

	// Watch begins to watch the keys, which are valid by kv.ValidateWatch. It does not block.
	Watch(keys []kv.EncodedKey) Watch
}

// EventualReader is a Database that also answers reads from what this process has, without asking anybody.
type EventualReader interface {
	// ReadEventual is Read, but the snapshot may be behind, and expiry is by the clock of this process. It does not block.
	ReadEventual(ctx context.Context, ranges []kv.Range) ([][]kv.Entry, error)
}

// Watch is a running watch, used by one goroutine.
type Watch interface {
	// Next returns the entries of all keys, in the keys' order, from one snapshot (an absent key's entry does not
	// exist): the first time as soon as there is a snapshot to show, later when one of them has changed since. Changes
	// that come faster than Next is called are shown as one. When ctx ends it returns ctx's error and loses nothing: the
	// next call waits on. What is returned is only read, and only until the next call.
	Next(ctx context.Context) ([]kv.Entry, error)

	// Close ends the watch and frees what it holds. It is called once, and no Next after it.
	Close()
}
