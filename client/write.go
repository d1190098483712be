package client

import (
	"context"
	"time"

	"github.com/millpondkv/millpond/kv"
)

// Set writes value to key, whatever is there, and returns the versionstamp of the commit. The codec says what the Go value
// is; a kv.Value is stored as it is.
func (db *DB) Set(ctx context.Context, key kv.Key, value any, opts ...SetOption) (kv.Versionstamp, error) {
	return db.Atomic().Set(key, value, opts...).Commit(ctx)
}

// Delete removes key. A key that is absent is no error.
func (db *DB) Delete(ctx context.Context, key kv.Key) error {
	_, err := db.Atomic().Delete(key).Commit(ctx)
	return err
}

// SetOption changes what a set does.
type SetOption func(*setOptions)

type setOptions struct {
	now      time.Time
	expireAt kv.Millis
	err      error // of an option
}

// ExpireIn lets the entry expire after d, at least 1 ms, by this machine's clock at the time of the call. A set without it
// keeps its entry for ever, also if the one before would have expired.
func ExpireIn(d time.Duration) SetOption {
	return func(o *setOptions) { o.expireAt = kv.MillisOf(o.now.Add(max(d, time.Millisecond))) }
}

// ExpireAt lets the entry expire at t, in whole milliseconds. The zero time is a mistake: leave the option out to keep the entry for ever.
func ExpireAt(t time.Time) SetOption {
	return func(o *setOptions) {
		if t.IsZero() {
			o.err = errNoTime
			return
		}
		o.expireAt = max(1, kv.MillisOf(t))
	}
}

var errNoTime = kv.Invalidf("ExpireAt got the zero time; leave it out for an entry that does not expire")
