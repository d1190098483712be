package client

import (
	"context"
	"iter"
	"slices"

	"github.com/millpondkv/millpond/kv"
)

// Watch yields the entries of keys, in their order and from one snapshot: at once, and again whenever one of them has
// changed. Changes that come faster than they are taken are skipped, never the last one. A lost connection is made anew.
//
// It ends when the loop is left, or with an error: ctx's, ErrClosed, or one that will not go away by itself, such as
// kv.ErrUnauthorized. Servers allow kv.MaxWatchedKeys keys.
func (db *DB) Watch(ctx context.Context, keys ...kv.Key) iter.Seq2[[]RawEntry, error] {
	return func(yield func([]RawEntry, error) bool) {
		encoded := make([]kv.EncodedKey, len(keys))
		for i, key := range keys {
			var err error
			if encoded[i], err = key.Encode(); err != nil {
				yield(nil, err)
				return
			}
		}
		ctx, done, err := db.begin(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		defer done()
		var seen []kv.Versionstamp
		for raw, err := range db.transport.Watch(ctx, encoded, db.fresh) {
			if err != nil {
				yield(nil, err)
				return
			}
			entries, versionstamps := watched(keys, raw)
			if slices.Equal(seen, versionstamps) {
				continue // nothing has changed, as after a new connection
			}
			seen = versionstamps
			if !yield(entries, nil) {
				return
			}
		}
	}
}

func watched(keys []kv.Key, raw []kv.Entry) (entries []RawEntry, versionstamps []kv.Versionstamp) {
	for i, e := range raw {
		entries = append(entries, RawEntry{Key: keys[i], Value: e.Value, Versionstamp: e.Versionstamp, ExpireAt: e.ExpireAt})
		versionstamps = append(versionstamps, e.Versionstamp)
	}
	return entries, versionstamps
}
