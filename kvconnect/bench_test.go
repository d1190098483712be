package kvconnect_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/millpondkv/millpond/kv"
	pb "github.com/millpondkv/millpond/kvconnect/datapath"
)

// What a request costs here: without its transport, and with a database that costs nothing.

func BenchmarkGet(b *testing.B) {
	benchmarkRead(b, &pb.SnapshotRead{Ranges: []*pb.ReadRange{{Start: key("users", "alice"), End: append(key("users", "alice"), 0), Limit: 1}}})
}

func BenchmarkList500(b *testing.B) {
	benchmarkRead(b, &pb.SnapshotRead{Ranges: []*pb.ReadRange{{Start: key("users"), End: append(key("users"), 0xff), Limit: 500}}})
}

func benchmarkRead(b *testing.B, read *pb.SnapshotRead) {
	entries := make([]kv.Entry, read.Ranges[0].Limit)
	for i := range entries {
		entries[i] = kv.Entry{Key: kv.Key{"users", "alice"}.MustEncode(), Versionstamp: kv.NewVersionstamp(7, 0),
			Value: kv.Value{Encoding: kv.EncodingV8, Data: make([]byte, 110)}}
	}
	s, answer := newTestServer(b, nil), [][]kv.Entry{entries}
	s.db.read = func(context.Context, []kv.Range) ([][]kv.Entry, error) { return answer, nil }
	benchmark(b, s, "snapshot_read", read)
}

func BenchmarkSet(b *testing.B) { benchmarkWrite(b, 1) }

func BenchmarkSet1000(b *testing.B) { benchmarkWrite(b, 1000) }

func benchmarkWrite(b *testing.B, mutations int) {
	s := newTestServer(b, nil)
	s.db.commit = func(context.Context, *kv.Atomic) (kv.CommitResult, error) {
		return kv.CommitResult{Versionstamp: kv.NewVersionstamp(7, 0)}, nil
	}
	benchmark(b, s, "atomic_write", &pb.AtomicWrite{Mutations: repeat(mutations, mutation(pb.MutationType_M_SET, func(m *pb.Mutation) {
		m.Value = &pb.KvValue{Data: append([]byte{0xff, 16}, make([]byte, 110)...), Encoding: pb.ValueEncoding_VE_V8}
	}))})
}

func benchmark(b *testing.B, s *testServer, endpoint string, message proto.Message) {
	body := marshal(b, message)
	r, w, reader := s.request("/default/"+endpoint, nil), nowhere{http.Header{}}, strings.NewReader(body)
	r.Body, r.ContentLength = io.NopCloser(reader), int64(len(body))
	b.ReportAllocs()
	for b.Loop() {
		reader.Reset(body)
		s.ServeHTTP(w, r)
	}
}

// nowhere is a ResponseWriter that costs nothing.
type nowhere struct{ header http.Header }

func (w nowhere) Header() http.Header         { return w.header }
func (w nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (w nowhere) WriteHeader(int)             {}
