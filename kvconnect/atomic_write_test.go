package kvconnect_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kvconnect"
	pb "github.com/millpondkv/millpond/kvconnect/datapath"
)

// mutation returns a good mutation of the key ["k"]; change makes it what the test needs.
func mutation(kind pb.MutationType, change func(*pb.Mutation)) *pb.Mutation {
	m := &pb.Mutation{Key: key("k"), MutationType: kind, Value: &pb.KvValue{Data: make([]byte, 8), Encoding: pb.ValueEncoding_VE_LE64}}
	if change != nil {
		change(m)
	}
	return m
}

// A request arrives at the database as package kv has it, every field of it, with V8 values made portable.
func TestAtomicWriteTranslation(t *testing.T) {
	s := newTestServer(t, nil)
	var got *kv.Atomic
	s.db.commit = func(_ context.Context, a *kv.Atomic) (kv.CommitResult, error) {
		got = a
		return kv.CommitResult{Versionstamp: kv.NewVersionstamp(0x0102, 3)}, nil
	}
	now := time.Now().UnixMilli()
	v16, v15 := []byte{0xff, 16, 'I', 2}, []byte{0xff, 15, 'I', 2}
	stamp := kv.NewVersionstamp(7, 1)
	zero := kv.Versionstamp{}
	v8 := &pb.KvValue{Data: v16, Encoding: pb.ValueEncoding_VE_V8}
	w := s.post(t, "atomic_write", &pb.AtomicWrite{
		Checks: []*pb.Check{{Key: key("a")}, {Key: key("b"), Versionstamp: stamp[:]}, {Key: key("c"), Versionstamp: zero[:]}},
		Mutations: []*pb.Mutation{
			mutation(pb.MutationType_M_SET, func(m *pb.Mutation) { m.Value, m.ExpireAtMs = v8, now }),
			mutation(pb.MutationType_M_SET, func(m *pb.Mutation) { m.Value = &pb.KvValue{Data: v16, Encoding: pb.ValueEncoding_VE_BYTES} }),
			mutation(pb.MutationType_M_SET, func(m *pb.Mutation) { m.ExpireAtMs = -1 }),
			mutation(pb.MutationType_M_DELETE, func(m *pb.Mutation) { m.ExpireAtMs = now }),
			mutation(pb.MutationType_M_DELETE, func(m *pb.Mutation) { m.Value = nil }),
			mutation(pb.MutationType_M_SUM, func(m *pb.Mutation) { m.Value, m.SumMin, m.SumMax, m.SumClamp = v8, v16, v15, true }),
			mutation(pb.MutationType_M_SUM, func(m *pb.Mutation) { m.ExpireAtMs = now }),
			mutation(pb.MutationType_M_MIN, nil),
			mutation(pb.MutationType_M_MAX, nil),
			mutation(pb.MutationType_M_SET_SUFFIX_VERSIONSTAMPED_KEY, func(m *pb.Mutation) { m.ExpireAtMs = now }),
		},
		Enqueues: []*pb.Enqueue{
			{Payload: v16, DeadlineMs: now, KeysIfUndelivered: [][]byte{key("u"), key("v")}, BackoffSchedule: []uint32{1, 300, 3_600_000}},
			{Payload: v15},
		},
	})
	var out pb.AtomicWriteOutput
	unmarshal(t, w, &out)
	wantOut := &pb.AtomicWriteOutput{Status: pb.AtomicWriteStatus_AW_SUCCESS, Versionstamp: []byte{0, 0, 0, 0, 0, 0, 1, 2, 0, 3}}
	if diff := cmp.Diff(wantOut, &out, protocmp.Transform()); diff != "" {
		t.Errorf("answer: -want +got\n%s", diff)
	}

	k, u64 := kv.Key{"k"}.MustEncode(), kv.Value{Encoding: kv.EncodingLE64, Data: make([]byte, 8)}
	number := kv.Value{Encoding: kv.EncodingV8, Data: v15}
	want := &kv.Atomic{
		Checks: []kv.Check{{Key: kv.Key{"a"}.MustEncode()}, {Key: kv.Key{"b"}.MustEncode(), Versionstamp: &stamp},
			{Key: kv.Key{"c"}.MustEncode(), Versionstamp: &zero}},
		Mutations: []kv.Mutation{
			{Type: kv.MutationSet, Key: k, Value: number, ExpireAt: kv.Millis(now)},
			{Type: kv.MutationSet, Key: k, Value: kv.Value{Encoding: kv.EncodingBytes, Data: v16}},
			{Type: kv.MutationSet, Key: k, Value: u64},
			{Type: kv.MutationDelete, Key: k},
			{Type: kv.MutationDelete, Key: k},
			{Type: kv.MutationSum, Key: k, Value: number, SumMin: v15, SumMax: v15, SumClamp: true},
			{Type: kv.MutationSum, Key: k, Value: u64},
			{Type: kv.MutationMin, Key: k, Value: u64},
			{Type: kv.MutationMax, Key: k, Value: u64},
			{Type: kv.MutationSetSuffix, Key: k, Value: u64, ExpireAt: kv.Millis(now)},
		},
		Enqueues: []kv.Enqueue{
			{Payload: v15, Deadline: kv.Millis(now), KeysIfUndelivered: []kv.EncodedKey{kv.Key{"u"}.MustEncode(), kv.Key{"v"}.MustEncode()},
				BackoffSchedule: []uint32{1, 300, 3_600_000}},
			{Payload: v15},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("atomic: -want +got\n%s", diff)
	}
}

// A check that fails is told by its index, and nothing is written.
func TestAtomicWriteCheckFailure(t *testing.T) {
	s := newTestServer(t, nil)
	s.set(t, []byte("v"), key("k"))
	write := new(pb.AtomicWrite)
	for i := range 100 {
		write.Checks = append(write.Checks, &pb.Check{Key: key("absent", i)})
	}
	write.Checks[3].Key, write.Checks[99].Key = key("k"), key("k")
	write.Mutations = []*pb.Mutation{mutation(pb.MutationType_M_DELETE, nil)}
	var got pb.AtomicWriteOutput
	unmarshal(t, s.post(t, "atomic_write", write), &got)
	want := &pb.AtomicWriteOutput{Status: pb.AtomicWriteStatus_AW_CHECK_FAILURE, FailedChecks: []uint32{3, 99}}
	if diff := cmp.Diff(want, &got, protocmp.Transform()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// A database that takes no writes says so in the protocol's own words, which end the call: Deno sends a 503 again for ever.
func TestAtomicWriteDisabled(t *testing.T) {
	s := newTestServer(t, nil)
	s.db.commit = func(context.Context, *kv.Atomic) (kv.CommitResult, error) {
		return kv.CommitResult{}, kv.Errorf(kv.ErrWritesDisabled, "the log is damaged")
	}
	var got pb.AtomicWriteOutput
	unmarshal(t, s.post(t, "atomic_write", new(pb.AtomicWrite)), &got)
	want := &pb.AtomicWriteOutput{Status: pb.AtomicWriteStatus_AW_WRITE_DISABLED}
	if diff := cmp.Diff(want, &got, protocmp.Transform()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// Empty commits succeed, each with a larger versionstamp.
func TestAtomicWriteEmpty(t *testing.T) {
	s := newTestServer(t, nil)
	var first, second pb.AtomicWriteOutput
	unmarshal(t, s.post(t, "atomic_write", new(pb.AtomicWrite)), &first)
	unmarshal(t, s.post(t, "atomic_write", new(pb.AtomicWrite)), &second)
	if first.Status != pb.AtomicWriteStatus_AW_SUCCESS || string(first.Versionstamp) >= string(second.Versionstamp) {
		t.Errorf("got %v then %v", &first, &second)
	}
}

func repeat[T any](n int, v T) (all []T) {
	for range n {
		all = append(all, v)
	}
	return all
}

// What is wrong with an atomic write is told in one sentence with the index and the size, and nothing is committed.
func TestAtomicWriteErrors(t *testing.T) {
	s := newTestServer(t, nil)
	s.db.commit = func(context.Context, *kv.Atomic) (kv.CommitResult, error) {
		t.Error("the database was written")
		return kv.CommitResult{}, nil
	}
	payload := []byte{0xff, 15, '_'}
	set := func(change func(*pb.Mutation)) *pb.AtomicWrite {
		return &pb.AtomicWrite{Mutations: []*pb.Mutation{
			mutation(pb.MutationType_M_SET, nil), mutation(pb.MutationType_M_SET, change)}}
	}
	enqueue := func(e *pb.Enqueue) *pb.AtomicWrite {
		return &pb.AtomicWrite{Enqueues: []*pb.Enqueue{{Payload: payload}, e}}
	}
	month := time.Now().Add(40 * 24 * time.Hour).UnixMilli()
	for text, write := range map[string]*pb.AtomicWrite{
		"too many checks included in atomic write: 101; at most 100 are allowed":                 {Checks: repeat(101, &pb.Check{Key: key("a")})},
		"too many mutations / enqueues included in atomic write: 1001; at most 1000 are allowed": {Mutations: repeat(1000, mutation(1, nil)), Enqueues: repeat(1, &pb.Enqueue{})},
		"check 1: the versionstamp is 8 bytes; it must be 10, or none":                           {Checks: []*pb.Check{{Key: key("a")}, {Key: key("a"), Versionstamp: make([]byte, 8)}}},
		"check 0: the versionstamp is 11 bytes":                                                  {Checks: []*pb.Check{{Key: key("a"), Versionstamp: make([]byte, 11)}}},
		"check 0: the key is empty":                                                              {Checks: []*pb.Check{{}}},
		"check 0: part 0 of the key starts with the unknown tag 0x61":                            {Checks: []*pb.Check{{Key: []byte("a")}}},
		"mutation 1: the key is empty; a key needs at least one part":                            set(func(m *pb.Mutation) { m.Key = nil }),
		"mutation 1: the key is 2049 bytes and exceeds the key size limit":                       set(func(m *pb.Mutation) { m.Key = key(strings.Repeat("a", 2047)) }),
		"mutation 1: part 1 of the key is cut off":                                               set(func(m *pb.Mutation) { m.Key = append(key(1), 2, 'a') }),
		"mutation 1: the mutation type 0 is unknown":                                             set(func(m *pb.Mutation) { m.MutationType = 0 }),
		"mutation 1: the mutation type 7 is unknown":                                             set(func(m *pb.Mutation) { m.MutationType = 7 }),
		"mutation 1: the mutation type 257 is unknown":                                           set(func(m *pb.Mutation) { m.MutationType = 257 }),
		"mutation 1: the mutation type -1 is unknown":                                            set(func(m *pb.Mutation) { m.MutationType = -1 }),
		"mutation 1: a set needs a value":                                                        set(func(m *pb.Mutation) { m.Value = nil }),
		"mutation 1: a sum needs a value":                                                        set(func(m *pb.Mutation) { m.Value, m.MutationType = nil, 3 }),
		"mutation 1: the value encoding 0 is unknown":                                            set(func(m *pb.Mutation) { m.Value.Encoding = 0 }),
		"mutation 1: the value encoding 4 is unknown":                                            set(func(m *pb.Mutation) { m.Value.Encoding = 4 }),
		"mutation 1: the value encoding 258 is unknown":                                          set(func(m *pb.Mutation) { m.Value.Encoding = 258 }),
		"mutation 1: the LE64 value is 7 bytes; it must be exactly 8":                            set(func(m *pb.Mutation) { m.Value.Data = make([]byte, 7) }),
		"mutation 1: the value is 0 bytes; a V8 value has at least 3":                            set(func(m *pb.Mutation) { m.Value = &pb.KvValue{Encoding: 1} }),
		"mutation 1: the value is 65537 bytes and exceeds":                                       set(func(m *pb.Mutation) { m.Value = &pb.KvValue{Data: make([]byte, 65537), Encoding: 3} }),
		"mutation 1: the expiry is -2 ms since 1970":                                             set(func(m *pb.Mutation) { m.ExpireAtMs = -2 }),
		"mutation 1: the expiry is 9223372036854775807 ms since 1970":                            set(func(m *pb.Mutation) { m.ExpireAtMs = 1<<63 - 1 }),
		"mutation 1: Failed to perform 'min' mutation on a non-U64":                              set(func(m *pb.Mutation) { m.MutationType, m.Value.Encoding = 5, 1 }),
		"mutation 1: min, max and clamp are only for a 'sum'":                                    set(func(m *pb.Mutation) { m.SumClamp = true }),
		"the total size of the atomic write is too large: 8":                                     {Mutations: repeat(13, mutation(1, func(m *pb.Mutation) { m.Value = &pb.KvValue{Data: make([]byte, 65536), Encoding: 3} }))},
		"enqueue 1: the payload is 65537 bytes":                                                  enqueue(&pb.Enqueue{Payload: make([]byte, 65537)}),
		"enqueue 1: the deadline is -1 ms since 1970":                                            enqueue(&pb.Enqueue{Payload: payload, DeadlineMs: -1}),
		"is more than 30 days ahead":                                                             enqueue(&pb.Enqueue{Payload: payload, DeadlineMs: month}),
		"enqueue 1: too many dead letter keys":                                                   enqueue(&pb.Enqueue{Payload: payload, KeysIfUndelivered: repeat(11, key("a"))}),
		"enqueue 1: dead letter key 0: the key is empty":                                         enqueue(&pb.Enqueue{Payload: payload, KeysIfUndelivered: [][]byte{{}}}),
		"enqueue 1: too many backoff intervals":                                                  enqueue(&pb.Enqueue{Payload: payload, BackoffSchedule: repeat(11, uint32(1))}),
		"enqueue 1: backoff interval 0 is 3600001 ms":                                            enqueue(&pb.Enqueue{Payload: payload, BackoffSchedule: []uint32{3_600_001}}),
	} {
		wantError(t, s.post(t, "atomic_write", write), 400, text)
	}
	for body, text := range map[string]string{
		"not protobuf":                      "the request protobuf is malformed",
		"\x12\x04\x0a\x05ab\x12\x00":        "mutation 0: the request protobuf is malformed: unexpected EOF",
		"\x12\x04\x12\x02\x0a\x09":          "mutation 0: the request protobuf is malformed: unexpected EOF",
		"\x1a\x03\x22\x01\xff":              "enqueue 0: the request protobuf is malformed",
		"\x0a\x02\x0a\x01":                  "check 0: the request protobuf is malformed",
		strings.Repeat("\x12\x00", 1<<20):   "too many mutations / enqueues included in atomic write: 1048576",
		strings.Repeat("\x12\x00", 1<<20+1): "",
	} {
		status := 400
		if text == "" {
			status, text = 413, "the request body has 2097154 bytes or more; at most 2097152 are allowed"
		}
		wantError(t, s.do(s.request("/default/atomic_write", strings.NewReader(body))), status, text)
	}
}

// Raw keys and values are for test suites and only there when asked for.
func TestRaw(t *testing.T) {
	s := newTestServer(t, func(c *kvconnect.Config) { c.Raw = true })
	s.set(t, []byte("v"), []byte{1})
	empty := mutation(pb.MutationType_M_SET, func(m *pb.Mutation) { m.Value = &pb.KvValue{Encoding: pb.ValueEncoding_VE_V8} })
	if w := s.post(t, "atomic_write", &pb.AtomicWrite{Mutations: []*pb.Mutation{empty}}); w.Code != 200 {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

// What the database answers has its status. An outcome that is not known, and what nobody expected, must not be retried
// unseen, so neither is a 5xx.
func TestAtomicWriteDatabaseErrors(t *testing.T) {
	s := newTestServer(t, func(c *kvconnect.Config) { c.RequestTimeout = time.Millisecond })
	wait := func(ctx context.Context, _ *kv.Atomic) (kv.CommitResult, error) {
		<-ctx.Done()
		return kv.CommitResult{}, ctx.Err()
	}
	fail := func(err error) func(context.Context, *kv.Atomic) (kv.CommitResult, error) {
		return func(context.Context, *kv.Atomic) (kv.CommitResult, error) { return kv.CommitResult{}, err }
	}
	for _, test := range []struct {
		commit func(context.Context, *kv.Atomic) (kv.CommitResult, error)
		status int
		text   string
	}{
		{fail(kv.Invalidf("mutation 0: sums do not add up")), 400, "mutation 0: sums do not add up"},
		{fail(kv.ErrUnavailable), 503, "temporarily unavailable"},
		{fail(kv.ErrUnknownOutcome), 409, "may or may not have been committed"},
		{wait, 409, "may or may not have been committed"},
		{fail(errors.New("secret")), 409, "its log says how"},
		{fail(context.Canceled), 409, "its log says how"},
		{func(context.Context, *kv.Atomic) (kv.CommitResult, error) { panic("secret") }, 409, "its log says how"},
	} {
		s.db.commit = test.commit
		w := s.post(t, "atomic_write", new(pb.AtomicWrite))
		wantError(t, w, test.status, test.text)
		if strings.Contains(w.Body.String(), "secret") {
			t.Errorf("the client got %s", w.Body)
		}
	}
	if !strings.Contains(s.log.String(), "panic: secret") || !strings.Contains(s.log.String(), "atomic_write_test.go") {
		t.Errorf("the log lacks the panic and its stack: %s", s.log)
	}
}

// A packed field may also come unpacked, and a message in pieces; protobuf says both mean the same.
func TestAtomicWriteUnusualProtobuf(t *testing.T) {
	s := newTestServer(t, nil)
	var got *kv.Atomic
	s.db.commit = func(_ context.Context, a *kv.Atomic) (kv.CommitResult, error) {
		got = a
		return kv.CommitResult{}, nil
	}
	body := "\x1a\x0b" + "\x0a\x03\xff\x0f_" + "\x20\x01" + "\x20\x02" + "\x22\x00" + // an enqueue: backoff 1 and 2 unpacked, then none packed
		"\x12\x0e" + "\x0a\x01\x27" + "\x12\x03\x0a\x01x" + "\x12\x02\x10\x03" + "\x18\x01" + // a set, its value in two pieces
		"\x7a\x00" // a field that nobody knows
	if w := s.do(s.request("/default/atomic_write", strings.NewReader(body))); w.Code != 200 {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	want := &kv.Atomic{
		Checks:    []kv.Check{},
		Mutations: []kv.Mutation{{Type: kv.MutationSet, Key: "\x27", Value: kv.Value{Encoding: kv.EncodingBytes, Data: []byte("x")}}},
		Enqueues:  []kv.Enqueue{{Payload: []byte("\xff\x0f_"), BackoffSchedule: []uint32{1, 2}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if err := proto.Unmarshal([]byte(body), new(pb.AtomicWrite)); err != nil {
		t.Errorf("the test's own bytes: %v", err)
	}
}
