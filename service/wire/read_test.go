package wire

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
	"github.com/millpondkv/millpond/kv"
	"github.com/oklog/ulid/v2"
	"pgregory.net/rapid"
)

func genRange(t *rapid.T) kv.Range {
	r := kv.Range{Start: genKey(t), End: genKey(t), Limit: rapid.IntRange(0, 1000).Draw(t, "limit"), Reverse: rapid.Bool().Draw(t, "reverse")}
	if rapid.Bool().Draw(t, "one key") {
		r.End, r.Limit = r.Start+"\x00", 1
	}
	r.KeysOnly = rapid.Bool().Draw(t, "keys only")
	return r
}

func genEntry(t *rapid.T) kv.Entry {
	return kv.Entry{
		Key: genKey(t), Value: kv.Value{Encoding: kv.Encoding(rapid.Byte().Draw(t, "encoding")), Data: genBytes(t, "value")},
		Versionstamp: kv.NewVersionstamp(kv.Position(rapid.Uint64().Draw(t, "position")), rapid.Uint16().Draw(t, "index")),
		ExpireAt:     kv.Millis(rapid.Int64Min(0).Draw(t, "expiry")),
	}
}

func genReply(t *rapid.T) ReadReply {
	if rapid.Bool().Draw(t, "refused") {
		return ReadReply{Err: kv.Invalidf("because of %d", rapid.Int().Draw(t, "reason"))}
	}
	return ReadReply{Ranges: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) []kv.Entry {
		return rapid.SliceOfN(rapid.Custom(genEntry), 0, 4).Draw(t, "entries")
	}), 0, kv.MaxRanges).Draw(t, "ranges")}
}

// A message of reads and its reply come back as they were, in as many parts as it takes, and nothing of half of one.
func TestReadsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		requests := rapid.SliceOfN(rapid.SliceOfN(rapid.Custom(genRange), 0, kv.MaxRanges), 1, 5).Draw(t, "requests")
		want := Reads{Mode: ReadMode(rapid.ByteMax(2).Draw(t, "mode")), Least: kv.Position(rapid.Uint64().Draw(t, "least"))}
		if want.Mode == ReadIndexed {
			want.Leader = ulid.ULID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "leader"))
		}
		for _, ranges := range requests {
			want.Requests = append(want.Requests, EncodeRanges(ranges))
		}
		data := want.Encode()
		got, err := DecodeReads(data)
		if err != nil || got.Mode != want.Mode || got.Leader != want.Leader || got.Least != want.Least || len(got.Requests) != len(requests) {
			t.Fatalf("got %+v, %v; want %+v", got, err, want)
		}
		for i, member := range got.Requests {
			ranges, err := DecodeRanges(member)
			if diff := cmp.Diff(ranges, requests[i], cmpopts.EquateEmpty()); diff != "" || err != nil {
				t.Errorf("%v: got (-), want (+):\n%s", err, diff)
			}
		}
		cut := rapid.IntRange(0, len(data)-1).Draw(t, "cut")
		if _, err := DecodeReads(data[:cut]); !errors.Is(err, kv.ErrInvalid) {
			t.Errorf("cut to %d of %d bytes: %v; want ErrInvalid", cut, len(data), err)
		}
	})
}

func TestReadRepliesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		replies := rapid.SliceOfN(rapid.Custom(genReply), 1, 5).Draw(t, "replies")
		position := kv.Position(rapid.Uint64().Draw(t, "position"))
		body := EncodeReadReplies(position, replies)
		at, members, err := DecodeReadReplies(body, len(replies))
		if err != nil || at != position {
			t.Fatalf("got position %v, %v; want %v", at, err, position)
		}
		for i, member := range members {
			want := replies[i]
			ranges, err := DecodeReadReply(member, len(want.Ranges))
			if want.Err != nil {
				if !errors.Is(err, kv.ErrInvalid) || err.Error() != want.Err.Error() {
					t.Errorf("got %v, want %v", err, want.Err)
				}
				continue
			}
			if diff := cmp.Diff(ranges, want.Ranges, cmpopts.EquateEmpty()); diff != "" || err != nil {
				t.Errorf("%v: got (-), want (+):\n%s", err, diff)
			}
			if _, err := DecodeReadReply(member, len(want.Ranges)+1); !errors.Is(err, kv.ErrInvalid) {
				t.Errorf("one range fewer than was asked for: %v; want ErrInvalid", err)
			}
		}
		cut := rapid.IntRange(0, len(body)-1).Draw(t, "cut")
		if _, _, err := DecodeReadReplies(body[:cut], len(replies)); !errors.Is(err, kv.ErrInvalid) {
			t.Errorf("cut to %d of %d bytes: %v; want ErrInvalid", cut, len(body), err)
		}
	})
}

