package kvconnect

import (
	"bytes"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kv/v8"
	pb "github.com/millpondkv/millpond/kvconnect/datapath"
)

// These tests hold the messages that are read and written by hand to the code that protoc generated for them.

// sameVerdict compares what was decoded with what the generated code says of the same bytes. Only a message that package
// kv cannot hold may be refused though it is good protobuf.
func sameVerdict(t *testing.T, body []byte, reference proto.Message, err error, got any, want func() any) {
	t.Helper()
	malformed := proto.Unmarshal(body, reference)
	switch {
	case malformed != nil && err == nil:
		t.Errorf("accepted what is malformed: %v", malformed)
	case malformed == nil && err != nil && strings.Contains(err.Error(), "malformed"):
		t.Errorf("refused what is well-formed: %v", err)
	case err == nil:
		if diff := cmp.Diff(want(), got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("-generated +by hand\n%s", diff)
		}
	}
}

func FuzzDecodeSnapshotRead(f *testing.F) {
	seed(f, &pb.SnapshotRead{Ranges: []*pb.ReadRange{{Start: []byte("a"), End: []byte("b"), Limit: 3, Reverse: true}, {Limit: -1}}})
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := decodeSnapshotRead(body)
		var reference pb.SnapshotRead
		sameVerdict(t, body, &reference, err, got, func() any {
			var want []kv.Range
			for _, r := range reference.Ranges {
				want = append(want, kv.Range{Start: kv.EncodedKey(r.Start), End: kv.EncodedKey(r.End), Limit: int(r.Limit), Reverse: r.Reverse})
			}
			return want
		})
	})
}

func FuzzDecodeWatch(f *testing.F) {
	seed(f, &pb.Watch{Keys: []*pb.WatchKey{{Key: []byte("a")}, {}}})
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := decodeWatch(body)
		var reference pb.Watch
		sameVerdict(t, body, &reference, err, got, func() any {
			var want []kv.EncodedKey
			for _, k := range reference.Keys {
				want = append(want, kv.EncodedKey(k.Key))
			}
			return want
		})
	})
}

func FuzzDecodeAtomicWrite(f *testing.F) {
	v8 := &pb.KvValue{Data: []byte{0xff, 16, 'I', 2}, Encoding: 1}
	seed(f, &pb.AtomicWrite{
		Checks: []*pb.Check{{Key: []byte("a"), Versionstamp: make([]byte, 10)}, {Key: []byte("b")}},
		Mutations: []*pb.Mutation{
			{Key: []byte("a"), Value: v8, MutationType: 3, SumMin: v8.Data, SumMax: v8.Data, SumClamp: true},
			{Key: []byte("a"), Value: v8, MutationType: 1, ExpireAtMs: -1},
			{Key: []byte("a"), Value: v8, MutationType: 2, ExpireAtMs: 5},
		},
		Enqueues: []*pb.Enqueue{{Payload: v8.Data, DeadlineMs: -7, KeysIfUndelivered: [][]byte{{1}}, BackoffSchedule: []uint32{1, 1 << 31}}},
	})
	f.Add([]byte("\x1a\x06\x20\x01\x20\x02\x22\x00")) // a backoff that is not packed
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := decodeAtomicWrite(body)
		var reference pb.AtomicWrite
		sameVerdict(t, body, &reference, err, got, func() any { return referenceAtomic(&reference) })
	})
}

// An atomic that is a small part of its body does not hold the body.
func TestUnshare(t *testing.T) {
	number := []byte{0xff, 15, 'I', 2}
	body, err := proto.Marshal(&pb.AtomicWrite{
		Mutations: []*pb.Mutation{
			{Key: []byte("\x27"), Value: &pb.KvValue{Data: []byte("x"), Encoding: 3}, MutationType: 1},
			{Key: []byte("\x27"), Value: &pb.KvValue{Data: number, Encoding: 1}, MutationType: 3, SumMin: number, SumMax: number},
		},
		Enqueues: []*pb.Enqueue{{Payload: number}},
	})
	if err != nil {
		t.Fatal(err)
	}
	body = protowire.AppendTag(body, 100, protowire.BytesType) // a field that nobody knows
	body = protowire.AppendBytes(body, make([]byte, 1<<20))
	a, err := decodeAtomicWrite(body)
	if err != nil {
		t.Fatal(err)
	}
	clear(body)
	sum := a.Mutations[1]
	if got := a.Mutations[0].Value.Data; string(got) != "x" {
		t.Errorf("the value is in the body's array still: %q", got)
	}
	for _, got := range [][]byte{sum.Value.Data, sum.SumMin, sum.SumMax, a.Enqueues[0].Payload} {
		if !bytes.Equal(got, number) {
			t.Errorf("a number is in the body's array still: %x", got)
		}
	}
}

