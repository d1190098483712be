package kvtest

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millpondkv/millpond/kv"
)

// randomStart is when the random steps begin: 2026-01-01.
const randomStart = kv.Millis(1_767_225_600_000)

// Random does the given number of random steps on a database and on the model: an atomic, then a read. It fails at the
// first step where they differ, and prints the seed, the step and the atomic. The database must not have keys that start
// with "random", and its clock must not be past 2026 yet.
func Random(t testing.TB, db Database, seed uint64, steps int) {
	s := session{t: t, db: db}
	r := rand.New(rand.NewPCG(seed, 0))
	m := New()
	now := randomStart
	for step := range steps {
		now = randomNow(r, m, now)
		s.setNow(now)
		a := RandomAtomic(r, m, now)
		s.sameCommit(m, a)
		s.sameRead(m, RandomRanges(r, m, now))
		if step%100 == 99 {
			s.sameContents(m)
		}
		if t.Failed() {
			t.Fatalf("seed %d, step %d: after %+v", seed, step, *a)
		}
	}
	s.sameContents(m)
}

// randomNow is up to 20 ms after now, or the very millisecond at which the next key expires.
func randomNow(r *rand.Rand, m *Model, now kv.Millis) kv.Millis {
	if r.IntN(3) > 0 {
		return now + kv.Millis(r.IntN(20))
	}
	next := kv.MaxMillis
	for _, e := range m.Entries(now) {
		if e.ExpireAt != 0 {
			next = min(next, e.ExpireAt)
		}
	}
	if next == kv.MaxMillis {
		return now
	}
	return next
}

// sameCommit commits a on both sides. The model decides second, with the versionstamp that the database chose.
func (s *session) sameCommit(m *Model, a *kv.Atomic) {
	got, err := s.tryCommit(*a)
	stamp := got.Versionstamp
	if err != nil || !got.OK() {
		stamp = kv.NewVersionstamp(math.MaxUint64, 0) // not to be used: the model must refuse as well
	}
	want, wantErr := m.Commit(a, s.now, stamp)
	if wantErr != nil {
		wantRefusal(s.t, got, err, wantErr)
		return
	}
	if want.OK() {
		want.Versionstamp = got.Versionstamp
	}
	if diff := cmp.Diff(want, got, sameEntries); diff != "" || err != nil {
		s.t.Errorf("commit: %v; the result differs (-want +got):\n%s", err, diff)
	}
}

func (s *session) sameRead(m *Model, ranges []kv.Range) {
	want, got := m.Read(ranges, s.now), s.read(ranges...)
	forgiveUntoldExpiry(want, got)
	if diff := cmp.Diff(want, got, sameEntries); diff != "" {
		s.t.Errorf("read %+v: the entries differ (-want +got):\n%s", ranges, diff)
	}
}

// forgiveUntoldExpiry takes the expiry from what is wanted where the database does not tell it.
func forgiveUntoldExpiry(want, got [][]kv.Entry) {
	for i := range min(len(want), len(got)) {
		for j := range min(len(want[i]), len(got[i])) {
			if got[i][j].ExpireAt == 0 {
				want[i][j].ExpireAt = 0
			}
		}
	}
}

// sameContents compares all keys, page by page.
func (s *session) sameContents(m *Model) {
	r := kv.Range{Start: randomKey(), End: randomKey() + "\xff", Limit: kv.MaxReadEntries}
	for {
		s.sameRead(m, []kv.Range{r})
		page := m.Read([]kv.Range{r}, s.now)[0]
		if len(page) < r.Limit {
			return
		}
		r.Start = page[len(page)-1].Key + "\x00"
	}
}

func randomKey(parts ...any) kv.EncodedKey { return append(kv.Key{"random"}, parts...).MustEncode() }

// randomKeys is small, so that atomics meet. Some keys are prefixes of others.
var randomKeys = []kv.EncodedKey{
	randomKey(), randomKey("a"), randomKey("a", 1), randomKey("a", 2), randomKey("a", "\x00"), randomKey("a\x00"),
	randomKey("b"), randomKey([]byte{0, 255}), randomKey(big64(1)), randomKey(big64(-1)), randomKey(-1.5), randomKey(true),
}

// RandomAtomic returns a valid atomic, made with a look at the model at the time now, so that most checks hold and most
// sums find a value of their kind; the others fail.
func RandomAtomic(r *rand.Rand, m *Model, now kv.Millis) *kv.Atomic {
	a := &kv.Atomic{}
	entries := m.Entries(now)
	if r.IntN(3) == 0 {
		for range 1 + r.IntN(4) {
			a.Checks = append(a.Checks, randomCheck(r, entries))
		}
	}
	for range r.IntN(6) {
		a.Mutations = append(a.Mutations, randomMutation(r, entries, now))
	}
	if r.IntN(10) == 0 {
		a.Enqueues = append(a.Enqueues, randomEnqueue(r, now))
	}
	return a
}

