// Package projection folds a database's log into the state that reads are answered from.
//
// DESIGN.md beside this file has the one invariant and what follows from it.
package projection

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/internal/fault"
	"github.com/millpondkv/millpond/kv"
	"github.com/tidwall/btree"
	"github.com/tidwall/buntdb"
)

// Projection is the state of one database at a position of its log. The invariant: everything that the lock guards is a
// pure function of the records up to chain.Applied, however they came (from the log, from a checkpoint and the rest of the
// log, or from the sequencer that made them). What has expired by log time counts as gone, even while it is still in the
// tree.
//
// All methods may be called from several goroutines, but only one at a time may apply.
type Projection struct {
	entries atomic.Pointer[buntdb.DB] // in memory: encoded key -> stored value; its lock guards what follows, while it is the one here

	chain    events.Chain
	recent   recentCommits
	expiries *btree.BTreeG[expiry] // one for each entry that has an expiry
	size     int64                 // bytes of all keys and stored values
	folded   int64                 // bytes of the records that this process has applied: no part of the state
	cuts     []*cut                // of the checkpoints and digests that are being taken
	awaited  []*awaitedCut         // of the digests that are to be taken later

	applied waiters
	watches watches
	broken  atomic.Pointer[error] // why nothing can be applied any more; nil if all is well
	foreign func(kv.Position)     // see Options
	options Options
	taking  atomic.Bool // a checkpoint is being taken over
}

// Options bounds what a projection keeps.
type Options struct {
	// The ids of the last commits are kept to recognise a request that comes again: so many, or those of so much log
	// time, whichever are fewer. Every replica of a database must use the same numbers. Zero means a million and ten
	// minutes.
	RecentCommits int
	RecentTime    kv.Millis

	// Foreign is told of each message that was passed over because it is no record (events.KindForeign), by the goroutine
	// that applies; nil: nobody is told.
	Foreign func(at kv.Position)

	// Checkpoint returns the state of a checkpoint of the database, of an undamaged one that was taken at the position least or later,
	// and the newest of those. The projection takes it over when the log does not reach back to where it is, and at the
	// start, when it is empty and there may be a shorter way than the whole log. nil: there are no checkpoints.
	Checkpoint func(ctx context.Context, least kv.Position) (*Projection, error)
}

const (
	defaultRecentCommits = 1_000_000
	defaultRecentTime    = kv.Millis(10 * 60 * 1000)
)

// New returns the projection of an empty log.
func New(o Options) *Projection {
	db, err := buntdb.Open(":memory:")
	if err != nil {
		panic(err) // no file is opened
	}
	p := &Projection{
		expiries: btree.NewBTreeGOptions(expiry.before, btree.Options{NoLocks: true}),
		recent:   newRecentCommits(o),
		foreign:  o.Foreign,
		options:  o,
	}
	p.entries.Store(db)
	if p.foreign == nil {
		p.foreign = func(kv.Position) {}
	}
	p.watches.byKey = map[kv.EncodedKey]map[*Watch]struct{}{}
	return p
}

// ErrClosed is what a projection answers after Close.
var ErrClosed = errors.New("the projection is closed")

// Close frees the memory. Reads and watches that are not done yet fail with ErrClosed; whoever applies must have ended.
func (p *Projection) Close() error { return p.entries.Load().Close() }

// effectsPerHold bounds how many effects are applied, and how many expired entries evicted, under one hold of the lock; a
// single record may have more. At about a microsecond each, readers wait some milliseconds at most.
const effectsPerHold = 1000

// Apply folds records into the state, in their order. The first must be the one after the last that was applied. It fails,
// with an error of events, at the first record that cannot be accepted; those before it are applied then, and all
// later calls fail with the same error for such a record.
//
// The records' memory is not kept.
func (p *Projection) Apply(records ...events.Sealed) error {
	for len(records) > 0 {
		n, effects := 0, 0
		for n < len(records) && (n == 0 || effects < effectsPerHold) {
			effects += records[n].Record.CountEffects()
			n++
		}
		if err := p.applyAtOnce(records[:n]); err != nil {
			return err
		}
		records = records[n:]
	}
	return nil
}