// referenceAtomic translates a message that the decoder has accepted.
func referenceAtomic(from *pb.AtomicWrite) *kv.Atomic {
	a := new(kv.Atomic)
	for _, c := range from.Checks {
		check := kv.Check{Key: kv.EncodedKey(c.Key)}
		if len(c.Versionstamp) > 0 {
			check.Versionstamp = (*kv.Versionstamp)(c.Versionstamp)
		}
		a.Checks = append(a.Checks, check)
	}
	for _, m := range from.Mutations {
		mutation := kv.Mutation{Type: kv.MutationType(m.MutationType), Key: kv.EncodedKey(m.Key), SumClamp: m.SumClamp,
			SumMin: v8.Portable(m.SumMin, kv.MaxValueSize), SumMax: v8.Portable(m.SumMax, kv.MaxValueSize)}
		if m.MutationType != pb.MutationType_M_DELETE {
			mutation.Value = kv.Value{Encoding: kv.Encoding(m.Value.GetEncoding()), Data: m.Value.GetData()}
			if mutation.Value.Encoding == kv.EncodingV8 {
				mutation.Value.Data = v8.Portable(mutation.Value.Data, kv.MaxValueSize)
			}
		}
		if isSet := m.MutationType == 1 || m.MutationType == 9; isSet && m.ExpireAtMs != -1 {
			mutation.ExpireAt = kv.Millis(m.ExpireAtMs)
		}
		a.Mutations = append(a.Mutations, mutation)
	}
	for _, e := range from.Enqueues {
		enqueue := kv.Enqueue{Payload: v8.Portable(e.Payload, kv.MaxValueSize), Deadline: kv.Millis(e.DeadlineMs),
			BackoffSchedule: e.BackoffSchedule}
		for _, k := range e.KeysIfUndelivered {
			enqueue.KeysIfUndelivered = append(enqueue.KeysIfUndelivered, kv.EncodedKey(k))
		}
		a.Enqueues = append(a.Enqueues, enqueue)
	}
	return a
}

// seed adds a message, cut off at every byte too.
func seed(f *testing.F, message proto.Message) {
	body, err := proto.Marshal(message)
	if err != nil {
		f.Fatal(err)
	}
	for n := range len(body) + 1 {
		f.Add(body[:n])
	}
}

// An answer is what the generated code would read from it, and as long as it says.
func FuzzEncode(f *testing.F) {
	f.Add([]byte("key"), []byte("value"), uint8(3), uint16(2), uint64(1))
	f.Add([]byte{}, bytes.Repeat([]byte("v"), pieceSize), uint8(1), uint16(3), uint64(1<<63))
	f.Add(bytes.Repeat([]byte("k"), 2048), bytes.Repeat([]byte("v"), 20000), uint8(2), uint16(4), uint64(0))
	f.Fuzz(func(t *testing.T, key, value []byte, encoding uint8, n uint16, position uint64) {
		e := kv.Entry{Key: kv.EncodedKey(key), Versionstamp: kv.NewVersionstamp(kv.Position(position), n),
			Value: kv.Value{Encoding: kv.Encoding(encoding & 0x7f), Data: value}, ExpireAt: kv.Millis(position >> 1)}
		form := readForm{strong: position%2 == 0, expiry: n%2 == 0}
		expiry := int64(0)
		if form.expiry {
			expiry = int64(e.ExpireAt)
		}
		entries := make([]kv.Entry, n%50)
		var values []*pb.KvEntry
		for i := range entries {
			entries[i] = e
			values = append(values, &pb.KvEntry{Key: key, Value: value, Encoding: pb.ValueEncoding(e.Value.Encoding), Versionstamp: e.Versionstamp[:],
				ExpireAtMs: expiry})
		}

		w := httptest.NewRecorder()
		writeReadOutput(w, [][]kv.Entry{entries, nil}, form)
		sameMessage(t, w.Body.Bytes(), new(pb.SnapshotReadOutput), &pb.SnapshotReadOutput{
			Ranges: []*pb.ReadRangeOutput{{Values: values}, {}}, ReadIsStronglyConsistent: form.strong, Status: 1})
		if got := w.Header().Get("Content-Length"); got != strconv.Itoa(w.Body.Len()) {
			t.Errorf("got Content-Length %s for %d bytes", got, w.Body.Len())
		}

		w = httptest.NewRecorder()
		if err := writeWatchFrame(w, []kv.Entry{e, {}}); err != nil {
			t.Fatal(err)
		}
		shown := &pb.WatchKeyOutput{Changed: true}
		if e.Exists() {
			shown.EntryIfChanged = &pb.KvEntry{Key: key, Value: value, Encoding: pb.ValueEncoding(e.Value.Encoding), Versionstamp: e.Versionstamp[:]}
		}
		sameMessage(t, w.Body.Bytes()[4:], new(pb.WatchOutput), &pb.WatchOutput{Status: 1, Keys: []*pb.WatchKeyOutput{shown, {Changed: true}}})

		w = httptest.NewRecorder()
		writeWriteOutput(w, kv.CommitResult{FailedChecks: []int{int(n), 0}})
		sameMessage(t, w.Body.Bytes(), new(pb.AtomicWriteOutput), &pb.AtomicWriteOutput{Status: 2, FailedChecks: []uint32{uint32(n), 0}})

		w = httptest.NewRecorder()
		writeWriteOutput(w, kv.CommitResult{Versionstamp: e.Versionstamp})
		sameMessage(t, w.Body.Bytes(), new(pb.AtomicWriteOutput), &pb.AtomicWriteOutput{Status: 1, Versionstamp: e.Versionstamp[:]})
	})
}

func sameMessage(t *testing.T, body []byte, got, want proto.Message) {
	t.Helper()
	if err := proto.Unmarshal(body, got); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(want, got) {
		t.Errorf("got %.2000v, want %.2000v", got, want)
	}
}
