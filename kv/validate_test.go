package kv_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/millpondkv/millpond/kv"
)

const now = kv.Millis(1_750_000_000_000)

var (
	good      = kv.Key{"a"}.MustEncode()
	raw       = kv.EncodedKey("\x01")
	le64      = kv.Value{Encoding: kv.EncodingLE64, Data: make([]byte, 8)}
	v8one     = kv.Value{Encoding: kv.EncodingV8, Data: []byte{0xff, 0x0f, 'I', 2}}
	someBytes = kv.Value{Encoding: kv.EncodingBytes, Data: []byte{1}}
)

// keyOfSize returns the key of one string whose encoding has n bytes.
func keyOfSize(n int) kv.EncodedKey { return kv.Key{strings.Repeat("k", n-2)}.MustEncode() }

func bytesOfSize(n int) kv.Value { return kv.Value{Encoding: kv.EncodingBytes, Data: make([]byte, n)} }

func v8Of(data ...byte) kv.Value { return kv.Value{Encoding: kv.EncodingV8, Data: data} }

// payloadOfSize returns something that looks like a V8 value, of n bytes.
func payloadOfSize(n int) []byte { return append([]byte{0xff, 15, '_'}, make([]byte, n-3)...) }

// wantSentence fails unless err is ErrInvalid with that sentence, or nil for an empty one.
func wantSentence(t *testing.T, err error, want string) {
	t.Helper()
	if want == "" {
		if err != nil {
			t.Errorf("got %v, want no error", err)
		}
		return
	}
	if !errors.Is(err, kv.ErrInvalid) || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestValidateMutation(t *testing.T) {
	const fine = ""
	for _, c := range []struct {
		name string
		m    kv.Mutation
		want string
	}{
		{"Set", kv.Mutation{Type: kv.MutationSet, Key: good, Value: v8one, ExpireAt: kv.MaxMillis}, fine},
		{"SetSuffix", kv.Mutation{Type: kv.MutationSetSuffix, Key: keyOfSize(2048), Value: someBytes, ExpireAt: 1}, fine},
		{"SetNothing", kv.Mutation{Type: kv.MutationSet, Key: good, Value: bytesOfSize(0)}, fine},
		{"Delete", kv.Mutation{Type: kv.MutationDelete, Key: good}, fine},
		{"SumLE64", kv.Mutation{Type: kv.MutationSum, Key: good, Value: le64}, fine},
		{"SumV8", kv.Mutation{Type: kv.MutationSum, Key: good, Value: v8one, SumMin: v8one.Data, SumMax: v8one.Data, SumClamp: true}, fine},
		{"Min", kv.Mutation{Type: kv.MutationMin, Key: good, Value: le64}, fine},
		{"Max", kv.Mutation{Type: kv.MutationMax, Key: good, Value: le64}, fine},
		{"LargestValue", kv.Mutation{Type: kv.MutationSet, Key: keyOfSize(2048), Value: bytesOfSize(65536)}, fine},
		{"V8Oldest", kv.Mutation{Type: kv.MutationSet, Key: good, Value: v8Of(0xff, 13, '_')}, fine},
		{"V8Newest", kv.Mutation{Type: kv.MutationSetSuffix, Key: good, Value: v8Of(0xff, 16, '_')}, fine},
		{"SumV8Nothing", kv.Mutation{Type: kv.MutationSum, Key: good, Value: v8Of()}, fine}, // refused when it is decided
		{"EmptyBounds", kv.Mutation{Type: kv.MutationSet, Key: good, Value: v8one, SumMin: []byte{}, SumMax: []byte{}}, fine},

		{"V8Nothing", kv.Mutation{Type: kv.MutationSet, Key: good, Value: v8Of()}, "mutation 1: the value is 0 bytes; a V8 value has at least 3"},
		{"V8OnlyHeader", kv.Mutation{Type: kv.MutationSetSuffix, Key: good, Value: v8Of(0xff, 15)},
			"mutation 1: the value is 2 bytes; a V8 value has at least 3"},
		{"V8Unmarked", kv.Mutation{Type: kv.MutationSet, Key: good, Value: v8Of('a', 'b', 'c')},
			"mutation 1: the value starts with 0x61; a V8 value starts with 0xff"},
		{"V8TooOld", kv.Mutation{Type: kv.MutationSet, Key: good, Value: v8Of(0xff, 12, '_')},
			"mutation 1: the value has V8's format version 12; the versions from 13 to 16 are known"},
		{"V8TooNew", kv.Mutation{Type: kv.MutationSet, Key: good, Value: v8Of(0xff, 17, '_')},
			"mutation 1: the value has V8's format version 17; the versions from 13 to 16 are known"},
		{"NoType", kv.Mutation{Key: good, Value: v8one},
			"mutation 1: the mutation type 0 is unknown; use set (1), delete (2), sum (3), max (4), min (5) or set with a versionstamp suffix (9)"},
		{"UnknownType", kv.Mutation{Type: 6, Key: good, Value: v8one},
			"mutation 1: the mutation type 6 is unknown; use set (1), delete (2), sum (3), max (4), min (5) or set with a versionstamp suffix (9)"},
		{"EmptyKey", kv.Mutation{Type: kv.MutationDelete}, "mutation 1: the key is empty; a key needs at least one part"},
		{"RawKey", kv.Mutation{Type: kv.MutationDelete, Key: raw}, "mutation 1: part 0 of the key is cut off"},
		{"LargeKey", kv.Mutation{Type: kv.MutationDelete, Key: keyOfSize(2049)}, "mutation 1: the key is 2049 bytes and exceeds the key size limit of 2048"},
		{"LargePrefix", kv.Mutation{Type: kv.MutationSetSuffix, Key: keyOfSize(2049), Value: v8one},
			"mutation 1: the key is 2049 bytes and exceeds the key size limit of 2048"},
		{"LargeValue", kv.Mutation{Type: kv.MutationSet, Key: good, Value: bytesOfSize(65537)},
			"mutation 1: the value is 65537 bytes and exceeds the value size limit of 65536"},
		{"NoValue", kv.Mutation{Type: kv.MutationSet, Key: good}, "mutation 1: the value encoding 0 is unknown; use V8 (1), LE64 (2) or bytes (3)"},
		{"UnknownEncoding", kv.Mutation{Type: kv.MutationSum, Key: good, Value: kv.Value{Encoding: 4}},
			"mutation 1: the value encoding 4 is unknown; use V8 (1), LE64 (2) or bytes (3)"},
		{"ShortLE64", kv.Mutation{Type: kv.MutationSet, Key: good, Value: kv.Value{Encoding: kv.EncodingLE64, Data: make([]byte, 7)}},
			"mutation 1: the LE64 value is 7 bytes; it must be exactly 8"},
		{"LongLE64", kv.Mutation{Type: kv.MutationMin, Key: good, Value: kv.Value{Encoding: kv.EncodingLE64, Data: make([]byte, 9)}},
			"mutation 1: the LE64 value is 9 bytes; it must be exactly 8"},
		{"SumBytes", kv.Mutation{Type: kv.MutationSum, Key: good, Value: someBytes},
			"mutation 1: Some of the parameters are not valid V8 values: a 'sum' takes an LE64 value, or a number or bigint in V8"},
		{"MinV8", kv.Mutation{Type: kv.MutationMin, Key: good, Value: v8one}, "mutation 1: Failed to perform 'min' mutation on a non-U64 operand"},
		{"MaxBytes", kv.Mutation{Type: kv.MutationMax, Key: good, Value: someBytes}, "mutation 1: Failed to perform 'max' mutation on a non-U64 operand"},
		{"DeleteWithValue", kv.Mutation{Type: kv.MutationDelete, Key: good, Value: v8one}, "mutation 1: a delete has no value"},
		{"DeleteWithEncoding", kv.Mutation{Type: kv.MutationDelete, Key: good, Value: kv.Value{Encoding: kv.EncodingV8}}, "mutation 1: a delete has no value"},
		{"BoundsOfSet", kv.Mutation{Type: kv.MutationSet, Key: good, Value: v8one, SumMin: v8one.Data},
			"mutation 1: min, max and clamp are only for a 'sum' of a V8 value"},
		{"BoundsOfLE64", kv.Mutation{Type: kv.MutationSum, Key: good, Value: le64, SumMax: v8one.Data},
			"mutation 1: min, max and clamp are only for a 'sum' of a V8 value"},
		{"ClampOfMin", kv.Mutation{Type: kv.MutationMin, Key: good, Value: le64, SumClamp: true},
			"mutation 1: min, max and clamp are only for a 'sum' of a V8 value"},
		{"LargeBound", kv.Mutation{Type: kv.MutationSum, Key: good, Value: v8one, SumMax: make([]byte, 65537)},
			"mutation 1: a bound of the sum is 65537 bytes and exceeds the value size limit of 65536"},
		{"ExpiryNegative", kv.Mutation{Type: kv.MutationSet, Key: good, Value: v8one, ExpireAt: -1},
			"mutation 1: the expiry is -1 ms since 1970; it must be from 0 to 8640000000000000"},
		{"ExpiryFar", kv.Mutation{Type: kv.MutationSet, Key: good, Value: v8one, ExpireAt: math.MaxInt64},
			"mutation 1: the expiry is 9223372036854775807 ms since 1970; it must be from 0 to 8640000000000000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := kv.Atomic{Mutations: []kv.Mutation{{Type: kv.MutationDelete, Key: good}, c.m}}
			wantSentence(t, a.Validate(now, false), c.want)
		})
	}
}

