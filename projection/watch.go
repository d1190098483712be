package projection

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
)

// Watch reports changes of some keys. It is for one goroutine.
type Watch struct {
	p          *Projection
	keys       []kv.EncodedKey
	ranges     []kv.Range
	now        func() kv.Millis
	changed    chan struct{} // has room for one: changes that nobody has taken yet become one
	touched    atomic.Uint64 // position of the last record that touched a key
	shown      events.Chain  // of the snapshot that Next returned last; zero at first
	nextExpiry kv.Millis     // the first among the entries that Next returned last; 0: none
	passed     kv.Millis     // the latest expiry that has been reported: no entry comes back if the clock does not follow
}

// Watch returns a watch of the given keys, with now as the clock by which entries expire. It must be closed.
func (p *Projection) Watch(keys []kv.EncodedKey, now func() kv.Millis) *Watch {
	w := &Watch{p: p, keys: keys, now: now, changed: make(chan struct{}, 1)}
	for _, key := range keys {
		w.ranges = append(w.ranges, kv.Range{Start: key, End: key + "\x00", Limit: 1})
	}
	w.changed <- struct{}{} // for the first call of Next; put there before anybody else can fill the room
	p.watches.add(w)
	return w
}

// Next blocks until one of the keys may have changed since the last call, at first not at all, and returns the entries of
// all keys, in their order and from one snapshot. When ctx ends it returns ctx.Err(), and the next call loses nothing. After
// the projection's Close it returns ErrClosed.
func (w *Watch) Next(ctx context.Context) ([]kv.Entry, error) {
	var expired <-chan time.Time
	if w.nextExpiry != 0 {
		timer := time.NewTimer(w.nextExpiry.Until(w.now()))
		defer timer.Stop()
		expired = timer.C
	}
	for {
		select {
		case <-w.changed:
			if w.isShown() {
				continue
			}
		case <-expired:
			w.passed = w.nextExpiry
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		return w.read()
	}
}

// Shown returns the position of the snapshot that Next returned last.
func (w *Watch) Shown() kv.Position { return w.shown.Applied }

// isShown reports whether the last snapshot has all that has happened to the keys. A record wakes once for each of them, and
// the snapshot may have been read before the waking.
func (w *Watch) isShown() bool {
	if w.shown == (events.Chain{}) {
		return false
	}
	evicted := w.nextExpiry != 0 && w.nextExpiry <= w.p.Chain().Time
	return !evicted && kv.Position(w.touched.Load()) <= w.shown.Applied
}

func (w *Watch) read() ([]kv.Entry, error) {
	snapshot, err := w.p.Read(w.ranges, max(w.now(), w.passed))
	if err != nil {
		return nil, err
	}
	w.shown, w.nextExpiry = snapshot.Chain, 0
	list := make([]kv.Entry, len(w.keys))
	for i, key := range w.keys {
		if len(snapshot.Entries[i]) == 0 {
			list[i] = kv.Entry{Key: key}
			continue
		}
		list[i] = snapshot.Entries[i][0]
		if at := list[i].ExpireAt; at != 0 && (w.nextExpiry == 0 || at < w.nextExpiry) {
			w.nextExpiry = at
		}
	}
	return list, nil
}

// Close ends the watch.
func (w *Watch) Close() { w.p.watches.remove(w) }

// watches finds the watches of a key.
type watches struct {
	mu    sync.Mutex
	byKey map[kv.EncodedKey]map[*Watch]struct{}
}

func (ws *watches) add(w *Watch) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for _, key := range w.keys {
		if ws.byKey[key] == nil {
			ws.byKey[key] = map[*Watch]struct{}{}
		}
		ws.byKey[key][w] = struct{}{}
	}
}

func (ws *watches) remove(w *Watch) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for _, key := range w.keys {
		delete(ws.byKey[key], w)
		if len(ws.byKey[key]) == 0 {
			delete(ws.byKey, key)
		}
	}
}

// wake tells the watches of all keys that changed. It never blocks. A record that is void wakes too, which does no harm.
func (ws *watches) wake(records []events.Sealed, evicted []kv.EncodedKey) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if len(ws.byKey) == 0 {
		return
	}
	for _, s := range records {
		for i := range s.Record.Commits {
			for j := range s.Record.Commits[i].Effects {
				ws.wakeKey(s.Record.Commits[i].Effects[j].Key, s.Position)
			}
		}
	}
	for _, key := range evicted {
		ws.wakeKey(key, 0)
	}
}

// wakeAll wakes every watch: anything may have changed up to that position.
func (ws *watches) wakeAll(at kv.Position) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for key := range ws.byKey {
		ws.wakeKey(key, at)
	}
}

// wakeKey wakes the watches of a key that the record at that position has touched, or that was evicted.
func (ws *watches) wakeKey(key kv.EncodedKey, at kv.Position) {
	for w := range ws.byKey[key] {
		if at != 0 {
			w.touched.Store(uint64(at))
		}
		select {
		case w.changed <- struct{}{}:
		default:
		}
	}
}
