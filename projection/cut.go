package projection

import (
	"context"
	"slices"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
	"github.com/tidwall/btree"
	"github.com/tidwall/buntdb"
)

// cut is the state at one position while it is read out, page by page, as the projection goes on. What is overwritten in
// the part that has not been read yet is put aside first, so reading never holds the lock for longer than a page.
//
// The projection's lock guards next and aside: applying writes them, and so does page, which holds the lock for reading
// and is called by one goroutine only.
type cut struct {
	of     *buntdb.DB
	chain  events.Chain
	recent recentCommits // its records, which never change in place, without the index

	next  string // keys before this one have been read; all keys if done
	done  bool
	aside btree.Map[string, setAside] // what keys from next on were at the cut, if they have changed since
}

// setAside is a stored value, or the fact that there was none.
type setAside struct {
	stored  string
	existed bool
}

type storedEntry struct{ key, stored string }

// startCut begins a cut at the current position; the caller ends it with endCut. There may be several at once, each of its own
// position.
func (p *Projection) startCut() (c *cut, err error) {
	err = p.update(func() { c = p.cutHere() })
	return c, err
}

// cutHere begins a cut under the lock. Whether what has expired by now is still in the tree makes no difference to it.
func (p *Projection) cutHere() *cut {
	c := &cut{of: p.entries.Load(), chain: p.chain, recent: p.recent}
	c.recent.stamps = nil
	p.cuts = append(p.cuts, c)
	return c
}

func (p *Projection) endCut(c *cut) {
	p.update(func() { p.cuts = slices.DeleteFunc(p.cuts, func(other *cut) bool { return other == c }) })
}

// awaitedCut is a cut at a position that has not been reached yet. The applying goroutine begins it between two records.
type awaitedCut struct {
	at    kv.Position
	begun chan *cut // has room for it
}

// cutAt waits until position at has been applied and begins a cut there; the caller ends it with endCut. It fails with
// ErrPassed, ErrClosed, or when ctx ends.
func (p *Projection) cutAt(ctx context.Context, at kv.Position) (*cut, error) {
	a := &awaitedCut{at: at, begun: make(chan *cut, 1)}
	passed := false
	err := p.update(func() {
		switch applied := p.chain.Applied; {
		case applied > at:
			passed = true
		case applied == at:
			a.begun <- p.cutHere()
		default:
			p.awaited = append(p.awaited, a)
		}
	})
	switch {
	case err != nil:
		return nil, err
	case passed:
		return nil, ErrPassed
	}
	select {
	case c, ok := <-a.begun:
		if !ok {
			return nil, ErrPassed
		}
		return c, nil
	case <-ctx.Done():
	}
	p.update(func() { p.awaited = slices.DeleteFunc(p.awaited, func(other *awaitedCut) bool { return other == a }) })
	select {
	case c, ok := <-a.begun: // just before it was taken back
		if ok {
			p.endCut(c)
		}
	default:
	}
	return nil, ctx.Err()
}

// cutAwaited begins, under the lock, the cuts of the position that was just reached.
func (p *Projection) cutAwaited() {
	p.awaited = slices.DeleteFunc(p.awaited, func(a *awaitedCut) bool {
		if a.at != p.chain.Applied {
			return false
		}
		a.begun <- p.cutHere()
		return true
	})
}

// save puts aside what was stored at key before it changes.
func (c *cut) save(key, stored string, existed bool) {
	if c.done || key < c.next {
		return
	}
	if _, already := c.aside.Get(key); !already {
		c.aside.Set(key, setAside{stored: stored, existed: existed})
	}
}

// page returns the next entries of the cut in the order of keys, after looking at up to n stored ones; none at the end.
// Entries that had expired by the log time of the cut are left out.
// It fails with ErrClosed and ErrReplaced only.
func (p *Projection) page(c *cut, n int) (page []storedEntry, err error) {
	for len(page) == 0 && !c.done && err == nil {
		replaced := false
		err = p.view(func(tx *buntdb.Tx) {
			if replaced = p.entries.Load() != c.of; !replaced {
				page = c.read(tx, n)
			}
		})
		if replaced {
			err = ErrReplaced
		}
	}
	return page, err
}

func (c *cut) read(tx *buntdb.Tx, n int) (page []storedEntry) {
	looked, end := 0, ""
	tx.AscendGreaterOrEqual("", c.next, func(key, stored string) bool {
		looked++
		end = key + "\x00"
		if _, changed := c.aside.Get(key); !changed {
			page = append(page, storedEntry{key, stored})
		}
		return looked < n
	})
	c.done = looked < n
	var restored []string
	c.aside.Ascend(c.next, func(key string, old setAside) bool {
		if !c.done && key >= end {
			return false
		}
		if old.existed {
			page = append(page, storedEntry{key, old.stored})
		}
		restored = append(restored, key)
		return true
	})
	for _, key := range restored {
		c.aside.Delete(key)
	}
	c.next = end
	slices.SortFunc(page, func(a, b storedEntry) int { return compare(a.key, b.key) })
	return slices.DeleteFunc(page, func(e storedEntry) bool {
		return storedExpiry(e.stored).Expired(c.chain.Time)
	})
}
