package kvconnect_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kvconnect"
	pb "github.com/millpondkv/millpond/kvconnect/datapath"
)

func key(parts ...any) []byte { return []byte(kv.Key(parts).MustEncode()) }

// set writes bytes below each of the keys, in one commit.
func (s *testServer) set(t testing.TB, value []byte, keys ...[]byte) {
	t.Helper()
	write := new(pb.AtomicWrite)
	for _, k := range keys {
		write.Mutations = append(write.Mutations, &pb.Mutation{
			Key: k, MutationType: pb.MutationType_M_SET,
			Value: &pb.KvValue{Data: value, Encoding: pb.ValueEncoding_VE_BYTES},
		})
	}
	var out pb.AtomicWriteOutput
	if unmarshal(t, s.post(t, "atomic_write", write), &out); out.Status != pb.AtomicWriteStatus_AW_SUCCESS {
		t.Fatal(&out)
	}
}

func entry(k []byte, value string, versionstamp int) *pb.KvEntry {
	v := kv.NewVersionstamp(kv.Position(versionstamp), 0)
	return &pb.KvEntry{Key: k, Value: []byte(value), Encoding: pb.ValueEncoding_VE_BYTES, Versionstamp: v[:]}
}

// Ranges are answered in their order, each in scan order, and every answer says that it is strong and a success.
func TestSnapshotRead(t *testing.T) {
	s := newTestServer(t, nil)
	s.set(t, []byte("one"), key("a", 1), key("a", 2))
	s.set(t, []byte(""), key("b"))
	var got pb.SnapshotReadOutput
	unmarshal(t, s.post(t, "snapshot_read", &pb.SnapshotRead{Ranges: []*pb.ReadRange{
		{Start: key("b"), End: append(key("b"), 0), Limit: 1},
		{Start: key("a"), End: append(key("a"), 0xff), Limit: 10, Reverse: true},
		{Start: key("c"), End: append(key("c"), 0), Limit: 1},
		{Start: key("a"), End: []byte{0xff}, Limit: 1},
	}}), &got)
	want := &pb.SnapshotReadOutput{
		Ranges: []*pb.ReadRangeOutput{
			{Values: []*pb.KvEntry{entry(key("b"), "", 2)}},
			{Values: []*pb.KvEntry{entry(key("a", 2), "one", 1), entry(key("a", 1), "one", 1)}},
			{},
			{Values: []*pb.KvEntry{entry(key("a", 1), "one", 1)}},
		},
		ReadIsStronglyConsistent: true,
		Status:                   pb.SnapshotReadStatus_SR_SUCCESS,
	}
	if diff := cmp.Diff(want, &got, protocmp.Transform()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// The largest answer arrives whole: a thousand of the largest entries.
func TestSnapshotReadLargest(t *testing.T) {
	s := newTestServer(t, nil)
	value := []byte(strings.Repeat("v", kv.MaxValueSize))
	s.db.read = func(_ context.Context, ranges []kv.Range) ([][]kv.Entry, error) {
		out := make([][]kv.Entry, len(ranges))
		for i := range out {
			for range ranges[i].Limit {
				out[i] = append(out[i], kv.Entry{Key: ranges[i].Start, Value: kv.Value{Encoding: kv.EncodingBytes, Data: value},
					Versionstamp: kv.NewVersionstamp(1, 0)})
			}
		}
		return out, nil
	}
	read := new(pb.SnapshotRead)
	for range kv.MaxRanges {
		read.Ranges = append(read.Ranges, &pb.ReadRange{Start: key(strings.Repeat("k", kv.MaxWriteKeySize-2)), End: []byte{0xff}, Limit: 100})
	}
	w := s.post(t, "snapshot_read", read)
	if got := w.Header().Get("Content-Length"); got != strconv.Itoa(w.Body.Len()) {
		t.Errorf("got Content-Length %s for %d bytes", got, w.Body.Len())
	}
	var got pb.SnapshotReadOutput
	unmarshal(t, w, &got)
	for i, r := range got.Ranges {
		if len(r.Values) != 100 || string(r.Values[99].Value) != string(value) {
			t.Fatalf("range %d has %d entries", i, len(r.Values))
		}
	}
}

// What is wrong with a read is told in a sentence, and nothing is read.
func TestSnapshotReadErrors(t *testing.T) {
	s := newTestServer(t, nil)
	s.db.read = func(context.Context, []kv.Range) ([][]kv.Entry, error) {
		t.Error("the database was read")
		return nil, nil
	}
	good := func() *pb.ReadRange { return &pb.ReadRange{Start: []byte("a"), End: []byte("b"), Limit: 1} }
	eleven := new(pb.SnapshotRead)
	for range 11 {
		eleven.Ranges = append(eleven.Ranges, good())
	}
	for text, read := range map[string]*pb.SnapshotRead{
		"too many read ranges requested in one read request: 11; at most 10 are allowed": eleven,
		"range 1: start key is greater than end key":                                     {Ranges: []*pb.ReadRange{good(), {Start: []byte("b"), End: []byte("a"), Limit: 1}}},
		"range 0: the limit is 0; it must be at least 1":                                 {Ranges: []*pb.ReadRange{{Start: []byte("a"), End: []byte("b")}}},
		"range 0: the limit is -5; it must be at least 1":                                {Ranges: []*pb.ReadRange{{Start: []byte("a"), End: []byte("b"), Limit: -5}}},
		"range 0: the total number of entries requested":                                 {Ranges: []*pb.ReadRange{{Start: []byte("a"), End: []byte("b"), Limit: 1001}}},
		"range 1: the total number of entries requested across read ranges":              {Ranges: []*pb.ReadRange{good(), {Start: []byte("a"), End: []byte("b"), Limit: 1000}}},
		"range 1: the key is 2050 bytes and exceeds the key size limit of 2049":          {Ranges: []*pb.ReadRange{good(), {Start: []byte("a"), End: []byte(strings.Repeat("b", 2050)), Limit: 1}}},
	} {
		wantError(t, s.post(t, "snapshot_read", read), 400, text)
	}
	for body, text := range map[string]string{
		"\x0a":             "the request protobuf is malformed: unexpected EOF",
		"\x0a\x05abc":      "the request protobuf is malformed: unexpected EOF",
		"\x00":             "the request protobuf is malformed",
		"\x0a\x00\x0a\x01": "the request protobuf is malformed",
		"\x0a\x01\x0a":     "range 0: the request protobuf is malformed",
		`{"ranges":[]}`:    "the request protobuf is malformed",
	} {
		wantError(t, s.do(s.request("/default/snapshot_read", strings.NewReader(body))), 400, text)
	}
}

// Each error of the database has its status: retried by Deno only what may succeed.
func TestSnapshotReadDatabaseErrors(t *testing.T) {
	s := newTestServer(t, nil)
	for _, test := range []struct {
		err    error
		status int
		text   string
	}{
		{kv.Errorf(kv.ErrUnavailable, "no leader yet"), 503, "no leader yet"},
		{kv.ErrUnavailable, 503, "the database is temporarily unavailable; try again"},
		{kv.ErrInvalid, 400, "the request is invalid"},
		{errors.New("secret detail"), 409, "the server failed in a way that it did not expect"},
	} {
		s.db.read = func(context.Context, []kv.Range) ([][]kv.Entry, error) { return nil, test.err }
		w := s.post(t, "snapshot_read", new(pb.SnapshotRead))
		wantError(t, w, test.status, test.text)
		if strings.Contains(w.Body.String(), "secret") || strings.Contains(s.log.String(), "secret") != (test.status == 409) {
			t.Errorf("%v: the client got %q, the log %q", test.err, w.Body, s.log)
		}
	}
}

// With eventual reads, clients are told of an endpoint for them; its answers say that they are not strong. Without, or for
// writes, there is no such endpoint.
func TestEventualRead(t *testing.T) {
	s := newTestServer(t, func(c *kvconnect.Config) { c.Eventual = true })
	endpoints := s.exchange(t, "/").Endpoints
	if len(endpoints) != 2 || endpoints[1].URL != "default/eventual" || endpoints[1].Consistency != "eventual" {
		t.Errorf("got the endpoints %v", endpoints)
	}
	read := &pb.SnapshotRead{Ranges: []*pb.ReadRange{{Start: key("a"), End: append(key("a"), 0), Limit: 1}}}
	wantError(t, s.post(t, "eventual/snapshot_read", read), 404, "no endpoint for eventual reads")
	s.databases.eventual = &eventualDatabase{fakeDatabase: newFakeDatabase(databaseID), old: [][]kv.Entry{{{
		Key: kv.EncodedKey(key("a")), Value: kv.Value{Encoding: kv.EncodingBytes, Data: []byte("old")}, Versionstamp: kv.NewVersionstamp(1, 0),
	}}}}
	var got pb.SnapshotReadOutput
	unmarshal(t, s.post(t, "eventual/snapshot_read", read), &got)
	want := &pb.SnapshotReadOutput{
		Ranges: []*pb.ReadRangeOutput{{Values: []*pb.KvEntry{entry(key("a"), "old", 1)}}}, Status: pb.SnapshotReadStatus_SR_SUCCESS,
	}
	if diff := cmp.Diff(want, &got, protocmp.Transform()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	wantError(t, s.post(t, "eventual/atomic_write", &pb.AtomicWrite{}), 404, "no endpoint")
}
