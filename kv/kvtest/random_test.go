package kvtest_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kv/kvtest"
)

func TestRandom(t *testing.T) {
	kvtest.Random(t, &database{model: kvtest.New()}, 1, 500)
}

// The random steps are valid requests, and reach every kind of outcome often enough to tell implementations apart.
func TestRandomReachesEverything(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 0))
	m := kvtest.New()
	const steps = 1500
	seen := map[string]int{}
	for step := range kv.Position(steps) {
		now := kv.Millis(1_000_000 + 10*step)
		a := kvtest.RandomAtomic(r, m, now)
		if err := a.Validate(now, false); err != nil {
			t.Fatalf("step %d: %v", step, err)
		}
		ranges := kvtest.RandomRanges(r, m, now)
		if err := kv.ValidateRanges(ranges); err != nil {
			t.Fatalf("step %d: %v", step, err)
		}
		before := len(m.Entries(now))
		result, err := m.Commit(a, now, kv.NewVersionstamp(step+1, 0))
		switch {
		case err != nil:
			seen["refused"]++
		case !result.OK():
			seen["checks failed"]++
		default:
			seen["committed"]++
			if len(a.Checks) > 0 {
				seen["checks held"]++
			}
			for _, mutation := range a.Mutations {
				seen[mutation.Type.String()]++
				if mutation.SumMin != nil || mutation.SumMax != nil {
					seen["bounded"]++
				}
			}
		}
		if len(m.Entries(now+10)) < len(m.Entries(now)) {
			seen["expired"]++
		}
		if before > 0 {
			seen["not empty"]++
		}
		for _, found := range m.Read(ranges, now) {
			if len(found) > 1 {
				seen["lists"]++
			}
		}
	}
	for _, what := range []string{"refused", "checks failed", "committed", "checks held", "set", "delete", "sum", "min", "max",
		"set with a versionstamp suffix", "bounded", "expired", "not empty", "lists"} {
		if seen[what] < steps/60 {
			t.Errorf("%s: %d of %d steps", what, seen[what], steps)
		}
	}
	t.Log(seen)
}

// Random notices each of these faults: a suite that passes everything would be worthless.
func TestRandomNoticesFaults(t *testing.T) {
	for name, db := range map[string]kvtest.Database{
		"None":                &faulty{},
		"LostCommit":          &faulty{commit: lostCommit},
		"FirstCheckOnly":      &faulty{commit: firstCheckOnly},
		"PartialCommit":       &faulty{commit: partialCommit},
		"RefusalUnnoticed":    &faulty{commit: refusalUnnoticed},
		"SameVersionstamp":    &faulty{commit: sameVersionstamp},
		"ChecksExpireLate":    &faulty{commit: commitLate},
		"ReadsExpireLate":     &faulty{read: func(d *database, rs []kv.Range) [][]kv.Entry { return d.model.Read(rs, d.now-1) }},
		"LimitIgnored":        &faulty{read: limitIgnored},
		"ReverseIgnored":      &faulty{read: reverseIgnored},
		"EndIsInclusive":      &faulty{read: endIsInclusive},
		"ExpirySurvivesASum":  &faulty{commit: expirySurvivesASum},
		"OldValueOfAbsentKey": &faulty{read: func(d *database, rs []kv.Range) [][]kv.Entry { return d.model.Read(rs, 0) }},
	} {
		t.Run(name, func(t *testing.T) {
			db.(*faulty).model = kvtest.New()
			got := failures(t, func(t testing.TB) { kvtest.Random(t, db, 3, 500) })
			if (got != "") != (name != "None") {
				t.Errorf("the suite said %q", got)
			}
		})
	}
}

// faulty is the model with one thing wrong.
type faulty struct {
	database
	commit func(*database, *kv.Atomic) (kv.CommitResult, error)
	read   func(*database, []kv.Range) [][]kv.Entry
}

func (f *faulty) Commit(ctx context.Context, a *kv.Atomic) (kv.CommitResult, error) {
	if f.commit != nil {
		return f.commit(&f.database, a)
	}
	return f.database.Commit(ctx, a)
}

