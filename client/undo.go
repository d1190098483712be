package client

import (
	"bytes"
	"context"
	"errors"

	"github.com/millpondkv/millpond/kv"
)

// UndoOptions says what Undo puts back. Key or Prefix must be set, and To.
type UndoOptions struct {
	Key    kv.Key    // the entry of this key
	Prefix kv.Key    // or the entries below this one; kv.Key{} is above all
	To     kv.Moment // when the entries were as they are to be again
	// Seen is up to when changes are undone: what was changed later is a conflict. A program that has shown somebody what it is going to
	// undo gives the moment of that. The zero Moment is now.
	Seen   kv.Moment
	DryRun bool           // say what would be done, and do nothing
	Each   func(UndoStep) // is told of each entry, once it is done; may be nil
}

// UndoStep is what Undo did to one key.
type UndoStep struct {
	Key kv.Key
	// Before is what the key had at the moment Seen, After what it has now, both without a versionstamp if absent.
	Before, After RawEntry
	Conflict      bool // it was changed since Seen, and was left as it is
}

// UndoResult counts what Undo did.
type UndoResult struct {
	To, Seen                kv.Moment // as they were understood; they never mean anything else
	Set, Deleted, Conflicts int
}

// Undo makes entries what they were at a moment, by ordinary commits: those that came in between stay in the history. An entry that
// would have expired since is deleted.
//
// Nothing is overwritten that was changed after the moment Seen: each commit checks its entries. One of which the check does not hold is
// a conflict, unless it is as it is to be already; it is left alone, and the others are put back. A commit has up to kv.MaxChecks (100)
// entries, so a large undo is not seen at once, and may be ended half way, by an error; calling it again, with the same moments, goes on.
//
// It fails with kv.ErrGone if the history that is kept does not reach back so far, and with the errors of Atomic.Commit. The result
// is that of what was done before. It needs a server of Millpond, or an embedded database.
func (db *DB) Undo(ctx context.Context, o UndoOptions) (UndoResult, error) {
	want, err := o.read()
	if err != nil {
		return UndoResult{}, err
	}
	u := undo{db: db, o: o}
	for part, err := range db.history(ctx, want) {
		if err != nil {
			return u.result, err
		}
		u.result.To, u.result.Seen = part.From, part.To
		now := max(kv.MillisOf(db.now()), part.To.Time)
		for _, raw := range part.Differences {
			if err := u.add(ctx, raw, now); err != nil {
				return u.result, err
			}
		}
	}
	return u.result, u.flush(ctx)
}

func (o *UndoOptions) read() (want kv.HistoryRead, err error) {
	want = kv.HistoryRead{Kind: kv.HistoryDifferences, From: o.To, To: o.Seen}
	switch {
	case (o.Key == nil) == (o.Prefix == nil):
		return want, kv.Invalidf("undo needs a Key, or a Prefix; kv.Key{} is the prefix of everything")
	case o.To == kv.Moment{}:
		return want, kv.Invalidf("undo needs the moment To")
	case o.Key != nil:
		key, err := o.Key.Encode()
		want.Keys = []kv.EncodedKey{key}
		return want, err
	}
	r, _, err := Selector{Prefix: o.Prefix}.bounds()
	want.Start, want.End = r.Start, r.End
	return want, err
}

// undo is an Undo that runs.
type undo struct {
	db     *DB
	o      UndoOptions
	batch  []UndoStep // to be committed
	size   int        // of it
	result UndoResult
}

// add puts a difference into the batch, which is committed first if it is full.
func (u *undo) add(ctx context.Context, raw kv.Difference, now kv.Millis) error {
	if raw.Before.ExpireAt.Expired(now) {
		raw.Before = kv.Entry{}
		if !raw.After.Exists() {
			return nil
		}
	}
	d, err := fromDifference(raw)
	if err != nil {
		return err
	}
	step := UndoStep{Key: d.Key, Before: d.After, After: d.Before}
	if u.o.DryRun {
		u.done(step)
		return nil
	}
	size := 2*len(raw.Key) + len(raw.Before.Value.Data)
	if len(u.batch) == kv.MaxChecks || u.size+size > kv.MaxAtomicSize {
		if err := u.flush(ctx); err != nil {
			return err
		}
	}
	u.batch, u.size = append(u.batch, step), u.size+size
	return nil
}

// flush commits the batch. Entries whose checks fail are taken out of it first.
func (u *undo) flush(ctx context.Context) error {
	for len(u.batch) > 0 {
		v, err := u.commit(ctx)
		var failed *CheckError
		switch {
		case err == nil:
			for _, step := range u.batch {
				if step.After.Exists() {
					step.After.Versionstamp = v
				}
				u.done(step)
			}
			u.batch = nil
		case errors.As(err, &failed) && len(failed.Failed) > 0:
			if err := u.settle(ctx, failed.Failed); err != nil {
				return err
			}
		default:
			return err
		}
	}
	u.batch, u.size = nil, 0
	return nil
}

func (u *undo) commit(ctx context.Context) (kv.Versionstamp, error) {
	a := u.db.Atomic()
	for _, step := range u.batch {
		a.Check(step.Before)
		if step.After.Exists() {
			a.mutate(step.Key, kv.Mutation{Type: kv.MutationSet, Value: step.After.Value, ExpireAt: step.After.ExpireAt})
		} else {
			a.Delete(step.Key)
		}
	}
	return a.Commit(ctx)
}

// settle takes the entries of failed checks out of the batch: an earlier call has put them back, or they are conflicts.
func (u *undo) settle(ctx context.Context, failed []int) error {
	keys := make([]kv.Key, len(failed))
	for i, at := range failed {
		keys[i] = u.batch[at].Key
	}
	entries, err := u.db.WithConsistency(Strong).GetMany(ctx, keys...)
	if err != nil {
		return err
	}
	for i, at := range failed {
		step := u.batch[at]
		step.Conflict = !sameContent(entries[i], step.After)
		step.After = entries[i]
		u.done(step)
	}
	var rest []UndoStep
	for i, step := range u.batch {
		if len(failed) > 0 && failed[0] == i {
			failed = failed[1:]
			continue
		}
		rest = append(rest, step)
	}
	u.batch = rest
	return nil
}

func sameContent(a, b RawEntry) bool {
	return a.Exists() == b.Exists() && a.ExpireAt == b.ExpireAt && a.Value.Encoding == b.Value.Encoding && bytes.Equal(a.Value.Data, b.Value.Data)
}

func (u *undo) done(step UndoStep) {
	switch {
	case step.Conflict:
		u.result.Conflicts++
	case step.After.Exists():
		u.result.Set++
	default:
		u.result.Deleted++
	}
	if u.o.Each != nil {
		u.o.Each(step)
	}
}
