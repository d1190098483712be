package projection_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
	"github.com/oklog/ulid/v2"
)

// history is a log that a test makes by hand, with the records as they count.
type history struct {
	t       *testing.T
	log     events.MemoryLog
	chain   events.Chain
	records []events.Sealed
}

// add appends a record of the current epoch at log time now.
func (h *history) add(now kv.Millis, commits ...events.Commit) events.Sealed {
	h.t.Helper()
	return h.seal(&events.Record{Kind: events.KindCommits, Epoch: h.chain.Epoch, Previous: h.chain.Hash, Time: now, Commits: commits})
}

func (h *history) epoch(now kv.Millis) events.Sealed {
	h.t.Helper()
	return h.seal(&events.Record{Kind: events.KindEpoch, Epoch: h.chain.Epoch, Previous: h.chain.Hash, Time: now, Writer: ulid.ULID{1}})
}

func (h *history) seal(r *events.Record) events.Sealed {
	h.t.Helper()
	last, epoch := h.chain.Applied, h.chain.Epoch
	s, data := events.Seal(last+1, r)
	if _, err := h.chain.Accept(s); err != nil {
		h.t.Fatal(err)
	}
	if _, err := h.log.Append(h.t.Context(), events.Append{Kind: r.Kind, Data: data, Last: last, Epoch: epoch}); err != nil {
		h.t.Fatal(err)
	}
	h.records = append(h.records, s)
	return s
}

func begin(t *testing.T) *history {
	h := &history{t: t}
	h.epoch(1)
	return h
}

func commit(effects ...events.Effect) events.Commit {
	return events.Commit{Effects: effects}
}

func set(k kv.EncodedKey, value string, expireAt kv.Millis) events.Effect {
	return events.Effect{Key: k, Value: kv.Value{Encoding: kv.EncodingBytes, Data: []byte(value)}, ExpireAt: expireAt}
}

func del(k kv.EncodedKey) events.Effect { return events.Effect{Key: k, Delete: true} }

func key(parts ...any) kv.EncodedKey { return kv.Key(parts).MustEncode() }

// randomHistory has n records on so many keys: commits of all kinds of effects, empty ones, epochs, and void ones.
func randomHistory(t *testing.T, seed uint64, n, keys int) *history {
	random := rand.New(rand.NewPCG(seed, 0))
	h := begin(t)
	now := kv.Millis(1000)
	old := h.chain
	for range n {
		now += kv.Millis(random.IntN(20))
		switch random.IntN(20) {
		case 0:
			old = h.chain
			h.epoch(now)
			continue
		case 1:
			if old.Epoch != h.chain.Epoch {
				r := &events.Record{Kind: events.KindCommits, Epoch: old.Epoch, Previous: old.Hash, Time: now + 10_000}
				r.Commits = randomCommits(random, now, keys)
				h.seal(r)
				continue
			}
		case 2:
			now += kv.Millis(random.IntN(500)) // much expires at once
		}
		h.add(now, randomCommits(random, now, keys)...)
	}
	return h
}

func randomCommits(random *rand.Rand, now kv.Millis, keys int) (commits []events.Commit) {
	for range random.IntN(4) {
		c := events.Commit{}
		for i := range 8 {
			c.ID[i] = byte(random.Uint32())
		}
		chosen := map[kv.EncodedKey]bool{}
		for range random.IntN(6) {
			k := key("k", random.IntN(keys))
			if chosen[k] {
				continue
			}
			chosen[k] = true
			c.Effects = append(c.Effects, randomEffect(random, k, now))
		}
		commits = append(commits, c)
	}
	return commits
}

func randomEffect(random *rand.Rand, k kv.EncodedKey, now kv.Millis) events.Effect {
	switch random.IntN(6) {
	case 0, 1:
		return del(k)
	case 2, 3:
		return set(k, fmt.Sprint(random.Uint32()), max(1, now+kv.Millis(random.IntN(300)-20)))
	}
	return set(k, fmt.Sprint(random.Uint32()), 0)
}

// fold is the dumb thing: the entries after the records, by key.
func fold(t *testing.T, records []events.Sealed) (map[kv.EncodedKey]kv.Entry, events.Chain) {
	t.Helper()
	entries, chain := map[kv.EncodedKey]kv.Entry{}, events.Chain{}
	for _, s := range records {
		counts, err := chain.Accept(s)
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range s.Record.Commits {
			for _, e := range c.Effects {
				switch {
				case !counts:
				case e.Delete:
					delete(entries, e.Key)
				default:
					entries[e.Key] = kv.Entry{Key: e.Key, Value: e.Value, ExpireAt: e.ExpireAt, Versionstamp: kv.NewVersionstamp(s.Position, uint16(i))}
				}
			}
		}
	}
	return entries, chain
}

// dumbRead is what a read of the folded records returns.
func dumbRead(entries map[kv.EncodedKey]kv.Entry, r kv.Range, now kv.Millis) (list []kv.Entry) {
	for k, e := range entries {
		if r.Start <= k && k < r.End && (e.ExpireAt == 0 || e.ExpireAt > now) {
			list = append(list, e)
		}
	}
	slices.SortFunc(list, func(a, b kv.Entry) int {
		if (a.Key < b.Key) != r.Reverse {
			return -1
		}
		return 1
	})
	return list[:min(len(list), r.Limit)]
}

// apply folds records into a new projection, so many at a time.
func apply(t *testing.T, records []events.Sealed, batch int) *projection.Projection {
	t.Helper()
	p := newProjection(t, projection.Options{})
	for some := range slices.Chunk(records, batch) {
		if err := p.Apply(some...); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func newProjection(t *testing.T, o projection.Options) *projection.Projection {
	p := projection.New(o)
	t.Cleanup(func() { p.Close() })
	return p
}

type digest struct {
	chain events.Chain
	hash  events.Hash
}

func digestOf(t *testing.T, p *projection.Projection) digest {
	t.Helper()
	chain, hash, err := p.Digest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return digest{chain, hash}
}

// checkpoint writes p and reads it back.
func checkpoint(t *testing.T, p *projection.Projection, o projection.Options) *projection.Projection {
	t.Helper()
	var file bytes.Buffer
	if _, err := p.WriteCheckpoint(t.Context(), &file, "id"); err != nil {
		t.Fatal(err)
	}
	return readBack(t, file.Bytes(), o)
}

func readBack(t *testing.T, file []byte, o projection.Options) *projection.Projection {
	t.Helper()
	p, database, err := projection.ReadCheckpoint(bytes.NewReader(file), o)
	if err != nil || database != "id" {
		t.Fatalf("ReadCheckpoint: %q, %v", database, err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

var all = kv.Range{Start: "", End: "\xff", Limit: 1_000_000}

func read(t *testing.T, p *projection.Projection, now kv.Millis, r kv.Range) []kv.Entry {
	t.Helper()
	s, err := p.Read([]kv.Range{r}, now)
	if err != nil {
		t.Fatal(err)
	}
	return s.Entries[0]
}

func same(t *testing.T, what string, got, want []kv.Entry) {
	t.Helper()
	if len(got) == 0 && len(want) == 0 {
		return
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("%s: got (-), want (+):\n%s", what, diff)
	}
}