func (p *Projection) applyAtOnce(records []events.Sealed) error {
	if err := p.brokenErr(); err != nil {
		return err
	}
	fault.Point("apply")
	var refused error
	var evicted []kv.EncodedKey
	var foreign []kv.Position
	err := p.entries.Load().Update(func(tx *buntdb.Tx) error {
		f := fold{p: p, tx: tx}
		for _, s := range records {
			counts, err := p.chain.Accept(s)
			if err != nil {
				refused = err
				return f.err
			}
			switch {
			case counts:
				f.record(s)
			case s.Foreign:
				f.foreign = append(f.foreign, s.Position)
			}
			p.folded += int64(s.Size)
			if len(p.awaited) > 0 {
				p.cutAwaited()
			}
		}
		f.evict(effectsPerHold)
		evicted, foreign = f.evicted, f.foreign
		return f.err
	})
	if err != nil { // the tree was rolled back, the rest was not; no cause is known
		err = fmt.Errorf("apply records %d to %d: %w", records[0].Position, records[len(records)-1].Position, err)
		p.broken.Store(&err)
		return err
	}
	evicted = append(evicted, p.evictRest()...)
	p.applied.advance(p.Chain().Applied)
	p.watches.wake(records, evicted)
	for _, at := range foreign {
		p.foreign(at)
	}
	return refused
}

// BeginAfter moves an unbroken projection on to a position after which another log begins: see events.Chain. Nothing may be
// applied meanwhile.
func (p *Projection) BeginAfter(last kv.Position) {
	p.entries.Load().Update(func(*buntdb.Tx) error {
		p.chain = p.chain.BeginAfter(last)
		return nil
	})
	p.applied.advance(last)
}

func (p *Projection) brokenErr() error {
	if err := p.broken.Load(); err != nil {
		return *err
	}
	return nil
}

// evictRest evicts what is left to evict, a batch at a time so that readers come in between. They do not see the
// difference.
func (p *Projection) evictRest() (evicted []kv.EncodedKey) {
	for more := p.evictionDue(); more; more = p.evictionDue() {
		p.entries.Load().Update(func(tx *buntdb.Tx) error {
			f := fold{p: p, tx: tx}
			f.evict(effectsPerHold)
			evicted = append(evicted, f.evicted...)
			return f.err
		})
	}
	return evicted
}

func (p *Projection) evictionDue() (due bool) {
	p.view(func(*buntdb.Tx) {
		first, ok := p.expiries.Min()
		due = ok && first.at <= p.chain.Time
	})
	return due
}

// fold applies under one hold of the lock. After the first error it does nothing.
type fold struct {
	p       *Projection
	tx      *buntdb.Tx
	evicted []kv.EncodedKey
	foreign []kv.Position // messages that are no records
	err     error
}

func (f *fold) record(s events.Sealed) {
	for i := range s.Record.Commits {
		commit := &s.Record.Commits[i]
		stamp := kv.NewVersionstamp(s.Position, uint16(i))
		for j := range commit.Effects {
			f.effect(&commit.Effects[j], stamp)
		}
	}
	f.p.recent.add(s.Position, s.Record)
}

func (f *fold) effect(e *events.Effect, stamp kv.Versionstamp) {
	if e.Delete {
		f.delete(string(e.Key))
		return
	}
	key, stored := encodeStored(e, stamp)
	f.set(key, stored, e.ExpireAt)
}

func (f *fold) set(key, stored string, expireAt kv.Millis) {
	previous, replaced, err := f.tx.Set(key, stored, nil)
	if err != nil {
		f.err = errors.Join(f.err, err)
		return
	}
	f.replaced(key, previous, replaced)
	f.p.size += int64(len(stored))
	if !replaced {
		f.p.size += int64(len(key))
	}
	if expireAt != 0 {
		f.p.expiries.Set(expiry{at: expireAt, key: key})
	}
}

func (f *fold) delete(key string) {
	previous, err := f.tx.Delete(key)
	if errors.Is(err, buntdb.ErrNotFound) {
		return
	}
	if err != nil {
		f.err = errors.Join(f.err, err)
		return
	}
	f.replaced(key, previous, true)
	f.p.size -= int64(len(key))
}

// replaced takes what was stored at key out of the books; existed says whether anything was.
func (f *fold) replaced(key, previous string, existed bool) {
	for _, c := range f.p.cuts {
		c.save(key, previous, existed)
	}
	if !existed {
		return
	}
	f.p.size -= int64(len(previous))
	if at := storedExpiry(previous); at != 0 {
		f.p.expiries.Delete(expiry{at: at, key: key})
	}
}

// evict deletes at most n of the entries that have expired by log time.
func (f *fold) evict(n int) {
	for range n {
		first, ok := f.p.expiries.Min()
		if !ok || first.at > f.p.chain.Time || f.err != nil {
			return
		}
		f.delete(first.key)
		f.evicted = append(f.evicted, kv.EncodedKey(first.key))
	}
}

// expiry is when an entry expires.
type expiry struct {
	at  kv.Millis
	key string
}

func (e expiry) before(other expiry) bool {
	if e.at != other.at {
		return e.at < other.at
	}
	return e.key < other.key
}
