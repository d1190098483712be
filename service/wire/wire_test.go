package wire

import (
	"bytes"
	"errors"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/millpondkv/millpond/kv"
	"github.com/oklog/ulid/v2"
	"pgregory.net/rapid"
)

// Nil and empty lists are one, except that an empty backoff schedule says "no retries" and none says "the default".
var sameRequest = cmp.Options{
	cmp.Comparer(func(a, b kv.Enqueue) bool {
		return bytes.Equal(a.Payload, b.Payload) && a.Deadline == b.Deadline &&
			cmp.Equal(a.KeysIfUndelivered, b.KeysIfUndelivered, cmpopts.EquateEmpty()) &&
			cmp.Equal(a.BackoffSchedule, b.BackoffSchedule)
	}),
	cmpopts.EquateEmpty(),
}

func genBytes(t *rapid.T, name string) []byte { return rapid.SliceOf(rapid.Byte()).Draw(t, name) }

func genKey(t *rapid.T) kv.EncodedKey { return kv.EncodedKey(genBytes(t, "key")) }

func genCommit(t *rapid.T) *CommitRequest {
	return &CommitRequest{
		ID:   ulid.ULID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id")),
		Try:  rapid.Uint32Min(1).Draw(t, "try"),
		Seen: kv.Position(rapid.Uint64().Draw(t, "seen")),
		Atomic: &kv.Atomic{
			Checks:    rapid.SliceOfN(rapid.Custom(genCheck), 0, 4).Draw(t, "checks"),
			Mutations: rapid.SliceOfN(rapid.Custom(genMutation), 0, 4).Draw(t, "mutations"),
			Enqueues:  rapid.SliceOfN(rapid.Custom(genEnqueue), 0, 4).Draw(t, "enqueues"),
		},
	}
}

func genCheck(t *rapid.T) kv.Check {
	c := kv.Check{Key: genKey(t)}
	if rapid.Bool().Draw(t, "present") {
		stamp := kv.NewVersionstamp(kv.Position(rapid.Uint64().Draw(t, "position")), rapid.Uint16().Draw(t, "index"))
		c.Versionstamp = &stamp
	}
	return c
}

func genMutation(t *rapid.T) kv.Mutation {
	m := kv.Mutation{
		Type: kv.MutationType(rapid.Byte().Draw(t, "type")), Key: genKey(t), SumClamp: rapid.Bool().Draw(t, "clamp"),
		SumMin: genBytes(t, "min"), SumMax: genBytes(t, "max"), ExpireAt: kv.Millis(rapid.Int64Min(0).Draw(t, "expiry")),
	}
	if encoding := rapid.Byte().Draw(t, "encoding"); encoding != 0 {
		m.Value = kv.Value{Encoding: kv.Encoding(encoding), Data: genBytes(t, "value")}
	}
	return m
}

func genEnqueue(t *rapid.T) kv.Enqueue {
	q := kv.Enqueue{
		Payload: genBytes(t, "payload"), Deadline: kv.Millis(rapid.Int64Min(0).Draw(t, "deadline")),
		KeysIfUndelivered: rapid.SliceOfN(rapid.Custom(genKey), 0, kv.MaxUndeliveredKeys).Draw(t, "undelivered"),
	}
	if rapid.Bool().Draw(t, "scheduled") {
		q.BackoffSchedule = append([]uint32{}, rapid.SliceOfN(rapid.Uint32(), 0, kv.MaxBackoffSteps).Draw(t, "schedule")...)
	}
	return q
}

// A commit reads back as it was written, and no part of one does.
func TestCommitRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := genCommit(t)
		data := want.Encode()
		got, err := DecodeCommit(data)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(got, want, sameRequest); diff != "" {
			t.Errorf("got (-), want (+):\n%s", diff)
		}
		cut := rapid.IntRange(0, len(data)-1).Draw(t, "cut")
		if _, err := DecodeCommit(data[:cut]); !errors.Is(err, kv.ErrInvalid) {
			t.Errorf("cut to %d of %d bytes: %v; want ErrInvalid", cut, len(data), err)
		}
	})
}

// A message of many commits, and the reply to it, keep each member as it is; a reply to fewer or more requests is none.
func TestCommitsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 1, 50), 1, 20).Draw(t, "members")
		got, err := DecodeCommits(EncodeCommits(members))
		if diff := cmp.Diff(got, members); diff != "" || err != nil {
			t.Errorf("%v: got (-), want (+):\n%s", err, diff)
		}
		reply := EncodeCommitReplies(members)
		got, err = DecodeCommitReplies(reply, len(members))
		if diff := cmp.Diff(got, members); diff != "" || err != nil {
			t.Errorf("%v: got (-), want (+):\n%s", err, diff)
		}
		for _, n := range []int{len(members) - 1, len(members) + 1} {
			if _, err := DecodeCommitReplies(reply, n); !errors.Is(err, kv.ErrUnknownOutcome) {
				t.Errorf("%d replies to %d requests: %v; want ErrUnknownOutcome", len(members), n, err)
			}
		}
	})
	if _, err := DecodeCommitReplies(EncodeCommitRefusal(kv.Invalidf("newer")), 3); !errors.Is(err, kv.ErrInvalid) {
		t.Errorf("a refusal of the whole message: %v; want ErrInvalid", err)
	}
}