// The parts of a reply make the whole; when one is lost, or comes twice, it is noticed at once or when the next one comes.
func TestParts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		body := bytes.Repeat([]byte("millpond"), rapid.IntRange(0, 40_000).Draw(t, "size"))
		messages := Split(body, MinPayload)
		var p Parts
		for i, m := range messages {
			got, whole, err := p.Add(m)
			if err != nil || len(m) > MinPayload || whole != (i == len(messages)-1) {
				t.Fatalf("part %d of %d: %d bytes, whole %v, %v", i, len(messages), len(m), whole, err)
			}
			if whole && !bytes.Equal(got, body) {
				t.Error("the parts are not the whole")
			}
		}
		if len(messages) == 1 {
			return
		}
		var torn Parts
		lost := rapid.IntRange(0, len(messages)-2).Draw(t, "lost")
		for i, m := range messages {
			if i == lost {
				continue
			}
			if _, whole, err := torn.Add(m); whole || (err != nil) != (i > lost) {
				t.Errorf("part %d without part %d: whole %v, %v", i, lost, whole, err)
			}
		}
	})
	for name, data := range map[string][]byte{
		"empty": nil, "no numbers": begin(kindReadReplies, 0), "beyond the last": append(begin(kindReadReplies, 4), 0, 1, 0, 1),
	} {
		if _, _, err := new(Parts).Add(data); !errors.Is(err, kv.ErrInvalid) {
			t.Errorf("%s: %v; want ErrInvalid", name, err)
		}
	}
}

// What a reader says of a database comes back as it was.
func TestFindReplies(t *testing.T) {
	want := Found{ID: uuid.NewString(), Leader: ulid.ULID{7}, Epoch: 3, Position: 9}
	if got, err := DecodeFindReply(EncodeFindReply(want, nil)); got != want || err != nil {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	if _, err := DecodeFindReply(EncodeFindReply(want, kv.Errorf(kv.ErrNoDatabase, "none"))); !errors.Is(err, kv.ErrNoDatabase) {
		t.Errorf("got %v; want ErrNoDatabase", err)
	}
}

// The messages of a watch come back as they were.
func TestWatchRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Watch{Least: kv.Position(rapid.Uint64().Draw(t, "least")), Keys: rapid.SliceOfN(rapid.Custom(genKey), 0, 20).Draw(t, "keys")}
		got, err := DecodeWatch(want.Encode())
		if diff := cmp.Diff(got, &want, cmpopts.EquateEmpty()); diff != "" || err != nil {
			t.Errorf("%v: got (-), want (+):\n%s", err, diff)
		}
		frame := Frame{
			Number: rapid.Uint64().Draw(t, "number"), Position: kv.Position(rapid.Uint64().Draw(t, "position")),
			Entries: rapid.SliceOfN(rapid.Custom(genEntry), 1, kv.MaxWatchedKeys).Draw(t, "entries"),
		}
		gotFrame, err := DecodeFrame(frame.Encode(), len(frame.Entries))
		if diff := cmp.Diff(gotFrame, frame, cmpopts.EquateEmpty()); diff != "" || err != nil {
			t.Errorf("%v: got (-), want (+):\n%s", err, diff)
		}
		if _, err := DecodeFrame(frame.Encode(), len(frame.Entries)+1); !errors.Is(err, kv.ErrInvalid) {
			t.Errorf("one key fewer than is watched: %v; want ErrInvalid", err)
		}
		said := Watching{Number: frame.Number, Leaves: rapid.Bool().Draw(t, "leaves")}
		if got, err := DecodeWatching(said.Encode()); got != said || err != nil {
			t.Errorf("got %v, %v; want %v", got, err, said)
		}
	})
	alive := Frame{Number: 7}
	if got, err := DecodeFrame(alive.Encode(), 3); got.Number != 7 || got.Entries != nil || err != nil {
		t.Errorf("a sign of life: got %v, %v", got, err)
	}
	if _, err := DecodeFrame(EncodeWatchError(kv.Errorf(kv.ErrUnavailable, "stopping")), 3); !kv.SafeToRetry(err) {
		t.Errorf("got %v; want ErrUnavailable", err)
	}
}

// FuzzDecodeRead: whatever the bytes, decoding ends with a message that reads back, or an error.
func FuzzDecodeRead(f *testing.F) {
	ranges := EncodeRanges([]kv.Range{{Start: "a", End: "a\x00", Limit: 1}, {Start: "a", End: "b", Limit: 7, Reverse: true}})
	f.Add((&Reads{Requests: [][]byte{ranges}}).Encode())
	f.Add((&Watch{Keys: []kv.EncodedKey{"a"}}).Encode())
	f.Add((&Frame{Number: 1, Entries: []kv.Entry{{Key: "a"}}}).Encode())
	f.Add(EncodeReadReplies(1, []ReadReply{{Ranges: [][]kv.Entry{{{Key: "a"}}}}}))
	f.Add(ranges)
	f.Fuzz(func(t *testing.T, data []byte) {
		if r, err := DecodeReads(data); err == nil && !bytes.Equal(r.Encode(), data) {
			if again, err := DecodeReads(r.Encode()); err != nil || !cmp.Equal(again, r, cmpopts.EquateEmpty()) {
				t.Errorf("got %v, %v; want %v", again, err, r)
			}
		}
		if list, err := DecodeRanges(data); err == nil {
			if again, err := DecodeRanges(EncodeRanges(list)); err != nil || !cmp.Equal(again, list, cmpopts.EquateEmpty()) {
				t.Errorf("got %v, %v; want %v", again, err, list)
			}
		}
		if _, members, err := DecodeReadReplies(data, 1); err == nil {
			DecodeReadReply(members[0], 1)
		}
		DecodeWatch(data)
		DecodeFrame(data, 1)
		DecodeWatching(data)
		DecodeFindReply(data)
		new(Parts).Add(data)
	})
}
