package projection

import (
	"errors"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
	"github.com/tidwall/buntdb"
)

// Snapshot is the answer to a read: all its ranges at one position.
type Snapshot struct {
	Entries [][]kv.Entry // one list for each range, in scan order
	Chain   events.Chain // where in the log this is
	// Hidden is the latest expiry among the entries that were left out because they had expired by the time of the read,
	// though not by log time; 0 if there were none.
	Hidden kv.Millis
}

// Read returns the entries of all ranges from one snapshot, without those that have expired by now or by log time,
// whichever is later. It fails with ErrClosed only.
func (p *Projection) Read(ranges []kv.Range, now kv.Millis) (Snapshot, error) {
	s := Snapshot{Entries: make([][]kv.Entry, len(ranges))}
	err := p.View(func(v View) {
		s.Chain = v.Chain()
		filter := expiryFilter{now: now, logTime: s.Chain.Time}
		for i, r := range ranges {
			s.Entries[i] = v.scan(r, &filter)
		}
		s.Hidden = filter.hidden
	})
	return s, err
}

// View is the state at one position. It is valid only in the function that Projection.View gives it to.
type View struct {
	p  *Projection
	tx *buntdb.Tx
}

// View calls f with the state, which does not move meanwhile: f must be brief, and must not apply or wait.
// It fails with ErrClosed only, and has not called f then.
func (p *Projection) View(f func(View)) error {
	return p.view(func(tx *buntdb.Tx) { f(View{p: p, tx: tx}) })
}

func (p *Projection) view(f func(*buntdb.Tx)) error {
	return p.hold((*buntdb.DB).View, f)
}

// update calls f with the lock held for writing. It fails with ErrClosed only, and has not called f then.
func (p *Projection) update(f func()) error {
	return p.hold((*buntdb.DB).Update, func(*buntdb.Tx) { f() })
}

// hold calls f under the lock of the entries that are there now: while it waited for the lock of others, those may have been
// replaced.
func (p *Projection) hold(lock func(*buntdb.DB, func(*buntdb.Tx) error) error, f func(*buntdb.Tx)) error {
	for {
		db, held := p.entries.Load(), false
		err := lock(db, func(tx *buntdb.Tx) error {
			if held = p.entries.Load() == db; held {
				f(tx)
			}
			return nil
		})
		if held || p.entries.Load() == db {
			return closedError(err)
		}
	}
}

func closedError(err error) error {
	if errors.Is(err, buntdb.ErrDatabaseClosed) {
		return ErrClosed
	}
	return err
}

// Folded returns the bytes of all records that have been applied here, whatever a checkpoint had of earlier ones.
func (p *Projection) Folded() (bytes int64) {
	p.View(func(v View) { bytes = v.p.folded })
	return bytes
}

// Chain returns how far the log has been folded in; the zero Chain after Close.
func (p *Projection) Chain() (c events.Chain) {
	p.View(func(v View) { c = v.Chain() })
	return c
}

// Chain returns how far the log has been folded in.
func (v View) Chain() events.Chain { return v.p.chain }

// Get returns the entry at key as it is stored: it may have expired.
func (v View) Get(key kv.EncodedKey) (e kv.Entry, ok bool) {
	stored, err := v.tx.Get(string(key))
	if err != nil {
		return kv.Entry{Key: key}, false
	}
	return decodeStored(string(key), stored), true
}

// Stats returns the number of entries, those included that have expired but are not evicted yet, and the bytes of
// their keys and values.
func (v View) Stats() (entries int, bytes int64) {
	entries, _ = v.tx.Len()
	return entries, v.p.size
}

// CountExpired returns how many of the entries have expired by now.
func (v View) CountExpired(now kv.Millis) (n int) {
	v.p.expiries.Scan(func(e expiry) bool {
		if e.at > now {
			return false
		}
		n++
		return true
	})
	return n
}

// NextExpiry returns when the next entry expires; 0 if none will.
func (v View) NextExpiry() kv.Millis {
	first, _ := v.p.expiries.Min()
	return first.at
}

func (v View) scan(r kv.Range, filter *expiryFilter) (list []kv.Entry) {
	if r.End == r.Start+"\x00" { // one key: no need to walk the tree
		if e, ok := v.Get(r.Start); ok && filter.keeps(e.ExpireAt) {
			return []kv.Entry{withoutValue(e, r.KeysOnly)}
		}
		return nil
	}
	take := func(key, stored string) bool {
		if filter.keeps(storedExpiry(stored)) {
			list = append(list, withoutValue(decodeStored(key, stored), r.KeysOnly))
		}
		return len(list) < r.Limit
	}
	if !r.Reverse {
		v.tx.AscendRange("", string(r.Start), string(r.End), take)
		return list
	}
	v.tx.DescendLessOrEqual("", string(r.End), func(key, stored string) bool {
		if key == string(r.End) { // exclusive
			return true
		}
		return key >= string(r.Start) && take(key, stored)
	})
	return list
}

func withoutValue(e kv.Entry, yes bool) kv.Entry {
	if yes {
		e.Value.Data = nil
	}
	return e
}

// expiryFilter decides what a read leaves out.
type expiryFilter struct {
	now, logTime kv.Millis
	hidden       kv.Millis // see Snapshot
}

func (f *expiryFilter) keeps(expireAt kv.Millis) bool {
	if !expireAt.Expired(max(f.now, f.logTime)) {
		return true
	}
	if expireAt > f.logTime {
		f.hidden = max(f.hidden, expireAt)
	}
	return false
}
