package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millpondkv/millpond/kv"
)

// The bounds of Update. Each round of callers that want the same key has one that commits, so tries are many and pauses short.
const (
	maxTries      = 100
	firstConflict = 4 * time.Millisecond // the first pause, at most: about what a commit takes
	maxConflict   = 100 * time.Millisecond
)

// Tx is a transaction of Update: it reads, and collects what is to be written. It is for the call of the function that got it,
// and for one goroutine.
type Tx struct {
	db      *DB
	atomic  *Atomic
	read    map[kv.EncodedKey]RawEntry
	written map[kv.EncodedKey]bool
}

// Update calls fn, and commits what it writes if nothing that it has read has changed meanwhile; otherwise it calls fn again, up
// to 100 times, with growing random pauses. So whatever fn decides by what it reads holds at the commit. Reads are strong.
//
// An error of fn ends it, and nothing is written. If the last try fails too the error is ErrCheckFailed. The other errors are
// those of Atomic.Commit. Since fn may run several times, it must do nothing but read and write by its Tx.
func (db *DB) Update(ctx context.Context, fn func(tx *Tx) error) error {
	wait := &pause{next: firstConflict, longest: maxConflict, now: db.now}
	db = db.WithConsistency(Strong) // what is older would only make for conflicts
	for try := 1; ; try++ {
		tx := &Tx{db: db, atomic: db.Atomic(), read: map[kv.EncodedKey]RawEntry{}, written: map[kv.EncodedKey]bool{}}
		if err := fn(tx); err != nil {
			return err
		}
		err := tx.commit(ctx)
		switch {
		case !errors.Is(err, ErrCheckFailed):
			return err
		case try == maxTries:
			return fmt.Errorf("gave up after %d tries, each of which met a change: %w", try, err)
		case !wait.wait(ctx):
			return fmt.Errorf("%w; before that, %w", context.Cause(ctx), err)
		}
	}
}

// commit needs no request for a single read.
func (tx *Tx) commit(ctx context.Context) error {
	a := tx.atomic
	if a.err == nil && len(a.req.Mutations)+len(a.req.Enqueues) == 0 && len(a.req.Checks) <= 1 {
		return nil
	}
	_, err := a.Commit(ctx)
	return err
}

func (tx *Tx) valueCodec() Codec { return tx.db.codec }

// Get returns the entry of key, the same whenever it is called; see also the function Get. It fails with kv.ErrInvalid if tx has
// written the key: a read does not see what the transaction writes, so it must come before.
func (tx *Tx) Get(ctx context.Context, key kv.Key) (RawEntry, error) {
	entries, err := tx.GetMany(ctx, key)
	if err != nil {
		return RawEntry{Key: key}, err
	}
	return entries[0], nil
}

// GetMany is Get for several keys. There may be more than in one request, kv.MaxChecks in all of the transaction.
func (tx *Tx) GetMany(ctx context.Context, keys ...kv.Key) ([]RawEntry, error) {
	encoded := make([]kv.EncodedKey, len(keys))
	var missing []kv.Key
	wanted := map[kv.EncodedKey]bool{}
	for i, key := range keys {
		var err error
		if encoded[i], err = key.Encode(); err != nil {
			return nil, err
		}
		if tx.written[encoded[i]] {
			return nil, kv.Invalidf("the transaction reads the key %v after it has written it; read it before", key)
		}
		if _, known := tx.read[encoded[i]]; !known && !wanted[encoded[i]] {
			wanted[encoded[i]] = true
			missing = append(missing, key)
		}
	}
	if err := tx.fetch(ctx, missing); err != nil {
		return nil, err
	}
	entries := make([]RawEntry, len(keys))
	for i, key := range encoded {
		entries[i] = tx.read[key]
	}
	return entries, nil
}

// fetch reads keys and makes them checks. They need not be of one snapshot: the checks hold at the commit, all at once.
func (tx *Tx) fetch(ctx context.Context, keys []kv.Key) error {
	for len(keys) > 0 {
		n := min(len(keys), kv.MaxRanges)
		entries, err := tx.db.GetMany(ctx, keys[:n]...)
		if err != nil {
			return err
		}
		for _, e := range entries {
			tx.read[e.Key.MustEncode()] = e
			tx.atomic.Check(e)
		}
		keys = keys[n:]
	}
	return nil
}

// writes notes that key is written. Atomic reports what is wrong with it.
func (tx *Tx) writes(key kv.Key) *Atomic {
	if encoded, err := key.Encode(); err == nil {
		tx.written[encoded] = true
	}
	return tx.atomic
}

// Set is Set of an Atomic, as are the other methods that write.
func (tx *Tx) Set(key kv.Key, value any, opts ...SetOption) { tx.writes(key).Set(key, value, opts...) }

// Delete removes key.
func (tx *Tx) Delete(key kv.Key) { tx.writes(key).Delete(key) }

// Sum adds n to the U64 of key.
func (tx *Tx) Sum(key kv.Key, n uint64) { tx.writes(key).Sum(key, n) }

// Min writes n to key if its U64 is larger.
func (tx *Tx) Min(key kv.Key, n uint64) { tx.writes(key).Min(key, n) }

// Max writes n to key if its U64 is smaller.
func (tx *Tx) Max(key kv.Key, n uint64) { tx.writes(key).Max(key, n) }

// SumValue adds operand to the number or bigint of key.
func (tx *Tx) SumValue(key kv.Key, operand any, bounds SumBounds) {
	tx.writes(key).SumValue(key, operand, bounds)
}

// SetVersionstamped writes value to the key that is prefix and the versionstamp of the commit.
func (tx *Tx) SetVersionstamped(prefix kv.Key, value any, opts ...SetOption) {
	tx.atomic.SetVersionstamped(prefix, value, opts...)
}

// Enqueue adds a message.
func (tx *Tx) Enqueue(payload any, opts EnqueueOptions) { tx.atomic.Enqueue(payload, opts) }