func TestValidateEnqueue(t *testing.T) {
	const fine = ""
	keys := func(n int) (ks []kv.EncodedKey) {
		for i := range n {
			ks = append(ks, kv.Key{i}.MustEncode())
		}
		return ks
	}
	const month, day = 30 * 24 * 3_600_000, 24 * 3_600_000
	for _, c := range []struct {
		name string
		e    kv.Enqueue
		want string
	}{
		{"Smallest", kv.Enqueue{Payload: payloadOfSize(3)}, fine},
		{"Largest", kv.Enqueue{Payload: payloadOfSize(65536), Deadline: now + month + day, KeysIfUndelivered: keys(10),
			BackoffSchedule: []uint32{0, 1, 2, 3, 4, 5, 6, 7, 8, 3_600_000}}, fine},
		{"Past", kv.Enqueue{Payload: v8one.Data, Deadline: 1}, fine},
		{"LargePayload", kv.Enqueue{Payload: make([]byte, 65537)}, "enqueue 1: the payload is 65537 bytes and exceeds the value size limit of 65536"},
		{"NoPayload", kv.Enqueue{}, "enqueue 1: the payload is 0 bytes; a V8 value has at least 3"},
		{"PayloadUnmarked", kv.Enqueue{Payload: make([]byte, 3)}, "enqueue 1: the payload starts with 0x00; a V8 value starts with 0xff"},
		{"DeadlineNegative", kv.Enqueue{Payload: v8one.Data, Deadline: -1}, "enqueue 1: the deadline is -1 ms since 1970; it must be from 0 to 8640000000000000"},
		{"DeadlineFar", kv.Enqueue{Payload: v8one.Data, Deadline: math.MaxInt64},
			"enqueue 1: the deadline is 9223372036854775807 ms since 1970; it must be from 0 to 8640000000000000"},
		{"DeadlineLate", kv.Enqueue{Payload: v8one.Data, Deadline: now + month + day + 1}, "enqueue 1: the deadline 2025-07-16T15:06:40.001Z is more than 30 days ahead"},
		{"ManyKeys", kv.Enqueue{Payload: v8one.Data, KeysIfUndelivered: keys(11)}, "enqueue 1: too many dead letter keys for a single queue message: 11; at most 10 are allowed"},
		{"EmptyKey", kv.Enqueue{Payload: v8one.Data, KeysIfUndelivered: []kv.EncodedKey{good, ""}}, "enqueue 1: dead letter key 1: the key is empty; a key needs at least one part"},
		{"RawKey", kv.Enqueue{Payload: v8one.Data, KeysIfUndelivered: []kv.EncodedKey{raw}}, "enqueue 1: dead letter key 0: part 0 of the key is cut off"},
		{"LargeKey", kv.Enqueue{Payload: v8one.Data, KeysIfUndelivered: []kv.EncodedKey{keyOfSize(2049)}},
			"enqueue 1: dead letter key 0: the key is 2049 bytes and exceeds the key size limit of 2048"},
		{"ManySteps", kv.Enqueue{Payload: v8one.Data, BackoffSchedule: make([]uint32, 11)},
			"enqueue 1: too many backoff intervals for a single queue message: 11; at most 10 are allowed"},
		{"LongStep", kv.Enqueue{Payload: v8one.Data, BackoffSchedule: []uint32{1, 3_600_001}},
			"enqueue 1: backoff interval 1 is 3600001 ms and exceeds the maximum allowed backoff interval of 3600000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := kv.Atomic{Enqueues: []kv.Enqueue{{Payload: v8one.Data}, c.e}}
			wantSentence(t, a.Validate(now, false), c.want)
		})
	}
}

