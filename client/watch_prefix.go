package client

import (
	"bytes"
	"cmp"
	"container/heap"
	"context"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/millpondkv/millpond/kv"
)

// WatchPrefix yields the entries whose keys begin with the parts of prefix and have more of them, in the order of their keys: at
// first all that are there, maybe none, and then each time those that have changed; one that was deleted or has expired is absent
// (see Exists). Together they are always the state after some commit, never half of one. Changes that come faster than they are taken
// become one.
//
// All entries are listed and yielded at once, so they must fit into memory. Entries expire by this machine's clock.
//
// It ends when the loop is left, or with an error, as Watch does. It needs a nats:// URL or an embedded database: over HTTP it is
// kv.ErrInvalid.
func (db *DB) WatchPrefix(ctx context.Context, prefix kv.Key) iter.Seq2[[]RawEntry, error] {
	return func(yield func([]RawEntry, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		w := &prefixWatch{db: db, prefix: prefix, wake: make(chan struct{}, 1), changed: map[kv.EncodedKey]kv.Entry{}}
		feed, err := w.list(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		ctx, done, err := db.begin(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		defer done()
		following := sync.WaitGroup{}
		defer following.Wait()
		following.Go(func() { w.follow(ctx, feed) })
		defer cancel()
		w.run(ctx, yield)
	}
}

// WatchPrefix is WatchPrefix of db with the values as Ts. Entries of which one cannot be read as a T come with an error, and the watch
// can go on; any other error, which comes without entries, ends it.
func WatchPrefix[T any](ctx context.Context, db *DB, prefix kv.Key) iter.Seq2[[]Entry[T], error] {
	return func(yield func([]Entry[T], error) bool) {
		for raw, err := range db.WatchPrefix(ctx, prefix) {
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

// prefixWatch is a list, and the feed of what has changed since it was begun. The list is read in batches of several moments; the
// feed makes one of them, that after which the list was done.
type prefixWatch struct {
	db     *DB
	prefix kv.Key
	listed kv.Versionstamp // the feed makes the list whole when it has come through here
	wake   chan struct{}   // has room for one; filled when what follows has changed

	mu      sync.Mutex
	changed map[kv.EncodedKey]kv.Entry // what has not been shown; absent ones too
	whole   bool                       // it is a state after some commit
	failed  error                      // why nothing follows

	shown    bool // the first time has been
	expiries expiries
}

// list reads all entries, and returns the feed that goes on from before them.
func (w *prefixWatch) list(ctx context.Context) (feed kv.Feed, err error) {
	r, err := Selector{Prefix: w.prefix}.first()
	if err != nil {
		return feed, err
	}
	feed = kv.Feed{Start: r.Start, End: r.End}
	if feed.After, err = w.db.Latest(ctx); err != nil {
		return feed, err
	}
	for e, err := range w.db.WithConsistency(Strong).scan(ctx, r, 0) {
		if err != nil {
			return feed, err
		}
		w.changed[e.Key] = e
	}
	w.listed, err = w.db.Latest(ctx)
	return feed, err
}

// follow merges what the feed brings.
func (w *prefixWatch) follow(ctx context.Context, feed kv.Feed) {
	for changes, err := range w.db.transport.Feed(ctx, feed) {
		w.mu.Lock()
		if err != nil {
			w.failed = err
		} else {
			w.merge(&changes)
			w.whole = w.whole || !changes.Through.Before(w.listed)
		}
		w.mu.Unlock()
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

func (w *prefixWatch) merge(changes *kv.Changes) {
	for i := range changes.Commits {
		commit := &changes.Commits[i]
		for j := range commit.Effects {
			e := entryOf(commit, j)
			if listed, ok := w.changed[e.Key]; ok && commit.Versionstamp.Before(listed.Versionstamp) {
				continue // the list was read after that commit
			}
			e.Value.Data = bytes.Clone(e.Value.Data)
			w.changed[e.Key] = e
		}
	}
}

// run shows what has changed, until the loop is left or something fails.
func (w *prefixWatch) run(ctx context.Context, yield func([]RawEntry, error) bool) {
	for {
		entries, next, err := w.take()
		if err == nil && entries == nil {
			if !w.wait(ctx, next) {
				yield(nil, context.Cause(ctx))
				return
			}
			continue
		}
		if !yield(entries, err) || err != nil {
			return
		}
	}
}

// take returns what is to be shown, nil if nothing is, and when the next entry expires; 0: none.
func (w *prefixWatch) take() (entries []RawEntry, next kv.Millis, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.whole {
		return nil, 0, w.failed
	}
	now := kv.MillisOf(w.db.now())
	for _, key := range w.expiries.passed(now) {
		if _, newer := w.changed[key]; !newer {
			w.changed[key] = kv.Entry{Key: key}
		}
	}
	next = w.expiries.first()
	if len(w.changed) == 0 && w.shown {
		return nil, next, w.failed
	}
	for key, e := range w.changed {
		if e.ExpireAt.Expired(now) {
			e = kv.Entry{Key: key}
		}
		w.expiries.set(key, e.ExpireAt)
		if !w.shown && e.Versionstamp.IsZero() {
			continue // deleted while the list was read
		}
		entry, err := fromKV(e)
		if err != nil {
			return nil, 0, err
		}
		entries = append(entries, entry)
	}
	slices.SortFunc(entries, func(a, b RawEntry) int { return cmp.Compare(a.Key.MustEncode(), b.Key.MustEncode()) })
	if entries == nil {
		entries = []RawEntry{}
	}
	clear(w.changed)
	w.shown = true
	return entries, 0, nil
}

// wait reports whether there is something to look at; if not, ctx has ended.
func (w *prefixWatch) wait(ctx context.Context, next kv.Millis) bool {
	var expired <-chan time.Time
	if next != 0 {
		timer := time.NewTimer(next.Until(kv.MillisOf(w.db.now())))
		defer timer.Stop()
		expired = timer.C
	}
	select {
	case <-w.wake:
	case <-expired:
	case <-ctx.Done():
		return false
	}
	return true
}

// expiries knows when the entries that were shown expire. Of an entry that was written again the old time stays in the heap until it
// comes to the top.
type expiries struct {
	byKey map[kv.EncodedKey]kv.Millis
	heap  expiryHeap
}

type expiry struct {
	at  kv.Millis
	key kv.EncodedKey
}

// set notes when the entry of key expires; 0: never.
func (x *expiries) set(key kv.EncodedKey, at kv.Millis) {
	if at == 0 {
		delete(x.byKey, key)
		return
	}
	if x.byKey == nil {
		x.byKey = map[kv.EncodedKey]kv.Millis{}
	}
	if x.byKey[key] != at {
		x.byKey[key] = at
		heap.Push(&x.heap, expiry{at, key})
	}
}

// first returns when the next entry expires; 0: none does.
func (x *expiries) first() kv.Millis {
	for len(x.heap) > 0 && x.byKey[x.heap[0].key] != x.heap[0].at {
		heap.Pop(&x.heap)
	}
	if len(x.heap) == 0 {
		return 0
	}
	return x.heap[0].at
}

// passed forgets the entries that have expired, and returns their keys.
func (x *expiries) passed(now kv.Millis) (keys []kv.EncodedKey) {
	for first := x.first(); first.Expired(now); first = x.first() {
		e := heap.Pop(&x.heap).(expiry)
		delete(x.byKey, e.key)
		keys = append(keys, e.key)
	}
	return keys
}

// expiryHeap has the first expiry on top.
type expiryHeap []expiry

func (h expiryHeap) Len() int           { return len(h) }
func (h expiryHeap) Less(i, j int) bool { return h[i].at < h[j].at }
func (h expiryHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *expiryHeap) Push(x any)        { *h = append(*h, x.(expiry)) }
func (h *expiryHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
