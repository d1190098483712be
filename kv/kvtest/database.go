package kvtest

import (
	"context"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kv/v8"
)

// Database is what the suites need of an implementation: its calls, and its clock. The suites call it from one goroutine
// and give it valid requests only.
type Database interface {
	// Commit returns once the outcome is known. An atomic that cannot be done is ErrInvalid with a sentence that has the
	// index of the mutation and denokv's words.
	Commit(ctx context.Context, a *kv.Atomic) (kv.CommitResult, error)

	// Read is a strong read: it sees every commit that was answered before. Entries may lack their expiry, which KV
	// Connect does not carry.
	Read(ctx context.Context, ranges []kv.Range) ([][]kv.Entry, error)

	// SetNow stops the database's clock at now, which is never before the time of an earlier call. Every later call
	// happens at that time.
	SetNow(now kv.Millis)
}

// session is a test's hold on a database: it turns what a test does not expect into failures.
type session struct {
	t    testing.TB
	db   Database
	name string // keeps the keys of the tests apart
	now  kv.Millis
	last kv.Versionstamp
}

func (s *session) setNow(now kv.Millis) {
	s.now = now
	s.db.SetNow(now)
}

func (s *session) key(parts ...any) kv.EncodedKey {
	return append(kv.Key{"kvtest", s.name}, parts...).MustEncode()
}

// tryCommit commits a and holds the answer to what is true of every one.
func (s *session) tryCommit(a kv.Atomic) (kv.CommitResult, error) {
	s.t.Helper()
	if err := a.Validate(s.now, false); err != nil {
		s.t.Fatalf("the test is wrong: %v", err)
	}
	result, err := s.db.Commit(s.t.Context(), &a)
	switch {
	case err != nil && !errors.Is(err, kv.ErrInvalid):
		s.t.Fatalf("commit: %v", err)
	case err == nil && result.OK():
		if string(result.Versionstamp[:]) <= string(s.last[:]) {
			s.t.Fatalf("the versionstamp %v came after %v", result.Versionstamp, s.last)
		}
		s.last = result.Versionstamp
	}
	return result, err
}

// commit commits the mutations, which must succeed.
func (s *session) commit(mutations ...kv.Mutation) kv.Versionstamp {
	s.t.Helper()
	return s.commitAtomic(kv.Atomic{Mutations: mutations})
}

func (s *session) commitAtomic(a kv.Atomic) kv.Versionstamp {
	s.t.Helper()
	result, err := s.tryCommit(a)
	if err != nil || !result.OK() {
		s.t.Fatalf("commit: got %+v, %v, want a commit", result, err)
	}
	return result.Versionstamp
}

// refuse commits the mutations, the last of which must be refused with that sentence.
func (s *session) refuse(sentence string, mutations ...kv.Mutation) {
	s.t.Helper()
	result, err := s.tryCommit(kv.Atomic{Mutations: mutations})
	wantRefusal(s.t, result, err, kv.Invalidf("mutation %d: %s", len(mutations)-1, sentence))
}

// wantRefusal holds an answer to the refusal that the model gives: "mutation 3: " and a sentence.
func wantRefusal(t testing.TB, result kv.CommitResult, err, want error) {
	t.Helper()
	index, sentence, _ := strings.Cut(want.Error(), ": ")
	if err == nil || !strings.Contains(strings.ToLower(err.Error()), index) || !strings.Contains(err.Error(), sentence) {
		t.Errorf("got %+v, %v, want the error %q", result, err, want)
	}
}

// wantFailed commits a, whose checks at those indexes must fail.
func (s *session) wantFailed(a kv.Atomic, want ...int) {
	s.t.Helper()
	result, err := s.tryCommit(a)
	if err != nil || !cmp.Equal(result.FailedChecks, want) {
		s.t.Errorf("got %+v, %v, want the failed checks %v", result, err, want)
	}
}

