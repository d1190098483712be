package history_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/millpondkv/millpond/kv"
)

// at returns what the model held at a moment: it looks at one state after the other.
func (p *past) at(m kv.Moment, now kv.Millis) (entries []kv.Entry, by kv.Millis) {
	last := p.states[0]
	for _, s := range p.states {
		switch {
		case !m.Versionstamp.IsZero():
			if string(s.at[:]) > string(m.Versionstamp[:]) {
				continue
			}
		case m.Time != 0:
			if s.time > m.Time {
				continue
			}
		}
		last = s
	}
	by = max(m.Time, last.time)
	if m == (kv.Moment{}) {
		by = max(now, last.time)
	}
	for _, e := range last.entries {
		if e.ExpireAt == 0 || e.ExpireAt > by {
			entries = append(entries, e)
		}
	}
	return entries, by
}

// moments are all places of the history, some times, and now; those from before the history that is kept are left out.
func (p *past) moments(oldest kv.Versionstamp, time kv.Millis) (list []kv.Moment) {
	for _, s := range p.states {
		if !s.at.Before(oldest) {
			list = append(list, kv.Moment{Versionstamp: s.at})
		}
	}
	for t := max(time, 990); t < p.now+200; t += 19 {
		list = append(list, kv.Moment{Time: t})
	}
	for range 20 {
		m := list[p.random.IntN(len(list))]
		m.Time = p.now + kv.Millis(p.random.IntN(100))
		list = append(list, m)
	}
	return append(list, kv.Moment{})
}

var all = kv.HistoryRead{Kind: kv.HistoryEntries, Start: "\x00", End: "\xff"}

// pasts calls f with random pasts, whole and trimmed, with checkpoints and without, and with where the history that is kept begins.
func pasts(t *testing.T, f func(t *testing.T, p *past, oldest kv.Versionstamp, time kv.Millis)) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			p := randomPast(t, seed, 60)
			oldest, time := p.states[0].at, kv.Millis(0)
			if seed%4 > 0 {
				for _, at := range []kv.Position{17, 30, 31} {
					p.checkpoint(at)
				}
			}
			if seed%4 > 1 {
				p.first = 18 - kv.Position(seed%4-2)*5
				oldest, time = kv.NewVersionstamp(17, 65535), p.kept[0].Time
			}
			f(t, p, oldest, time)
		})
	}
}

// At every moment, however it is named, the entries are those of the model, forwards and backwards, in one pass and in many; and the
// moment that is answered means the same.
func TestEntries(t *testing.T) {
	pasts(t, func(t *testing.T, p *past, oldest kv.Versionstamp, time kv.Millis) {
		for i, m := range p.moments(oldest, time) {
			now := p.now + 150
			want, by := p.at(m, now)
			read := all
			read.To, read.Reverse = m, i%2 == 1
			if read.Reverse {
				slices.Reverse(want)
			}
			got := p.ask(read, now, []int{1 << 20, 600, 1}[i%3])
			same(t, fmt.Sprintf("at %v", m), got.Entries, want)
			if got.To.Time != by {
				t.Errorf("at %v: answered for %v, want the time %v", m, got.To, by)
			}
			read.To = got.To
			same(t, fmt.Sprintf("again at %v", m), p.ask(read, now+1000, 1<<20), got)
		}
	})
}

// Ranges, keys and limits select as they do in the present; a limit stops in the middle of a pass, or of several.
func TestSelection(t *testing.T) {
	pasts(t, func(t *testing.T, p *past, oldest kv.Versionstamp, time kv.Millis) {
		everything := p.ask(all, p.now, 1<<20).Entries
		for i, e := range everything {
			read := all
			read.Start, read.Limit = e.Key, 2
			same(t, "two from a key on", p.ask(read, p.now, 300*(i%2)+1).Entries, everything[i:min(i+2, len(everything))])
			read = all
			read.Keys = []kv.EncodedKey{e.Key, everything[0].Key, "\x02not there\x00"}
			want := []kv.Entry{everything[0]}
			if i > 0 {
				want = append(want, e)
			}
			read.Start, read.End = "", ""
			same(t, "keys", p.ask(read, p.now, 1).Entries, want)
		}
	})
}