func (f *faulty) Read(ctx context.Context, ranges []kv.Range) ([][]kv.Entry, error) {
	if f.read != nil {
		return f.read(&f.database, ranges), nil
	}
	return f.database.Read(ctx, ranges)
}

func (d *database) commit(a *kv.Atomic, now kv.Millis) (kv.CommitResult, error) {
	d.end++
	return d.model.Commit(a, now, kv.NewVersionstamp(d.end, 0))
}

func lostCommit(d *database, a *kv.Atomic) (kv.CommitResult, error) {
	if d.end%50 == 49 {
		a = &kv.Atomic{Checks: a.Checks}
	}
	return d.commit(a, d.now)
}

func firstCheckOnly(d *database, a *kv.Atomic) (kv.CommitResult, error) {
	result, err := d.commit(a, d.now)
	if len(result.FailedChecks) > 1 {
		result.FailedChecks = result.FailedChecks[:1]
	}
	return result, err
}

func partialCommit(d *database, a *kv.Atomic) (kv.CommitResult, error) {
	result, err := d.commit(a, d.now)
	if err != nil {
		_, _ = d.commit(&kv.Atomic{Mutations: a.Mutations[:1]}, d.now)
	}
	return result, err
}

func refusalUnnoticed(d *database, a *kv.Atomic) (kv.CommitResult, error) {
	result, err := d.commit(a, d.now)
	if err != nil {
		return d.commit(&kv.Atomic{}, d.now)
	}
	return result, nil
}

func sameVersionstamp(d *database, a *kv.Atomic) (kv.CommitResult, error) {
	result, err := d.commit(a, d.now)
	if d.end == 50 {
		d.end--
	}
	return result, err
}

func commitLate(d *database, a *kv.Atomic) (kv.CommitResult, error) { return d.commit(a, d.now-1) }

func expirySurvivesASum(d *database, a *kv.Atomic) (kv.CommitResult, error) {
	expiry := map[kv.EncodedKey]kv.Millis{}
	for _, e := range d.model.Entries(d.now) {
		expiry[e.Key] = e.ExpireAt
	}
	result, err := d.commit(a, d.now)
	if err != nil || !result.OK() {
		return result, err
	}
	again := &kv.Atomic{}
	for _, e := range d.model.Entries(d.now) {
		if slices.ContainsFunc(a.Mutations, func(m kv.Mutation) bool { return m.Key == e.Key && m.Type == kv.MutationSum }) {
			again.Mutations = append(again.Mutations, kv.Mutation{Type: kv.MutationSet, Key: e.Key, Value: e.Value, ExpireAt: expiry[e.Key]})
		}
	}
	return d.model.Commit(again, d.now, result.Versionstamp)
}

func limitIgnored(d *database, ranges []kv.Range) [][]kv.Entry {
	return d.readAs(ranges, func(r *kv.Range) { r.Limit = kv.MaxReadEntries })
}

func reverseIgnored(d *database, ranges []kv.Range) [][]kv.Entry {
	return d.readAs(ranges, func(r *kv.Range) { r.Reverse = false })
}

func endIsInclusive(d *database, ranges []kv.Range) [][]kv.Entry {
	return d.readAs(ranges, func(r *kv.Range) { r.End += "\x00" })
}

func (d *database) readAs(ranges []kv.Range, change func(*kv.Range)) [][]kv.Entry {
	ranges = slices.Clone(ranges)
	for i := range ranges {
		change(&ranges[i])
	}
	return d.model.Read(ranges, d.now)
}

// failures returns what f reports as a failure.
func failures(t *testing.T, f func(testing.TB)) string {
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(r)
	}()
	<-done
	return r.first
}

// recorder is a test that fails in silence.
type recorder struct {
	testing.TB
	first string
}

func (r *recorder) Failed() bool { return r.first != "" }

func (r *recorder) Errorf(format string, args ...any) {
	if r.first == "" {
		r.first = fmt.Sprintf(format, args...)
	}
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}