// Every outcome of a commit comes back as it was, with its kind and sentence if it is an error.
func TestCommitReplies(t *testing.T) {
	for _, want := range []kv.CommitResult{
		{Versionstamp: kv.NewVersionstamp(math.MaxUint64, math.MaxUint16)},
		{FailedChecks: []int{0, 7, kv.MaxChecks - 1}},
	} {
		got, err := DecodeCommitReply(EncodeCommitReply(want, nil))
		if diff := cmp.Diff(got, want); diff != "" || err != nil {
			t.Errorf("%v: got (-), want (+):\n%s", err, diff)
		}
	}
	for _, kind := range errorKinds {
		_, err := DecodeCommitReply(EncodeCommitReply(kv.CommitResult{}, kv.Errorf(kind, "because of %d", 7)))
		if !errors.Is(err, kind) || err.Error() != "because of 7" {
			t.Errorf("got %v; want %v", err, kind)
		}
	}
}

// An error that nobody expected is an unknown outcome, its text stays in the process; so is a reply that cannot be read.
func TestUnexpectedReplies(t *testing.T) {
	_, err := DecodeCommitReply(EncodeCommitReply(kv.CommitResult{}, errors.New("secret")))
	if !errors.Is(err, kv.ErrUnknownOutcome) || bytes.Contains([]byte(err.Error()), []byte("secret")) {
		t.Errorf("got %v; want an unknown outcome without details", err)
	}
	for name, data := range map[string][]byte{
		"empty": nil, "another status": {statusAlive}, "no checks": {statusFailedChecks, 0},
		"longer": append(EncodeCommitReply(kv.CommitResult{}, nil), 0), "unknown error": {statusError, 99, 0},
	} {
		if _, err := DecodeCommitReply(data); !errors.Is(err, kv.ErrUnknownOutcome) {
			t.Errorf("%s: %v; want ErrUnknownOutcome", name, err)
		}
	}
}

func TestIndexReplies(t *testing.T) {
	want := Index{Position: 1 << 40, Now: 1_700_000_000_000}
	if got, err := DecodeIndexReply(EncodeIndexReply(want, nil)); got != want || err != nil {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	if _, err := DecodeIndexReply(EncodeIndexReply(Index{}, kv.Errorf(kv.ErrUnavailable, "no leader"))); !errors.Is(err, kv.ErrUnavailable) {
		t.Errorf("got %v; want ErrUnavailable", err)
	}
	if _, err := DecodeIndexReply(EncodeIndexReply(Index{}, nil)); !errors.Is(err, kv.ErrInvalid) {
		t.Errorf("index 0: got %v; want ErrInvalid", err)
	}
}

func TestHeartbeatRoundTrip(t *testing.T) {
	want := Heartbeat{Writer: ulid.ULID{7}, Epoch: 3, Position: 9, Process: "kvwriter here 1", Server: "n1"}
	if got, err := DecodeHeartbeat(want.Encode()); got != want || err != nil {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
}

// Whatever the bytes, decoding ends with a message that reads back, or an error.
func FuzzDecode(f *testing.F) {
	stamp := kv.NewVersionstamp(1, 2)
	f.Add((&CommitRequest{Try: 1, Atomic: &kv.Atomic{
		Checks:    []kv.Check{{Key: "a"}, {Key: "b", Versionstamp: &stamp}},
		Mutations: []kv.Mutation{{Type: kv.MutationSet, Key: "k", Value: kv.Value{Encoding: kv.EncodingBytes, Data: []byte("v")}, ExpireAt: 7}},
		Enqueues:  []kv.Enqueue{{Payload: []byte("p"), KeysIfUndelivered: []kv.EncodedKey{"u"}, BackoffSchedule: []uint32{1}}},
	}}).Encode())
	f.Add(EncodeCommitReply(kv.CommitResult{FailedChecks: []int{1}}, nil))
	f.Add(EncodeIndexReply(Index{Position: 1}, nil))
	f.Add(EncodeIndexReply(Index{}, &StaleError{Leader: ulid.ULID{1}, Epoch: 2, Position: 3}))
	f.Add((&Heartbeat{Process: "p"}).Encode())
	f.Add((&Feed{Feed: kv.Feed{After: stamp, End: "k"}}).Encode())
	f.Add((&Piece{Number: 1, Changes: kv.Changes{Through: stamp, Commits: []kv.Commit{{Versionstamp: stamp, Effects: []kv.Effect{
		{Key: "k", Value: kv.Value{Encoding: kv.EncodingBytes, Data: []byte("v")}, ExpireAt: 7}, {Key: "l", Delete: true},
	}}}}}).Encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		if r, err := DecodeCommit(data); err == nil {
			again, err := DecodeCommit(r.Encode())
			if diff := cmp.Diff(again, r, sameRequest); diff != "" || err != nil {
				t.Errorf("%v: got (-), want (+):\n%s", err, diff)
			}
		}
		DecodeCommitReply(data)
		DecodeIndexReply(data)
		if r, err := DecodeFeed(data); err == nil {
			if again, err := DecodeFeed(r.Encode()); again != r || err != nil {
				t.Errorf("got %v, %v; want %v", again, err, r)
			}
		}
		if p, err := DecodePiece(data); err == nil {
			again, err := DecodePiece(p.Encode())
			if diff := cmp.Diff(again, p); diff != "" || err != nil {
				t.Errorf("%v: got (-), want (+):\n%s", err, diff)
			}
		}
		if h, err := DecodeHeartbeat(data); err == nil {
			if again, err := DecodeHeartbeat(h.Encode()); again != h || err != nil {
				t.Errorf("got %v, %v; want %v", again, err, h)
			}
		}
	})
}
