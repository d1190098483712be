package kvconnect_test

import (
	"bytes"
	"context"
	"net/http"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kvconnect"
	pb "github.com/millpondkv/millpond/kvconnect/datapath"
)

// Whatever the body, each endpoint answers it or refuses it with a 4xx, and what comes through is within the limits.

func FuzzMetadataBody(f *testing.F) {
	f.Add(``)
	f.Add(`{"supportedVersions":[1,2,3]}`)
	s := newTestServer(f, nil)
	f.Fuzz(func(t *testing.T, body string) {
		if w := s.do(metadataRequest("/", body)); w.Code != http.StatusOK && w.Code != http.StatusBadRequest {
			t.Errorf("got %d %s", w.Code, w.Body)
		}
	})
}

func FuzzSnapshotReadBody(f *testing.F) {
	s := newTestServer(f, nil)
	s.db.read = func(_ context.Context, ranges []kv.Range) ([][]kv.Entry, error) {
		total := 0
		for _, r := range ranges {
			if total += r.Limit; r.Limit < 1 || r.Start > r.End || max(len(r.Start), len(r.End)) > kv.MaxReadKeySize {
				f.Errorf("accepted %v", r)
			}
		}
		if len(ranges) > kv.MaxRanges || total > kv.MaxReadEntries {
			f.Errorf("accepted %d ranges of %d entries", len(ranges), total)
		}
		return nil, nil
	}
	fuzzEndpoint(f, s, "snapshot_read", &pb.SnapshotRead{Ranges: []*pb.ReadRange{{Start: []byte("a"), End: []byte("b"), Limit: 3}}})
}

func FuzzAtomicWriteBody(f *testing.F) {
	s := newTestServer(f, nil)
	s.db.commit = func(_ context.Context, a *kv.Atomic) (kv.CommitResult, error) {
		if err := a.Validate(kv.MillisOf(time.Now()), false); err != nil {
			f.Errorf("accepted what is not valid: %v", err)
		}
		return kv.CommitResult{}, nil
	}
	fuzzEndpoint(f, s, "atomic_write", &pb.AtomicWrite{
		Checks:    []*pb.Check{{Key: key("a")}},
		Mutations: []*pb.Mutation{mutation(pb.MutationType_M_SET, nil), mutation(pb.MutationType_M_SUM, nil)},
		Enqueues:  []*pb.Enqueue{{Payload: []byte{0xff, 15, '0'}, KeysIfUndelivered: [][]byte{key("a")}, BackoffSchedule: []uint32{1}}},
	})
}

func FuzzWatchBody(f *testing.F) {
	s := newTestServer(f, nil)
	s.db.watch = func(keys []kv.EncodedKey) kvconnect.Watch {
		if len(keys) < 1 || len(keys) > kv.MaxWatchedKeys {
			f.Errorf("accepted %d keys", len(keys))
		}
		return &scriptedWatch{errs: []error{kv.ErrNoDatabase}}
	}
	fuzzEndpoint(f, s, "watch", &pb.Watch{Keys: []*pb.WatchKey{{Key: key("a")}}})
}

func fuzzEndpoint(f *testing.F, s *testServer, endpoint string, message proto.Message) {
	f.Add([]byte(marshal(f, message)))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, body []byte) {
		switch w := s.do(s.request("/default/"+endpoint, bytes.NewReader(body))); w.Code {
		case http.StatusOK, http.StatusBadRequest, http.StatusNotFound:
		default:
			t.Errorf("got %d %s", w.Code, w.Body)
		}
	})
}
