package client

import (
	"context"
	"iter"
	"time"

	"github.com/millpondkv/millpond/kv"
)

// Backend is a database in this process. Package embedded has one; another is easily made for a test. Its methods are called from
// many goroutines, with requests that are valid by package kv. Their errors carry the sentinels of package kv.
type Backend interface {
	// Read returns the entries of each range, in the order of ranges, from one snapshot that has every commit which was answered
	// before the call. The entries' data is not changed by the caller, nor by the backend.
	Read(ctx context.Context, ranges []kv.Range) ([][]kv.Entry, error)

	// Commit decides a. Failed checks are no error. What a holds is not changed by anybody, and may be kept.
	Commit(ctx context.Context, a *kv.Atomic) (kv.CommitResult, error)

	// Watch returns a watch of the keys. It is used by one goroutine.
	Watch(keys []kv.EncodedKey) BackendWatch

	// Close is called once, when no call is in flight any more and all watches are closed.
	Close()
}

// BackendWatch is a running watch.
type BackendWatch interface {
	// Next blocks until one of the keys may have changed since the last call, the first time not at all, and returns the entries of
	// all keys in their order, from one snapshot.
	Next(ctx context.Context) ([]kv.Entry, error)
	Close()
}

// OpenBackend returns the DB of a database in this process.
func OpenBackend(b Backend) *DB { return newDB(&local{b, time.Now}, time.Now) }

// local is the transport to a Backend: calls of functions.
type local struct {
	backend Backend
	now     func() time.Time
}

func (l *local) Read(ctx context.Context, ranges []kv.Range, _ Consistency) ([][]kv.Entry, error) {
	if err := kv.ValidateRanges(ranges); err != nil {
		return nil, err
	}
	results, err := l.backend.Read(ctx, ranges)
	if err != nil {
		return nil, err
	}
	for _, entries := range results {
		own(entries)
	}
	return results, nil
}

// own gives the entries data of their own: the caller's to change.
func own(entries []kv.Entry) {
	size := 0
	for i := range entries {
		size += len(entries[i].Value.Data)
	}
	all := make([]byte, 0, size)
	for i := range entries {
		data := &entries[i].Value.Data
		begin := len(all)
		all = append(all, *data...)
		*data = all[begin:len(all):len(all)]
	}
}

func (l *local) Commit(ctx context.Context, a *kv.Atomic) (kv.Versionstamp, error) {
	if err := a.Validate(kv.MillisOf(l.now()), false); err != nil {
		return kv.Versionstamp{}, err
	}
	request := *a // the caller's may grow on
	result, err := l.backend.Commit(ctx, &request)
	switch {
	case err != nil:
		return kv.Versionstamp{}, err
	case !result.OK():
		return kv.Versionstamp{}, &CheckError{Failed: result.FailedChecks}
	}
	return result.Versionstamp, nil
}

func (l *local) Watch(ctx context.Context, keys []kv.EncodedKey) iter.Seq2[[]kv.Entry, error] {
	return func(yield func([]kv.Entry, error) bool) {
		if err := kv.ValidateWatch(keys); err != nil {
			yield(nil, err)
			return
		}
		w := l.backend.Watch(keys)
		defer w.Close()
		for {
			entries, err := w.Next(ctx)
			if err != nil {
				yield(nil, context.Cause(ctx))
				return
			}
			own(entries)
			if !yield(entries, nil) {
				return
			}
		}
	}
}

func (l *local) Close() { l.backend.Close() }