// The versions of a key are what the model has done to it, from the log's beginning, or from what the oldest checkpoint has; behind any of
// them, and up to any moment, are the others.
func TestVersions(t *testing.T) {
	pasts(t, func(t *testing.T, p *past, oldest kv.Versionstamp, time kv.Millis) {
		for key, changes := range p.changes {
			want := p.versions(key, oldest, time, expired(changes, p.now))
			read := kv.HistoryRead{Kind: kv.HistoryVersions, Keys: []kv.EncodedKey{key}}
			same(t, fmt.Sprintf("of %v", key), p.ask(read, p.now, 1).Versions, want)
			for i, v := range want {
				read.After = v.Versionstamp
				rest := want[i+1:]
				if v.State == kv.VersionExpired {
					rest = want[i:] // it ends the version that is named
				}
				same(t, fmt.Sprintf("of %v after %v", key, v), p.ask(read, p.now, 1).Versions, rest)
			}
			for _, m := range some(p, p.moments(oldest, time), 12) {
				var until []kv.Version
				_, by := p.at(m, p.now)
				for _, v := range changes {
					if m.Includes(v.Versionstamp, v.Time) && v.State != kv.VersionExpired {
						until = append(expired(until, v.Time), v)
					}
				}
				read := kv.HistoryRead{Kind: kv.HistoryVersions, Keys: []kv.EncodedKey{key}, To: m}
				same(t, fmt.Sprintf("of %v until %v", key, m), p.ask(read, p.now, 1).Versions, p.versions(key, oldest, time, expired(until, by)))
			}
		}
	})
}

func some(p *past, list []kv.Moment, n int) []kv.Moment {
	p.random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list[:n]
}

// versions leaves out what happened before the history that is kept, but for the value that was there at its beginning.
func (p *past) versions(key kv.EncodedKey, oldest kv.Versionstamp, time kv.Millis, list []kv.Version) (kept []kv.Version) {
	for i, v := range list {
		before := !oldest.Before(v.Versionstamp) && oldest.Position() > 0
		switch {
		case v.State == kv.VersionExpired && before && v.Time <= time:
		case before && v.State == kv.VersionSet:
			last := i == len(list)-1 || oldest.Before(list[i+1].Versionstamp) || list[i+1].State == kv.VersionExpired && list[i+1].Time > time
			if last {
				v.Time = 0
				kept = append(kept, v)
			}
		case !before || v.State == kv.VersionExpired:
			kept = append(kept, v)
		}
	}
	return kept
}

// The differences between any two moments are those of the model's states.
func TestDifferences(t *testing.T) {
	pasts(t, func(t *testing.T, p *past, oldest kv.Versionstamp, time kv.Millis) {
		moments := p.moments(oldest, time)
		for i := range 120 {
			from, to := moments[p.random.IntN(len(moments))], moments[p.random.IntN(len(moments))]
			before, _ := p.at(from, p.now)
			after, _ := p.at(to, p.now)
			read := kv.HistoryRead{Kind: kv.HistoryDifferences, From: from, To: to, Start: all.Start, End: all.End}
			r, err := p.database().Read(read, kv.Position(len(p.messages)), p.now+300)
			if err != nil {
				t.Fatal(err)
			}
			got, err := readAll(t, r)
			if err != nil {
				if !strings.Contains(err.Error(), "lies after the second one") || !p.after(from, to) {
					t.Fatalf("from %v to %v: %v", from, to, err)
				}
				continue
			}
			if p.after(from, to) {
				t.Fatalf("from %v to %v: no error, though the first is the later one", from, to)
			}
			if to == (kv.Moment{}) {
				after, _ = p.at(to, p.now+300)
			}
			if from == (kv.Moment{}) {
				before, _ = p.at(from, p.now+300)
			}
			same(t, fmt.Sprintf("from %v to %v", from, to), got.Differences, differences(before, after))
			read.From, read.To = got.From, got.To
			same(t, "again, in many passes", p.ask(read, p.now+300, 1+i%400), got)
		}
	})
}

// after reports whether something is before a, and not before b. The last commit of a record and the record's end are one moment.
func (p *past) after(a, b kv.Moment) bool {
	return slices.ContainsFunc(p.states, func(s state) bool {
		end := s.at.Index() == 65535 && s.at.Position() == b.Versionstamp.Position()
		return !end && a.Includes(s.at, s.time) && !b.Includes(s.at, s.time)
	})
}

func differences(before, after []kv.Entry) (list []kv.Difference) {
	both := map[kv.EncodedKey]kv.Difference{}
	for _, e := range before {
		both[e.Key] = kv.Difference{Key: e.Key, Before: e}
	}
	for _, e := range after {
		d := both[e.Key]
		d.Key, d.After = e.Key, e
		both[e.Key] = d
	}
	for _, d := range both {
		a, b := d.Before, d.After
		a.Versionstamp, b.Versionstamp = kv.Versionstamp{}, kv.Versionstamp{}
		if d.Before.Exists() != d.After.Exists() || fmt.Sprint(a) != fmt.Sprint(b) {
			list = append(list, d)
		}
	}
	slices.SortFunc(list, func(a, b kv.Difference) int { return strings.Compare(string(a.Key), string(b.Key)) })
	return list
}
