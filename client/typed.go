package client

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/millpondkv/millpond/kv"
)

// Reader is what typed reads read from: a *DB, a *Tx or a *Past.
type Reader interface {
	Get(ctx context.Context, key kv.Key) (RawEntry, error)
	GetMany(ctx context.Context, keys ...kv.Key) ([]RawEntry, error)
	valueCodec() Codec
}

// Lister is what typed lists read from: a *DB or a *Past.
type Lister interface {
	List(ctx context.Context, s Selector) iter.Seq2[RawEntry, error]
	valueCodec() Codec
}

func (db *DB) valueCodec() Codec { return db.codec }

// Get returns the entry of key with its value as a T, the zero T if the key is absent. If the value cannot be read as a T the
// error says so, and names the field where the codec does; the entry is complete but for its value.
func Get[T any](ctx context.Context, r Reader, key kv.Key) (Entry[T], error) {
	raw, err := r.Get(ctx, key)
	if err != nil {
		return Entry[T]{Key: key}, err
	}
	return typed[T](r.valueCodec(), raw)
}

// GetMany is Get for several keys, as GetMany of the reader.
func GetMany[T any](ctx context.Context, r Reader, keys ...kv.Key) ([]Entry[T], error) {
	raw, err := r.GetMany(ctx, keys...)
	if err != nil {
		return nil, err
	}
	return typedAll[T](r.valueCodec(), raw)
}

// List is List of l with the values as Ts. An entry whose value cannot be read as a T comes with an error, and the list can
// go on; any other error ends it.
func List[T any](ctx context.Context, l Lister, s Selector) iter.Seq2[Entry[T], error] {
	return func(yield func(Entry[T], error) bool) {
		for raw, err := range l.List(ctx, s) {
			if err != nil {
				yield(Entry[T]{}, err)
				return
			}
			if !yield(typed[T](l.valueCodec(), raw)) {
				return
			}
		}
	}
}

// Watch is Watch of db with the values as Ts. Entries of which one cannot be read as a T come with an error, and the watch can
// go on; any other error, which comes without entries, ends it.
func Watch[T any](ctx context.Context, db *DB, keys ...kv.Key) iter.Seq2[[]Entry[T], error] {
	return func(yield func([]Entry[T], error) bool) {
		for raw, err := range db.Watch(ctx, keys...) {
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(typedAll[T](db.codec, raw)) {
				return
			}
		}
	}
}

func typed[T any](c Codec, raw RawEntry) (Entry[T], error) {
	e := Entry[T]{Key: raw.Key, Versionstamp: raw.Versionstamp, ExpireAt: raw.ExpireAt}
	if !raw.Exists() {
		return e, nil
	}
	var value T
	if err := decodeValue(c, raw.Value, &value); err != nil {
		return e, fmt.Errorf("the value of %v: %w", raw.Key, err)
	}
	e.Value = value
	return e, nil
}

// typedAll returns all entries, also if there is an error, which is the first.
func typedAll[T any](c Codec, raw []RawEntry) (entries []Entry[T], err error) {
	for _, r := range raw {
		e, failed := typed[T](c, r)
		if err == nil {
			err = failed
		}
		entries = append(entries, e)
	}
	return entries, err
}

// Remaining returns how long the entry has at the time now before it expires, 0 if it has expired. It is not ok if the entry
// never expires, or the server did not say when.
func (e Entry[V]) Remaining(now time.Time) (d time.Duration, ok bool) {
	if e.ExpireAt == 0 {
		return 0, false
	}
	return e.ExpireAt.Until(kv.MillisOf(now)), true
}
