package client

import (
	"context"
	"iter"

	"github.com/millpondkv/millpond/kv"
)

// Commit is a commit, as far as a feed shows it.
type Commit[V any] struct {
	Versionstamp kv.Versionstamp
	// Time is log time: what the cluster took for the time of the commit. It never goes back from one commit to the next.
	Time kv.Millis
	// Entries are what the commit has left at the keys that it has changed, at least one, each key once: with its versionstamp; or
	// absent, if it has deleted the key.
	Entries []Entry[V]
}

// RawCommit is a commit with values as they are stored.
type RawCommit = Commit[kv.Value]

// ChangesOptions says which commits Changes shows.
type ChangesOptions struct {
	// After is the versionstamp of the last commit that is not to be shown: one that Changes has shown, that a commit or an entry has, or
	// that Latest has returned. The zero versionstamp: begin with the first commit of the log.
	After kv.Versionstamp
	// Prefix selects the keys that begin with these parts and have more of them. The others are left out of the commits, and commits
	// that change none of them are left out as a whole. All keys if it is empty.
	Prefix kv.Key
}

// Changes yields the commits of the database in their order, from those that the log has to those yet to come: every one exactly
// once, and whole, whatever happens to connections and readers. A program that notes the versionstamp of the last one that it is done
// with goes on from there after a restart. What was shown, later reads of db see.
//
// An entry that expires is deleted by nobody, so there is no commit for that: who keeps a copy lets go of entries at their ExpireAt. A sum
// shows the result, and messages to queues are not shown.
//
// It ends when the loop is left, or with an error: ctx's; ErrClosed; kv.ErrGone if the log does not go back to After any more; kv.ErrInvalid
// if After names no commit of this database. It needs a nats:// URL or an embedded database: over HTTP it is kv.ErrInvalid.
// A lost connection is made anew.
func (db *DB) Changes(ctx context.Context, o ChangesOptions) iter.Seq2[RawCommit, error] {
	return func(yield func(RawCommit, error) bool) {
		feed := kv.Feed{After: o.After}
		r, _, err := Selector{Prefix: o.Prefix}.bounds()
		if err != nil {
			yield(RawCommit{}, err)
			return
		}
		feed.Start, feed.End = r.Start, r.End
		ctx, done, err := db.begin(ctx)
		if err != nil {
			yield(RawCommit{}, err)
			return
		}
		defer done()
		for changes, err := range db.transport.Feed(ctx, feed) {
			if err != nil {
				yield(RawCommit{}, err)
				return
			}
			for i := range changes.Commits {
				commit, err := fromCommit(&changes.Commits[i])
				if !yield(commit, err) || err != nil {
					return
				}
			}
		}
	}
}

// Latest returns the place behind every commit that was answered before the call: the After of a feed of what is to come.
// Its last digits stand for no commit, and it must not be compared with those of entries but by kv.Versionstamp.Before.
//
// It needs a nats:// URL or an embedded database, and fails with kv.ErrInvalid over HTTP.
func (db *DB) Latest(ctx context.Context) (kv.Versionstamp, error) {
	ctx, done, err := db.begin(ctx)
	if err != nil {
		return kv.Versionstamp{}, err
	}
	defer done()
	for changes, err := range db.transport.Feed(ctx, kv.Feed{Latest: true}) {
		return changes.Through, err
	}
	return kv.Versionstamp{}, context.Cause(ctx) // not reached: a feed begins or fails
}

// Changes is Changes of db with the values as Ts. A commit of which one cannot be read as a T comes with an error, and the feed can go
// on; any other error, which comes with the zero commit, ends it.
func Changes[T any](ctx context.Context, db *DB, o ChangesOptions) iter.Seq2[Commit[T], error] {
	return func(yield func(Commit[T], error) bool) {
		for raw, err := range db.Changes(ctx, o) {
			if err != nil {
				yield(Commit[T]{}, err)
				return
			}
			entries, err := typedAll[T](db.codec, raw.Entries)
			if !yield(Commit[T]{Versionstamp: raw.Versionstamp, Time: raw.Time, Entries: entries}, err) {
				return
			}
		}
	}
}

// fromCommit gives the entries of a commit memory of their own: who keeps a value does not keep a whole piece of the log.
func fromCommit(c *kv.Commit) (RawCommit, error) {
	commit := RawCommit{Versionstamp: c.Versionstamp, Time: c.Time, Entries: make([]RawEntry, len(c.Effects))}
	entries := make([]kv.Entry, len(c.Effects))
	for i := range c.Effects {
		entries[i] = entryOf(c, i)
	}
	own(entries)
	for i := range entries {
		var err error
		if commit.Entries[i], err = fromKV(entries[i]); err != nil {
			return RawCommit{}, err
		}
	}
	return commit, nil
}

// entryOf returns what the commit has left at the key of its i-th effect.
func entryOf(c *kv.Commit, i int) kv.Entry {
	effect := &c.Effects[i]
	if effect.Delete {
		return kv.Entry{Key: effect.Key}
	}
	return kv.Entry{Key: effect.Key, Value: effect.Value, Versionstamp: c.Versionstamp, ExpireAt: effect.ExpireAt}
}