func TestValidateAtomic(t *testing.T) {
	const fine = ""
	deletes := func(n int) (ms []kv.Mutation) {
		for range n {
			ms = append(ms, kv.Mutation{Type: kv.MutationDelete, Key: good})
		}
		return ms
	}
	checks := func(n int) (cs []kv.Check) {
		for range n {
			cs = append(cs, kv.Check{Key: good})
		}
		return cs
	}
	// 12 values of 65536 bytes and 12 keys of 3 are 786468 bytes; the rest is to fill the limit of 819200.
	full := func(rest int) kv.Atomic {
		a := kv.Atomic{
			Checks:   []kv.Check{{Key: good}},
			Enqueues: []kv.Enqueue{{Payload: payloadOfSize(10), KeysIfUndelivered: []kv.EncodedKey{good}, BackoffSchedule: []uint32{1, 2}}},
		}
		for range 12 {
			a.Mutations = append(a.Mutations, kv.Mutation{Type: kv.MutationSet, Key: good, Value: bytesOfSize(65536)})
		}
		rest -= 12*65539 + 3 + 10 + 3 + 2*4 + 3
		a.Mutations = append(a.Mutations, kv.Mutation{Type: kv.MutationSet, Key: good, Value: bytesOfSize(rest)})
		return a
	}
	for _, c := range []struct {
		name string
		a    kv.Atomic
		want string
	}{
		{"Empty", kv.Atomic{}, fine},
		{"ManyOfAll", kv.Atomic{Checks: checks(100), Mutations: deletes(999), Enqueues: []kv.Enqueue{{Payload: v8one.Data}}}, fine},
		{"LargestCheckKey", kv.Atomic{Checks: []kv.Check{{Key: keyOfSize(2049)}}}, fine},
		{"LargestSize", full(819200), fine},
		{"ManyChecks", kv.Atomic{Checks: checks(101)}, "too many checks included in atomic write: 101; at most 100 are allowed"},
		{"ManyMutations", kv.Atomic{Mutations: deletes(1000), Enqueues: make([]kv.Enqueue, 1)},
			"too many mutations / enqueues included in atomic write: 1001; at most 1000 are allowed"},
		{"CheckEmptyKey", kv.Atomic{Checks: []kv.Check{{Key: good}, {}}}, "check 1: the key is empty; a key needs at least one part"},
		{"CheckRawKey", kv.Atomic{Checks: []kv.Check{{Key: raw}}}, "check 0: part 0 of the key is cut off"},
		{"CheckLargeKey", kv.Atomic{Checks: []kv.Check{{Key: keyOfSize(2050)}}}, "check 0: the key is 2050 bytes and exceeds the key size limit of 2049"},
		{"LargeSize", full(819201), "the total size of the atomic write is too large: 819201 bytes; at most 819200 are allowed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			wantSentence(t, c.a.Validate(now, false), c.want)
		})
	}
}

