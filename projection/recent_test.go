package projection_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
	"github.com/oklog/ulid/v2"
)

// The table of recent commits has the ids of all commits from a position on, and that position moves as little as its
// bounds of count and log time allow. A checkpoint keeps it.
func TestRecentCommits(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 3))
			o := projection.Options{RecentCommits: 1 + random.IntN(30), RecentTime: kv.Millis(1 + random.IntN(300))}
			h := randomHistory(t, seed, 120, 5)
			p := newProjection(t, o)
			for i, s := range h.records {
				if random.IntN(10) == 0 {
					p = checkpoint(t, p, o)
				}
				if err := p.Apply(s); err != nil {
					t.Fatal(err)
				}
				recentIs(t, p, h.records[:i+1], o)
			}
		})
	}
}

// recentIs holds the table to what the records say.
func recentIs(t *testing.T, p *projection.Projection, records []events.Sealed, o projection.Options) {
	t.Helper()
	var counted []events.Sealed
	chain := events.Chain{}
	for _, s := range records {
		if counts, _ := chain.Accept(s); counts {
			counted = append(counted, s)
		}
	}
	stamps, left, complete := map[ulid.ULID]kv.Versionstamp{}, o.RecentCommits, kv.Position(1)
	for i := len(counted) - 1; i >= 0; i-- {
		s := counted[i]
		left -= len(s.Record.Commits)
		if len(s.Record.Commits) > 0 && (left < 0 || s.Record.Time < chain.Time-o.RecentTime) {
			complete = s.Position + 1
			break
		}
		for j, c := range s.Record.Commits {
			stamps[c.ID] = kv.NewVersionstamp(s.Position, uint16(j))
		}
	}
	p.View(func(v projection.View) {
		for _, s := range counted {
			for _, c := range s.Record.Commits {
				got, found, from := v.Recent(c.ID)
				if want, kept := stamps[c.ID]; got != want || found != kept || from != complete {
					t.Fatalf("at %d the commit of %d is %v, %v, complete from %d; want %v, %v, %d",
						chain.Applied, s.Position, got, found, from, want, kept, complete)
				}
			}
		}
	})
}

// Should an id come twice, the table still does not depend on checkpoints.
func TestRecentTwice(t *testing.T) {
	o := projection.Options{RecentCommits: 3}
	id := ulid.ULID{7}
	h := begin(t)
	h.add(1, events.Commit{ID: id})
	h.add(1, events.Commit{ID: ulid.ULID{1}})
	second := h.add(1, events.Commit{ID: id})
	for i := range byte(2) {
		h.add(1, events.Commit{ID: ulid.ULID{2 + i}})
	}
	for at := range h.records {
		p := newProjection(t, o)
		if err := p.Apply(h.records[:at]...); err != nil {
			t.Fatal(err)
		}
		p = checkpoint(t, p, o)
		if err := p.Apply(h.records[at:]...); err != nil {
			t.Fatal(err)
		}
		p.View(func(v projection.View) {
			if got, found, _ := v.Recent(id); !found || got.Position() != second.Position {
				t.Errorf("with a checkpoint at %d: %v, %v; want position %d", at, got, found, second.Position)
			}
		})
	}
}
