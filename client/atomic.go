package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/millpondkv/millpond/kv"
)

// Atomic collects checks, mutations and messages that are committed together or not at all. Its methods return it, so that
// calls can be chained; a mistake in one of them, such as a key or a value that cannot be encoded, is returned by Commit. It
// is for one goroutine, and may be committed several times.
type Atomic struct {
	db   *DB
	req  kv.Atomic
	keys []kv.Key // of the checks
	err  error    // the first mistake
}

// Atomic returns an empty Atomic.
func (db *DB) Atomic() *Atomic { return &Atomic{db: db} }

// Check adds conditions that must hold: entries as they were read, Absent or At.
func (a *Atomic) Check(conditions ...Condition) *Atomic {
	for _, c := range conditions {
		key, versionstamp := c.condition()
		a.req.Checks = append(a.req.Checks, kv.Check{Key: a.encode("check", len(a.req.Checks), key), Versionstamp: versionstamp})
		a.keys = append(a.keys, key)
	}
	return a
}

// Set writes value to key. The codec says what the Go value is; a kv.Value is stored as it is.
func (a *Atomic) Set(key kv.Key, value any, opts ...SetOption) *Atomic {
	return a.set(kv.MutationSet, key, value, opts)
}

// SetVersionstamped writes value to the key that is prefix and one more part: the versionstamp of this commit as a string,
// as Versionstamp.String returns it. Such keys sort in the order of their commits.
func (a *Atomic) SetVersionstamped(prefix kv.Key, value any, opts ...SetOption) *Atomic {
	return a.set(kv.MutationSetSuffix, prefix, value, opts)
}

func (a *Atomic) set(t kv.MutationType, key kv.Key, value any, opts []SetOption) *Atomic {
	o := setOptions{now: a.db.now()}
	for _, opt := range opts {
		opt(&o)
	}
	if o.err != nil {
		a.failValue("mutation", len(a.req.Mutations), o.err)
	}
	encoded, err := encodeValue(a.db.codec, value)
	if err != nil {
		a.failValue("mutation", len(a.req.Mutations), err)
	}
	return a.mutate(key, kv.Mutation{Type: t, Value: encoded, ExpireAt: o.expireAt})
}

// Delete removes key.
func (a *Atomic) Delete(key kv.Key) *Atomic {
	return a.mutate(key, kv.Mutation{Type: kv.MutationDelete})
}

// Sum adds n to the U64 of key, modulo 2^64; an absent key counts as 0. Like Min and Max it removes the key's expiry, and
// fails with kv.ErrInvalid if the value of the key is of another kind.
func (a *Atomic) Sum(key kv.Key, n uint64) *Atomic {
	return a.mutate(key, kv.Mutation{Type: kv.MutationSum, Value: U64(n)})
}

// Min writes n to key if the key is absent or its U64 is larger.
func (a *Atomic) Min(key kv.Key, n uint64) *Atomic {
	return a.mutate(key, kv.Mutation{Type: kv.MutationMin, Value: U64(n)})
}

// Max writes n to key if the key is absent or its U64 is smaller.
func (a *Atomic) Max(key kv.Key, n uint64) *Atomic {
	return a.mutate(key, kv.Mutation{Type: kv.MutationMax, Value: U64(n)})
}

// SumBounds bounds the result of SumValue. Min and Max are values of the operand's type, or nil for no bound. Without
// Clamp a result beyond them makes the commit fail with kv.ErrInvalid, with it the result is the bound.
type SumBounds struct {
	Min, Max any
	Clamp    bool
}

// SumValue adds operand to the value of key, which must be of the same type: a Go number, which is a number in V8 whatever
// the codec, a *big.Int, which is a bigint, or a kv.Value. An absent key becomes the operand, whatever the bounds are.
func (a *Atomic) SumValue(key kv.Key, operand any, bounds SumBounds) *Atomic {
	m := kv.Mutation{Type: kv.MutationSum, Value: a.v8("mutation", len(a.req.Mutations), operand), SumClamp: bounds.Clamp}
	if bounds.Min != nil {
		m.SumMin = a.v8("mutation", len(a.req.Mutations), bounds.Min).Data
	}
	if bounds.Max != nil {
		m.SumMax = a.v8("mutation", len(a.req.Mutations), bounds.Max).Data
	}
	return a.mutate(key, m)
}

func (a *Atomic) mutate(key kv.Key, m kv.Mutation) *Atomic {
	m.Key = a.encode("mutation", len(a.req.Mutations), key)
	a.req.Mutations = append(a.req.Mutations, m)
	return a
}