// Raw keys may be anything but empty or too large, raw values anything.
func TestValidateRaw(t *testing.T) {
	atomic := func(key kv.EncodedKey) kv.Atomic {
		return kv.Atomic{
			Checks:    []kv.Check{{Key: key}},
			Mutations: []kv.Mutation{{Type: kv.MutationSet, Key: key, Value: v8Of()}},
			Enqueues:  []kv.Enqueue{{KeysIfUndelivered: []kv.EncodedKey{key}}},
		}
	}
	a := atomic(raw)
	wantSentence(t, a.Validate(now, true), "")
	a = atomic("")
	wantSentence(t, a.Validate(now, true), "check 0: the key is empty; a key needs at least one part")
	a = kv.Atomic{Mutations: []kv.Mutation{{Type: kv.MutationDelete, Key: kv.EncodedKey(make([]byte, 2049))}}}
	wantSentence(t, a.Validate(now, true), "mutation 0: the key is 2049 bytes and exceeds the key size limit of 2048")
}

func TestValidateRanges(t *testing.T) {
	const fine = ""
	long := kv.EncodedKey(strings.Repeat("\xff", 2050))
	repeat := func(n, limit int) (rs []kv.Range) {
		for range n {
			rs = append(rs, kv.Range{Start: "a", End: "b", Limit: limit})
		}
		return rs
	}
	for _, c := range []struct {
		name   string
		ranges []kv.Range
		want   string
	}{
		{"None", nil, fine},
		{"All", []kv.Range{{Start: "", End: long[:2049], Limit: 1000, Reverse: true}}, fine},
		{"Empty", []kv.Range{{Start: "a", End: "a", Limit: 1}}, fine},
		{"Many", repeat(10, 100), fine},
		{"TooMany", repeat(11, 1), "too many read ranges requested in one read request: 11; at most 10 are allowed"},
		{"Entries", repeat(10, 101), "range 9: the total number of entries requested across read ranges is too large; at most 1000 are allowed"},
		{"Overflow", repeat(2, math.MaxInt), "range 0: the total number of entries requested across read ranges is too large; at most 1000 are allowed"},
		{"LimitZero", []kv.Range{{End: "b", Limit: 1}, {End: "b"}}, "range 1: the limit is 0; it must be at least 1"},
		{"LimitNegative", []kv.Range{{End: "b", Limit: math.MinInt}}, fmt.Sprintf("range 0: the limit is %d; it must be at least 1", math.MinInt)},
		{"Backwards", []kv.Range{{Start: "b", End: "a", Limit: 1}}, "range 0: start key is greater than end key"},
		{"LongStart", []kv.Range{{Start: long, End: long, Limit: 1}}, "range 0: the key is 2050 bytes and exceeds the key size limit of 2049"},
		{"LongEnd", []kv.Range{{Start: "a", End: long, Limit: 1}}, "range 0: the key is 2050 bytes and exceeds the key size limit of 2049"},
	} {
		t.Run(c.name, func(t *testing.T) {
			wantSentence(t, kv.ValidateRanges(c.ranges), c.want)
		})
	}
}

func TestValidateWatch(t *testing.T) {
	const fine = ""
	for _, c := range []struct {
		name string
		keys []kv.EncodedKey
		want string
	}{
		{"Many", make([]kv.EncodedKey, 10), fine},
		{"Raw", []kv.EncodedKey{raw, keyOfSize(2049)}, fine},
		{"None", nil, "provide at least one key to watch"},
		{"TooMany", make([]kv.EncodedKey, 11), "too many keys watched in a single watch request: 11; at most 10 are allowed"},
		{"Long", []kv.EncodedKey{good, keyOfSize(2050)}, "watched key 1: the key is 2050 bytes and exceeds the key size limit of 2049"},
	} {
		t.Run(c.name, func(t *testing.T) {
			wantSentence(t, kv.ValidateWatch(c.keys), c.want)
		})
	}
}
