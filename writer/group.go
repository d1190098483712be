package writer

import (
	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
)

// group is the record that is being made: requests are decided one after the other, each on the state that those before
// it leave. It is pure: what it decides depends on its fields and the requests alone.
type group struct {
	view     projection.View // the state before the record
	position kv.Position     // where the record will stand
	now      kv.Millis       // its log time
	commits  []events.Commit
	size     int                         // upper bound of the encoded record
	overlay  map[kv.EncodedKey]*kv.Entry // what the commits so far have changed; nil: deleted
}

func newGroup(view projection.View, now kv.Millis) *group {
	return &group{
		view:     view,
		position: view.Chain().Applied + 1,
		now:      now,
		size:     (&events.Record{}).EncodedSize(),
		overlay:  map[kv.EncodedKey]*kv.Entry{},
	}
}

// get returns the entry at key as the next request of the group finds it.
func (g *group) get(key kv.EncodedKey) (kv.Entry, bool) {
	if e, ok := g.overlay[key]; ok {
		if e == nil || e.ExpireAt.Expired(g.now) {
			return kv.Entry{Key: key}, false
		}
		return *e, true
	}
	e, ok := g.view.Get(key)
	return e, ok && !e.ExpireAt.Expired(g.now)
}

// add decides a request and sets its answer, unless the record has no room for it: then it reports false, and the group is
// as it was.
func (g *group) add(r *request) (fits bool) {
	if len(g.commits) == events.MaxCommits {
		return false
	}
	if answered := g.answerRepeat(r); answered {
		return true
	}
	stamp := kv.NewVersionstamp(g.position, uint16(len(g.commits)))
	effects, failed, err := decide(g, r.atomic, g.now, stamp)
	if err != nil || failed != nil {
		r.answer = answer{result: kv.CommitResult{FailedChecks: failed}, err: err}
		return true
	}
	commit := events.Commit{ID: r.id, Effects: effects, Enqueues: r.atomic.Enqueues}
	size := commit.EncodedSize()
	if g.size+size > events.MaxRecordSize {
		if len(g.commits) > 0 {
			return false
		}
		r.answer = answer{err: kv.Invalidf("the atomic write changes %d bytes with the results of its sums; a record of the log has room for %d", size, events.MaxRecordSize)}
		return true
	}
	g.commit(commit, stamp)
	g.size += size
	r.answer = answer{result: kv.CommitResult{Versionstamp: stamp}}
	return true
}

func (g *group) commit(c events.Commit, stamp kv.Versionstamp) {
	g.commits = append(g.commits, c)
	for i := range c.Effects {
		e := &c.Effects[i]
		if e.Delete {
			g.overlay[e.Key] = nil
			continue
		}
		g.overlay[e.Key] = &kv.Entry{Key: e.Key, Value: e.Value, Versionstamp: stamp, ExpireAt: e.ExpireAt}
	}
}

// answerRepeat answers a request that says it was sent before: with its first answer if it was committed then, or that
// this cannot be known any more. If it certainly was not committed it is to be decided like a new one.
func (g *group) answerRepeat(r *request) (answered bool) {
	if !r.repeat {
		return false
	}
	for i := range g.commits { // the first try may be in this very group
		if g.commits[i].ID == r.id {
			r.answer = answer{result: kv.CommitResult{Versionstamp: kv.NewVersionstamp(g.position, uint16(i))}}
			return true
		}
	}
	switch stamp, found, complete := g.view.Recent(r.id); {
	case found:
		r.answer = answer{result: kv.CommitResult{Versionstamp: stamp}}
		return true
	case complete > r.seen+1:
		r.answer = answer{err: errUnknownOutcome}
		return true
	}
	return false
}
