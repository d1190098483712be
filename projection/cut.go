package projection

import (
	"slices"

	"github.com/millpondkv/millpond/events"
	"github.com/tidwall/btree"
	"github.com/tidwall/buntdb"
)

// cut is the state at one position while it is read out, page by page, as the projection goes on. What is overwritten in
// the part that has not been read yet is put aside first, so reading never holds the lock for longer than a page.
//
// The projection's lock guards next and aside: applying writes them, and so does page, which holds the lock for reading
// and is called by one goroutine only.
type cut struct {
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

// startCut begins a cut at the current position. There may be one at a time; the caller ends it with endCut.
func (p *Projection) startCut() *cut {
	c := &cut{}
	p.entries.Update(func(*buntdb.Tx) error {
		c.chain = p.chain
		c.recent = p.recent
		c.recent.stamps = nil
		p.cut = c
		return nil
	})
	return c
}

func (p *Projection) endCut() {
	p.entries.Update(func(*buntdb.Tx) error { p.cut = nil; return nil })
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
func (p *Projection) page(c *cut, n int) (page []storedEntry) {
	for len(page) == 0 && !c.done {
		p.view(func(tx *buntdb.Tx) { page = c.read(tx, n) })
	}
	return page
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
