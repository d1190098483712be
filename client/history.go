package client

import (
	"context"
	"iter"

	"github.com/millpondkv/millpond/kv"
)

// History yields what has been at key, in order: each value, and each end of one, by a delete or by expiry. It begins with the log; if that
// has been trimmed, with the value that was there at the beginning of the history that is kept, whose Time is 0.
//
// An error ends it. It needs a server of Millpond, or an embedded database.
func (db *DB) History(ctx context.Context, key kv.Key) iter.Seq2[kv.Version, error] {
	return func(yield func(kv.Version, error) bool) {
		encoded, err := key.Encode()
		if err != nil {
			yield(kv.Version{}, err)
			return
		}
		for part, err := range db.history(ctx, kv.HistoryRead{Kind: kv.HistoryVersions, Keys: []kv.EncodedKey{encoded}}) {
			if err != nil {
				yield(kv.Version{}, err)
				return
			}
			for _, v := range part.Versions {
				if !yield(v, nil) {
					return
				}
			}
		}
	}
}

// Difference is what a key had at two moments. The values, or the expiries, are not the same, or one of the entries is absent.
type Difference struct {
	Key           kv.Key
	Before, After RawEntry // see Exists
}

// Diff yields the keys below prefix that are not the same at two moments, in their order; an empty prefix is that of all keys, and the
// zero Moment is now. An entry that was written again with the same value and expiry is the same.
//
// An error ends it: kv.ErrGone if the history that is kept does not reach back to the first moment, kv.ErrInvalid if the first is the later
// one. It needs a server of Millpond, or an embedded database.
func (db *DB) Diff(ctx context.Context, prefix kv.Key, from, to kv.Moment) iter.Seq2[Difference, error] {
	return func(yield func(Difference, error) bool) {
		r, _, err := Selector{Prefix: prefix}.bounds()
		if err != nil {
			yield(Difference{}, err)
			return
		}
		want := kv.HistoryRead{Kind: kv.HistoryDifferences, From: from, To: to, Start: r.Start, End: r.End}
		for part, err := range db.history(ctx, want) {
			if err != nil {
				yield(Difference{}, err)
				return
			}
			for _, raw := range part.Differences {
				d, err := fromDifference(raw)
				if !yield(d, err) || err != nil {
					return
				}
			}
		}
	}
}

func fromDifference(raw kv.Difference) (d Difference, err error) {
	e, err := fromKV(kv.Entry{Key: raw.Key})
	if err != nil {
		return d, err
	}
	d.Key, d.Before, d.After = e.Key, e, e
	for _, side := range []struct {
		into *RawEntry
		from kv.Entry
	}{{&d.Before, raw.Before}, {&d.After, raw.After}} {
		side.into.Value, side.into.Versionstamp, side.into.ExpireAt = side.from.Value, side.from.Versionstamp, side.from.ExpireAt
	}
	return d, nil
}
