package projection

import (
	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
	"github.com/oklog/ulid/v2"
)

// recentCommits has the ids of the last commits, so that a request that comes again gets its first answer. It is part of
// the folded state: what is in it depends on the log alone.
type recentCommits struct {
	mostCommits int
	mostTime    kv.Millis

	stamps   map[ulid.ULID]kv.Versionstamp
	records  []recentRecord // oldest first; never written to but at its end, so that a checkpoint can read a copy of the slice
	commits  int            // in records
	complete kv.Position    // every commit from this position on is here
}

// recentRecord has the ids of one record's commits; their versionstamps follow from its position and their order.
type recentRecord struct {
	position kv.Position
	time     kv.Millis
	ids      []ulid.ULID // never changed
}

func newRecentCommits(o Options) recentCommits {
	r := recentCommits{mostCommits: o.RecentCommits, mostTime: o.RecentTime, stamps: map[ulid.ULID]kv.Versionstamp{}, complete: 1}
	if r.mostCommits == 0 {
		r.mostCommits = defaultRecentCommits
	}
	if r.mostTime == 0 {
		r.mostTime = defaultRecentTime
	}
	return r
}

func (r *recentCommits) add(p kv.Position, record *events.Record) {
	if len(record.Commits) > 0 {
		ids := make([]ulid.ULID, len(record.Commits))
		for i := range record.Commits {
			ids[i] = record.Commits[i].ID
		}
		r.addRecord(recentRecord{position: p, time: record.Time, ids: ids})
	}
	for r.commits > r.mostCommits || len(r.records) > 0 && r.records[0].time < record.Time-r.mostTime {
		r.dropOldest()
	}
}

func (r *recentCommits) addRecord(record recentRecord) {
	for i, id := range record.ids { // should one come twice, the last counts: so it does not matter when the first is dropped
		r.stamps[id] = kv.NewVersionstamp(record.position, uint16(i))
	}
	r.records = append(r.records, record)
	r.commits += len(record.ids)
}

func (r *recentCommits) dropOldest() {
	oldest := r.records[0]
	for i, id := range oldest.ids {
		if r.stamps[id] == kv.NewVersionstamp(oldest.position, uint16(i)) {
			delete(r.stamps, id)
		}
	}
	r.records = r.records[1:]
	r.commits -= len(oldest.ids)
	r.complete = oldest.position + 1
}

// Recent returns the versionstamp of the commit with that id, if it is among the recent ones. The recent ones include
// every commit at position complete or later: an id that is not found was not committed there.
func (v View) Recent(id ulid.ULID) (stamp kv.Versionstamp, found bool, complete kv.Position) {
	stamp, found = v.p.recent.stamps[id]
	return stamp, found, v.p.recent.complete
}
