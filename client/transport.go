package client

import (
	"context"
	"iter"

	"github.com/millpondkv/millpond/kv"
)

// transport carries requests to one database. A DB has one, and calls it from many goroutines. There are three: KV
// Connect, NATS, and calls within the process.
//
// Errors carry a sentinel of package kv wherever one fits. A transport sends again what is safe to send again, and gives up
// when the context ends.
type transport interface {
	// Read returns the entries of each range, in the order of ranges, from one snapshot of at least that consistency. The
	// entries' data is the caller's.
	Read(ctx context.Context, ranges []kv.Range, c Consistency) ([][]kv.Entry, error)

	// Commit returns the versionstamp of the commit. If checks did not hold the error is a *CheckError without keys. After
	// kv.ErrUnknownOutcome the atomic may have been committed; after any other error it was not.
	Commit(ctx context.Context, atomic *kv.Atomic) (kv.Versionstamp, error)

	// Watch yields the entries of all keys, in their order: at once, and after changes, of which it may skip all but the
	// last. It reconnects by itself. An error ends it: the context's, or one that will not go away.
	Watch(ctx context.Context, keys []kv.EncodedKey) iter.Seq2[[]kv.Entry, error]

	// Close frees what the transport holds. No call is in flight any more.
	Close()
}