func randomCheck(r *rand.Rand, entries []kv.Entry) kv.Check {
	check := kv.Check{Key: pick(r, randomKeys)}
	for _, e := range entries {
		if e.Key == check.Key {
			check.Versionstamp = &e.Versionstamp
		}
	}
	switch r.IntN(15) {
	case 0:
		check.Versionstamp = nil
	case 1:
		check.Versionstamp = new(kv.Versionstamp)
	case 2:
		if len(entries) > 0 {
			v := pick(r, entries).Versionstamp
			check.Versionstamp = &v
		}
	}
	return check
}

func randomMutation(r *rand.Rand, entries []kv.Entry, now kv.Millis) kv.Mutation {
	i := r.IntN(len(randomKeys))
	key, kind := randomKeys[i], i%3 // a key's usual kind of number
	if r.IntN(20) == 0 {
		kind = r.IntN(3)
	}
	switch r.IntN(12) {
	case 0, 1, 2:
		return setUntil(key, randomValue(r, kind), randomExpiry(r, now))
	case 3, 4:
		if len(entries) > 0 && r.IntN(2) == 0 {
			key = pick(r, entries).Key // perhaps a suffixed one
		}
		return del(key)
	case 5:
		suffixed := setSuffix(key, randomValue(r, kind))
		suffixed.ExpireAt = randomExpiry(r, now)
		return suffixed
	case 6:
		return combineWith(pick(r, []kv.MutationType{kv.MutationMin, kv.MutationMax}), key, randomNumber(r, 0))
	}
	if kind > 0 && r.IntN(3) == 0 {
		return randomSumWithin(r, key, kind)
	}
	return sum(key, randomNumber(r, kind))
}

func randomSumWithin(r *rand.Rand, key kv.EncodedKey, kind int) kv.Mutation {
	m := sumWithin(key, randomNumber(r, kind), nil, nil, r.IntN(2) == 0)
	if r.IntN(2) == 0 {
		m.SumMin = val(fewOf(kind, -r.IntN(4))).Data
	}
	if r.IntN(2) == 0 {
		m.SumMax = val(fewOf(kind, r.IntN(4))).Data
	}
	if r.IntN(20) == 0 {
		m.SumMax = val(fewOf(3-kind, 0)).Data // of the other type
	}
	return m
}

// randomValue is a number, or else something that cannot be summed.
func randomValue(r *rand.Rand, kind int) kv.Value {
	switch r.IntN(20) {
	case 0:
		return val(pick(r, []string{"", "text", "Ünïcode 😀"}))
	case 1:
		return val([]byte{0, byte(r.Uint32())})
	}
	return randomNumber(r, kind)
}

// randomNumber is a KvU64 for kind 0, a number for 1 and a bigint for 2: mostly small, now and then an extreme.
func randomNumber(r *rand.Rand, kind int) kv.Value {
	if r.IntN(8) > 0 {
		return val(fewOf(kind, r.IntN(7)-3))
	}
	switch kind {
	case 0:
		return val(r.Uint64())
	case 1:
		return val(pick(r, []float64{0.5, -1e-7, 1e21, math.Copysign(0, -1), math.NaN(), math.Inf(1), math.Inf(-1), math.MaxInt32, math.MaxFloat64}))
	}
	return val(new(big.Int).Lsh(big64(r.Int64()), uint(r.IntN(100))))
}

func fewOf(kind, n int) any {
	switch kind {
	case 0:
		return uint64(n)
	case 1:
		return float64(n)
	}
	return big64(int64(n))
}

// randomExpiry is none half of the time, else in the past, now or soon.
func randomExpiry(r *rand.Rand, now kv.Millis) kv.Millis {
	if r.IntN(2) == 0 {
		return 0
	}
	soon := now + kv.Millis(r.IntN(100))
	return pick(r, []kv.Millis{1, now, now + 1, soon, soon, soon, now + kv.Millis(r.IntN(500))})
}

func randomEnqueue(r *rand.Rand, now kv.Millis) kv.Enqueue {
	e := kv.Enqueue{Payload: randomNumber(r, 1+r.IntN(2)).Data, Deadline: randomExpiry(r, now)}
	if r.IntN(2) == 0 {
		e.KeysIfUndelivered = []kv.EncodedKey{pick(r, randomKeys)}
		e.BackoffSchedule = []uint32{uint32(r.IntN(1000))}
	}
	return e
}

// RandomRanges returns one to three valid ranges over the keys of RandomAtomic.
func RandomRanges(r *rand.Rand, m *Model, now kv.Millis) []kv.Range {
	bounds := []kv.EncodedKey{randomKey() + "\x00", randomKey() + "\xff"}
	bounds = append(bounds, randomKeys...)
	if entries := m.Entries(now); len(entries) > 0 {
		bounds = append(bounds, pick(r, entries).Key+"\x00", pick(r, entries).Key+"\xff")
	}
	var ranges []kv.Range
	for range 1 + r.IntN(3) {
		start, end := pick(r, bounds), pick(r, bounds)
		switch r.IntN(3) {
		case 0:
			end = start + "\x00" // one key
		case 1:
			end = start + "\xff" // a prefix
		}
		ranges = append(ranges, kv.Range{
			Start: min(start, end), End: max(start, end),
			Limit: 1 + r.IntN(kv.MaxReadEntries/3)>>r.IntN(10), Reverse: r.IntN(2) == 0,
		})
	}
	return ranges
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }
