package wire

import (
	"errors"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/millpondkv/millpond/kv"
)

func genMoment(t *rapid.T) kv.Moment {
	return kv.Moment{Versionstamp: genVersionstamp(t), Time: kv.Millis(rapid.Int64Min(0).Draw(t, "time"))}
}

func genState(t *rapid.T) kv.Entry {
	if rapid.Bool().Draw(t, "absent") {
		return kv.Entry{}
	}
	e := genEffect(t)
	return kv.Entry{Key: "key", Value: e.Value, ExpireAt: e.ExpireAt, Versionstamp: kv.NewVersionstamp(kv.Position(rapid.Uint64Min(1).Draw(t, "at")), 0)}
}

func genDifference(t *rapid.T) kv.Difference {
	return kv.Difference{Key: "key", Before: genState(t), After: genState(t)}
}

func genVersion(t *rapid.T) kv.Version {
	v := kv.Version{State: kv.VersionState(rapid.ByteRange(1, 3).Draw(t, "state")), Versionstamp: genVersionstamp(t), Time: genMoment(t).Time}
	if v.State == kv.VersionSet {
		e := genEffect(t)
		v.Value, v.ExpireAt = e.Value, e.ExpireAt
	}
	return v
}

// A question about the past and the parts of its answer come back as they were, and nothing of half of one.
func TestHistoryRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := History{Least: kv.Position(rapid.Uint64().Draw(t, "least")), HistoryRead: kv.HistoryRead{
			Kind: kv.HistoryKind(rapid.Byte().Draw(t, "kind")), From: genMoment(t), To: genMoment(t), Keys: rapid.SliceOfN(rapid.Custom(genKey), 0, 4).Draw(t, "keys"),
			Start: genKey(t), End: genKey(t), Reverse: rapid.Bool().Draw(t, "reverse"), Limit: rapid.IntRange(0, math.MaxInt32).Draw(t, "limit"), After: genVersionstamp(t),
		}}
		data := want.Encode()
		got, err := DecodeHistory(data)
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" || err != nil {
			t.Fatalf("%v (-want +got):\n%s", err, diff)
		}
		if _, err := DecodeHistory(data[:rapid.IntRange(0, len(data)-1).Draw(t, "cut")]); !errors.Is(err, kv.ErrInvalid) {
			t.Fatalf("a part of it: %v, want ErrInvalid", err)
		}

		part := HistoryPart{Number: rapid.Uint64().Draw(t, "number"), Alive: rapid.Bool().Draw(t, "alive")}
		if !part.Alive {
			part.Last, part.From, part.To = rapid.Bool().Draw(t, "last"), genMoment(t), genMoment(t)
			part.Versions = rapid.SliceOfN(rapid.Custom(genVersion), 0, 3).Draw(t, "versions")
			part.Differences = rapid.SliceOfN(rapid.Custom(genDifference), 0, 3).Draw(t, "differences")
			for _, e := range rapid.SliceOfN(rapid.Custom(genState), 0, 3).Draw(t, "entries") {
				e.Key = "key"
				part.Entries = append(part.Entries, e)
			}
		}
		data = part.Encode()
		gotPart, err := DecodeHistoryPart(data)
		if diff := cmp.Diff(part, gotPart, cmpopts.EquateEmpty()); diff != "" || err != nil {
			t.Fatalf("%v (-want +got):\n%s", err, diff)
		}
		if _, err := DecodeHistoryPart(data[:rapid.IntRange(0, len(data)-1).Draw(t, "cut")]); !errors.Is(err, kv.ErrInvalid) {
			t.Fatalf("a half of it: %v, want ErrInvalid", err)
		}
	})
}

// The error that ends an answer is told as what it is.
func TestHistoryError(t *testing.T) {
	for _, kind := range []error{kv.ErrInvalid, kv.ErrUnavailable, kv.ErrGone} {
		_, err := DecodeHistoryPart(EncodeHistoryError(kv.Errorf(kind, "because")))
		if !errors.Is(err, kind) || err.Error() != "because" {
			t.Errorf("got %v, want %v", err, kind)
		}
	}
}

// Whatever comes is decoded or refused; what is decoded means the same when it is encoded again.
func FuzzHistory(f *testing.F) {
	question := History{HistoryRead: kv.HistoryRead{Kind: kv.HistoryEntries, Keys: []kv.EncodedKey{"a"}, Start: "b", End: "c", Limit: 7}}
	part := HistoryPart{Number: 1, HistoryPart: kv.HistoryPart{
		Entries:     []kv.Entry{{Key: "a", Versionstamp: kv.NewVersionstamp(1, 2), Value: kv.Value{Encoding: 3, Data: []byte("x")}}},
		Versions:    []kv.Version{{State: kv.VersionSet, Time: 3}, {State: kv.VersionDeleted}},
		Differences: []kv.Difference{{Key: "d", After: kv.Entry{Versionstamp: kv.NewVersionstamp(1, 2)}}},
	}}
	f.Add(question.Encode())
	f.Add(part.Encode())
	f.Add(EncodeHistoryError(kv.ErrGone))
	f.Fuzz(func(t *testing.T, data []byte) {
		if h, err := DecodeHistory(data); err == nil {
			again, err := DecodeHistory(h.Encode())
			if diff := cmp.Diff(h, again); diff != "" || err != nil {
				t.Errorf("%v\n%s", err, diff)
			}
			_ = h.Validate()
		}
		if p, err := DecodeHistoryPart(data); err == nil {
			again, err := DecodeHistoryPart(p.Encode())
			if diff := cmp.Diff(p, again, cmpopts.EquateEmpty()); diff != "" || err != nil {
				t.Errorf("%v\n%s", err, diff)
			}
		}
	})
}
