package client

import (
	"context"
	"iter"

	"github.com/millpondkv/millpond/kv"
)

// Keys returns the selected keys in their order, as List does their entries. The server sends the values all the same: no
// transport can leave them out.
func (db *DB) Keys(ctx context.Context, s Selector) iter.Seq2[kv.Key, error] {
	return func(yield func(kv.Key, error) bool) {
		for e, err := range db.List(ctx, s) {
			if !yield(e.Key, err) || err != nil {
				return
			}
		}
	}
}

// Count returns the number of selected entries, which it lists. What is written meanwhile may be counted or not.
func (db *DB) Count(ctx context.Context, s Selector) (n int, err error) {
	for _, err := range db.Keys(ctx, s) {
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
