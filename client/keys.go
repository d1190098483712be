package client

import (
	"context"
	"iter"

	"github.com/millpondkv/millpond/kv"
)

// Keys returns the selected keys in their order, as List does their entries. The values stay where they are, over NATS and in
// process; over HTTP the server sends them all the same.
func (db *DB) Keys(ctx context.Context, s Selector) iter.Seq2[kv.Key, error] {
	return func(yield func(kv.Key, error) bool) {
		for e, err := range db.bare(ctx, s) {
			if err != nil {
				yield(nil, err)
				return
			}
			entry, err := fromKV(e)
			if !yield(entry.Key, err) || err != nil {
				return
			}
		}
	}
}

// bare lists without values, where that can be.
func (db *DB) bare(ctx context.Context, s Selector) iter.Seq2[kv.Entry, error] {
	return func(yield func(kv.Entry, error) bool) {
		r, err := s.first()
		if err != nil {
			yield(kv.Entry{}, err)
			return
		}
		if db.transport.Bare() {
			r.KeysOnly = true
			if s.BatchSize == 0 { // a message holds so many of them, as it does not of values
				r.Limit = kv.MaxReadEntries
			}
		}
		for e, err := range db.scan(ctx, r, s.Limit) {
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// Count returns the number of selected entries, whose keys it lists. What is written meanwhile may be counted or not.
func (db *DB) Count(ctx context.Context, s Selector) (n int, err error) {
	for _, err := range db.bare(ctx, s) {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// DeletePrefix deletes the keys that begin with the parts of prefix and have more of them, not the key prefix itself; all keys of
// the database if it is empty. It returns how many it has deleted, also with an error.
//
// It lists keys and deletes them by commits of up to kv.MaxMutations. Others may see it half done; what they write meanwhile
// may be deleted or stay.
func (db *DB) DeletePrefix(ctx context.Context, prefix kv.Key) (deleted int, err error) {
	batch, size := db.Atomic(), 0
	commit := func() error {
		n := len(batch.req.Mutations)
		if n == 0 {
			return nil
		}
		if _, err := batch.Commit(ctx); err != nil {
			return err
		}
		deleted += n
		batch, size = db.Atomic(), 0
		return nil
	}
	for key, err := range db.Keys(ctx, Selector{Prefix: prefix}) {
		if err != nil {
			return deleted, err
		}
		if size += len(key.MustEncode()); size > kv.MaxAtomicSize || len(batch.req.Mutations) == kv.MaxMutations {
			if err := commit(); err != nil {
				return deleted, err
			}
			size = len(key.MustEncode())
		}
		batch.Delete(key)
	}
	err = commit()
	return deleted, err
}
