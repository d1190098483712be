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
	// Read returns the entries of each range, in the order of ranges, from one snapshot that is as fresh. The entries' data is
	// the caller's.
	Read(ctx context.Context, ranges []kv.Range, f freshness) ([][]kv.Entry, error)

	// Together returns how many of the first ranges, each of one key, one Read can take; at least 1.
	Together(ranges []kv.Range) int

	// Bare reports whether entries of ranges that are KeysOnly come without values.
	Bare() bool

	// Commit returns the versionstamp of the commit. If checks did not hold the error is a *CheckError without keys. After
	// kv.ErrUnknownOutcome the atomic may have been committed; after any other error it was not.
	Commit(ctx context.Context, atomic *kv.Atomic) (kv.Versionstamp, error)

	// Watch yields the entries of all keys, in their order: at once, and after changes, of which it may skip all but the
	// last. It reconnects by itself. An error ends it: the context's, or one that will not go away. Of f only the least
	// position counts.
	Watch(ctx context.Context, keys []kv.EncodedKey, f freshness) iter.Seq2[[]kv.Entry, error]

	// Feed yields the log's pieces behind a place, whole commits in their order, none left out and none twice. The first piece comes
	// at once, without commits, and says where the feed begins. It goes on by itself after a lost connection. An error ends it: the
	// context's, or one that will not go away.
	Feed(ctx context.Context, f kv.Feed) iter.Seq2[kv.Changes, error]

	// History yields the parts of an answer about the past, in order; the first one comes whatever it has. It goes on by itself after a
	// lost connection. An error ends it.
	History(ctx context.Context, want kv.HistoryRead) iter.Seq2[kv.HistoryPart, error]

	// Close frees what the transport holds. No call is in flight any more.
	Close()
}