// EnqueueOptions says when a message is delivered and what happens if it cannot be. The zero value delivers at once.
type EnqueueOptions struct {
	Delay             time.Duration
	Backoff           []time.Duration // the pause before each further attempt; nil: the server's default; empty: there is one attempt
	KeysIfUndelivered []kv.Key        // are set to the payload after the last attempt
}

// Enqueue adds a message, which the commit puts into the database's queue. The codec says what the Go value is; what it stores
// as bytes, like a kv.Value in bytes, is a Uint8Array to those who listen with Deno or Node. A U64 cannot be sent.
func (a *Atomic) Enqueue(payload any, opts EnqueueOptions) *Atomic {
	index := len(a.req.Enqueues)
	data, err := encodePayload(a.db.codec, payload)
	if err != nil {
		a.failValue("enqueue", index, err)
	}
	e := kv.Enqueue{Payload: data}
	switch {
	case opts.Delay < 0:
		a.fail(kv.Invalidf("enqueue %d: Delay must be >= 0", index))
	case opts.Delay > kv.MaxQueueDelay*time.Millisecond:
		a.fail(kv.Invalidf("enqueue %d: Delay cannot be greater than 30 days: received %v", index, opts.Delay))
	case opts.Delay > 0:
		e.Deadline = kv.MillisOf(a.db.now().Add(opts.Delay))
	}
	if opts.Backoff != nil {
		e.BackoffSchedule = make([]uint32, 0, len(opts.Backoff))
	}
	for _, pause := range opts.Backoff {
		if pause < 0 || pause > kv.MaxBackoff*time.Millisecond {
			a.fail(kv.Invalidf("enqueue %d: the backoff %v is not from 0 to %v", index, pause, kv.MaxBackoff*time.Millisecond))
		}
		e.BackoffSchedule = append(e.BackoffSchedule, uint32(pause.Milliseconds()))
	}
	for _, key := range opts.KeysIfUndelivered {
		e.KeysIfUndelivered = append(e.KeysIfUndelivered, a.encode("enqueue", index, key))
	}
	a.req.Enqueues = append(a.req.Enqueues, e)
	return a
}

func (a *Atomic) encode(what string, index int, key kv.Key) kv.EncodedKey {
	encoded, err := key.Encode()
	if err != nil {
		a.fail(fmt.Errorf("%s %d: %w", what, index, err))
	}
	return encoded
}

// v8 returns v as V8, or as it is if it is a stored value.
func (a *Atomic) v8(what string, index int, v any) kv.Value {
	if value, ok := v.(kv.Value); ok {
		return value
	}
	value, err := V8(v)
	if err != nil {
		a.failValue(what, index, err)
	}
	return value
}

func (a *Atomic) failValue(what string, index int, err error) {
	a.fail(&failure{kind: kv.ErrInvalid, message: fmt.Sprintf("%s %d", what, index), cause: err})
}

func (a *Atomic) fail(err error) {
	if a.err == nil {
		a.err = err
	}
}

// Commit asks for all of it, and returns the versionstamp of the commit. If a check does not hold the error is a
// *CheckError. After kv.ErrUnknownOutcome it was committed whole or not at all: read to find out which.
func (a *Atomic) Commit(ctx context.Context) (kv.Versionstamp, error) {
	if a.err != nil {
		return kv.Versionstamp{}, a.named(a.err)
	}
	ctx, done, err := a.db.begin(ctx)
	if err != nil {
		return kv.Versionstamp{}, err
	}
	defer done()
	versionstamp, err := a.db.transport.Commit(ctx, &a.req)
	var failed *CheckError
	if errors.As(err, &failed) {
		for _, i := range failed.Failed {
			failed.Keys = append(failed.Keys, a.keys[i])
		}
	}
	return versionstamp, a.named(err)
}

// named is err with the key of the only mutation in place of its number, which says nothing to whoever sets one key.
func (a *Atomic) named(err error) error {
	if err == nil || len(a.req.Mutations) != 1 || !errors.Is(err, kv.ErrInvalid) {
		return err
	}
	sentence, ok := strings.CutPrefix(err.Error(), "mutation 0: ")
	if !ok {
		return err
	}
	if key := a.req.Mutations[0].Key; key != "" && len(key) <= kv.MaxWriteKeySize { // or the sentence is about the key
		sentence = key.String() + ": " + sentence
	}
	return &renamed{err, sentence}
}

// renamed is an error with another sentence.
type renamed struct {
	error
	sentence string
}

func (e *renamed) Error() string { return e.sentence }
func (e *renamed) Unwrap() error { return e.error }
