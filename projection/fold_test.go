package projection_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
)

// However the records come, one by one, in batches, from the log, or from a checkpoint at any position and the rest: the
// state is the same, and it is that of a map that is written to.
func TestFold(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			h := randomHistory(t, seed, 200, 40)
			reference := apply(t, h.records, 1)
			want := digestOf(t, reference)
			entries, chain := fold(t, h.records)
			same(t, "entries", read(t, reference, 0, all), dumbRead(entries, all, chain.Time))
			for _, batch := range []int{2, 7, 1000} {
				if got := digestOf(t, apply(t, h.records, batch)); got != want {
					t.Errorf("in batches of %d: %v; want %v", batch, got, want)
				}
			}
			p := newProjection(t, projection.Options{})
			if err := p.CatchUp(t.Context(), &h.log, chain.Applied); err != nil {
				t.Fatal(err)
			}
			if got := digestOf(t, p); got != want {
				t.Errorf("from the log: %v; want %v", got, want)
			}
			for at := 0; at <= len(h.records); at += 17 {
				p := checkpoint(t, apply(t, h.records[:at], 5), projection.Options{})
				if err := p.CatchUp(t.Context(), &h.log, chain.Applied); err != nil {
					t.Fatal(err)
				}
				if got := digestOf(t, p); got != want {
					t.Errorf("from a checkpoint at %d: %v; want %v", at, got, want)
				}
			}
		})
	}
}

// Reads return what a map that is sorted and cut returns: forwards and backwards, with limits, with bounds that are keys,
// between keys, equal, empty and beyond all, at any time.
func TestRead(t *testing.T) {
	h := randomHistory(t, 1, 300, 60)
	p := apply(t, h.records, 10)
	entries, chain := fold(t, h.records)
	random := rand.New(rand.NewPCG(1, 1))
	bound := func() kv.EncodedKey {
		k := key("k", random.IntN(60))
		return []kv.EncodedKey{"", "\x00", "\xff", k, k + "\x00", k + "\xff", k[:len(k)-3], k}[random.IntN(8)]
	}
	for range 2000 {
		start, end := bound(), bound()
		if random.IntN(3) == 0 {
			end = start + "\x00"
		}
		r := kv.Range{Start: min(start, end), End: max(start, end), Limit: 1 + random.IntN(60)>>random.IntN(6), Reverse: random.IntN(2) == 0}
		now := chain.Time + kv.Millis(random.IntN(400)-100)
		same(t, fmt.Sprintf("%+v", r), read(t, p, now, r), dumbRead(entries, r, max(now, chain.Time)))
	}
}

// An entry is gone to the millisecond, by the reader's clock and by log time, whichever is later; the reader is told what
// was hidden by its clock only.
func TestExpiry(t *testing.T) {
	h := begin(t)
	h.add(100, commit(set(key("k"), "", 500), set(key("stays"), "", 0)))
	p := apply(t, h.records, 1)
	for _, test := range []struct {
		now    kv.Millis
		want   int
		hidden kv.Millis
	}{{0, 2, 0}, {499, 2, 0}, {500, 1, 500}, {9999, 1, 500}} {
		s, err := p.Read([]kv.Range{all}, test.now)
		if len(s.Entries[0]) != test.want || s.Hidden != test.hidden || err != nil {
			t.Errorf("at %d: %v, hidden %d, %v; want %d entries, %d", test.now, s.Entries, s.Hidden, err, test.want, test.hidden)
		}
	}
	for _, test := range []struct {
		logTime kv.Millis
		want    int
	}{{499, 2}, {500, 1}} {
		if err := p.Apply(h.add(test.logTime)); err != nil {
			t.Fatal(err)
		}
		s, err := p.Read([]kv.Range{all}, 0)
		if len(s.Entries[0]) != test.want || s.Hidden != 0 || err != nil {
			t.Errorf("at log time %d: %v, hidden %d, %v; want %d entries, none hidden", test.logTime, s.Entries, s.Hidden, err, test.want)
		}
	}
}

// When far more expires than is evicted at once, no reader and no checkpoint meanwhile sees any of it, and in the end the
// memory is free.
func TestMuchExpiresAtOnce(t *testing.T) {
	h := begin(t)
	const n = 8000
	var effects []events.Effect
	for i := range n {
		effects = append(effects, set(key("k", i), "value", 500))
	}
	for i := 0; i < n; i += 500 {
		h.add(100, commit(effects[i:i+500]...))
	}
	p := apply(t, h.records, 4)
	last := h.add(500, commit(set(key("new"), "", 0)))
	before, after := digestOf(t, p), digestOf(t, apply(t, h.records, 4))
	done := make(chan error)
	go func() { done <- p.Apply(last) }()
	for running := true; running; {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			running = false
		default:
		}
		s, err := p.Read([]kv.Range{all}, 0)
		if err != nil {
			t.Fatal(err)
		}
		want := map[kv.Position]int{last.Position - 1: n, last.Position: 1}[s.Chain.Applied]
		if got := len(s.Entries[0]); got != want {
			t.Fatalf("at %d: %d entries; want %d", s.Chain.Applied, got, want)
		}
		if got := digestOf(t, p); got != before && got != after {
			t.Fatalf("a checkpoint is %v; want %v or %v", got, before, after)
		}
	}
	p.View(func(v projection.View) {
		if entries, size := v.Stats(); entries != 1 || size > 100 || v.NextExpiry() != 0 {
			t.Errorf("%d entries of %d bytes are left, the next expires at %d; want one that stays", entries, size, v.NextExpiry())
		}
	})
}

// The books of sizes and expiries are right after any history.
func TestStats(t *testing.T) {
	h := randomHistory(t, 3, 400, 30)
	p := apply(t, h.records, 3)
	next, count, size := kv.Millis(0), 0, int64(0)
	for _, e := range read(t, p, 0, all) {
		count++
		size += int64(len(e.Key) + 11 + len(e.Value.Data))
		if e.ExpireAt != 0 {
			size += 8
			if next == 0 || e.ExpireAt < next {
				next = e.ExpireAt
			}
		}
	}
	p.View(func(v projection.View) {
		entries, bytes := v.Stats()
		if entries != count || bytes != size || v.NextExpiry() != next {
			t.Errorf("%d entries of %d bytes, next expiry %d; want %d, %d, %d", entries, bytes, v.NextExpiry(), count, size, next)
		}
	})
}