func (s *session) read(ranges ...kv.Range) [][]kv.Entry {
	s.t.Helper()
	if err := kv.ValidateRanges(ranges); err != nil {
		s.t.Fatalf("the test is wrong: %v", err)
	}
	results, err := s.db.Read(s.t.Context(), ranges)
	if err != nil {
		s.t.Fatalf("read: %v", err)
	}
	if len(results) != len(ranges) {
		s.t.Fatalf("read: got %d results for %d ranges", len(results), len(ranges))
	}
	return results
}

// get reads a key as Deno does.
func (s *session) get(key kv.EncodedKey) kv.Entry {
	s.t.Helper()
	if found := s.read(kv.Range{Start: key, End: key + "\x00", Limit: 1})[0]; len(found) == 1 {
		return found[0]
	}
	return kv.Entry{Key: key}
}

// want holds the value of a key to v: nil for an absent key, otherwise as for val.
func (s *session) want(key kv.EncodedKey, v any) {
	s.t.Helper()
	e := s.get(key)
	if v == nil {
		if e.Exists() {
			s.t.Errorf("%v: got %v, want none", key, e)
		}
		return
	}
	if diff := cmp.Diff(val(v), e.Value, sameValue); diff != "" || e.Key != key {
		s.t.Errorf("%v: the entry of %v differs (-want +got):\n%s", key, e.Key, diff)
	}
}

// val returns the value of a Go value: LE64 for a uint64, bytes for a []byte, V8 for everything else.
func val(v any) kv.Value {
	switch v := v.(type) {
	case kv.Value:
		return v
	case uint64:
		return u64(v)
	case []byte:
		return kv.Value{Encoding: kv.EncodingBytes, Data: v}
	case int:
		return v8Value(float64(v))
	}
	return v8Value(v)
}

func big64(n int64) *big.Int { return big.NewInt(n) }

// sameValue compares what JavaScript would see: V8 has several forms of one number.
var sameValue = cmp.Comparer(func(a, b kv.Value) bool {
	return a.Encoding == b.Encoding && string(normal(a)) == string(normal(b))
})

func normal(v kv.Value) []byte {
	if v.Encoding != kv.EncodingV8 {
		return v.Data
	}
	decoded, err := v8.Decode(v.Data)
	if err != nil {
		return v.Data
	}
	data, err := v8.Encode(decoded)
	if err != nil {
		return v.Data
	}
	return data
}

// sameEntries compares the results of commits and reads.
var sameEntries = cmp.Options{sameValue, cmpopts.EquateEmpty()}

func set(key kv.EncodedKey, v any) kv.Mutation {
	return kv.Mutation{Type: kv.MutationSet, Key: key, Value: val(v)}
}

func setUntil(key kv.EncodedKey, v any, expireAt kv.Millis) kv.Mutation {
	return kv.Mutation{Type: kv.MutationSet, Key: key, Value: val(v), ExpireAt: expireAt}
}

func setSuffix(key kv.EncodedKey, v any) kv.Mutation {
	return kv.Mutation{Type: kv.MutationSetSuffix, Key: key, Value: val(v)}
}

func del(key kv.EncodedKey) kv.Mutation { return kv.Mutation{Type: kv.MutationDelete, Key: key} }

func combineWith(t kv.MutationType, key kv.EncodedKey, v any) kv.Mutation {
	return kv.Mutation{Type: t, Key: key, Value: val(v)}
}

func sum(key kv.EncodedKey, v any) kv.Mutation { return combineWith(kv.MutationSum, key, v) }

// sumWithin is a V8 sum with bounds; nil for none.
func sumWithin(key kv.EncodedKey, v, low, high any, clamp bool) kv.Mutation {
	m := sum(key, v)
	m.SumClamp = clamp
	if low != nil {
		m.SumMin = val(low).Data
	}
	if high != nil {
		m.SumMax = val(high).Data
	}
	return m
}
