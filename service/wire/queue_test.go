package wire

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/oklog/ulid/v2"
	"pgregory.net/rapid"

	"github.com/millpondkv/millpond/kv"
)

func genQueueRequest(t *rapid.T) QueueRequest {
	return QueueRequest{
		Method: QueueMethod(rapid.ByteRange(1, 7).Draw(t, "method")), ID: ulid.ULID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id")),
		Most: rapid.IntRange(0, mostMessages).Draw(t, "most"), Wait: time.Duration(rapid.IntRange(0, mostWait).Draw(t, "wait")) * time.Millisecond,
		State:    rapid.SampledFrom(states).Draw(t, "state"),
		Receipts: rapid.SliceOfN(rapid.String(), 0, 4).Draw(t, "receipts"),
	}
}

func genQueueReply(t *rapid.T) QueueReply {
	millis := func(name string) kv.Millis { return kv.Millis(rapid.Int64Min(0).Draw(t, name)) }
	r := QueueReply{
		AckWait: time.Duration(rapid.Int32Min(0).Draw(t, "ack wait")) * time.Millisecond,
		Stats: kv.QueueStats{
			Waiting: rapid.Uint64().Draw(t, "waiting"), Scheduled: rapid.Uint64().Draw(t, "scheduled"), InFlight: rapid.Uint64().Draw(t, "in flight"),
			Dead: rapid.Uint64().Draw(t, "dead"), OldestAge: time.Duration(rapid.Int32Min(0).Draw(t, "age")) * time.Millisecond,
		},
		Retried: int(rapid.Int32Min(0).Draw(t, "retried")),
	}
	for range rapid.IntRange(0, 3).Draw(t, "messages") {
		r.Messages = append(r.Messages, kv.Message{
			ID: rapid.String().Draw(t, "id"), Payload: genBytes(t, "payload"), Attempt: int(rapid.Int32Min(0).Draw(t, "attempt")), Receipt: rapid.String().Draw(t, "receipt"),
		})
	}
	for range rapid.IntRange(0, 3).Draw(t, "peeked") {
		r.Peeked = append(r.Peeked, kv.PeekedMessage{ID: rapid.String().Draw(t, "id"), Payload: genBytes(t, "payload"), Enqueued: millis("enqueued"), Deadline: millis("deadline")})
	}
	return r
}

// What is asked of a queue and its answer come back as they were, and nothing of half of one.
func TestQueueRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := genQueueRequest(t)
		data := want.Encode()
		got, err := DecodeQueueRequest(data)
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" || err != nil {
			t.Fatalf("%v (-want +got):\n%s", err, diff)
		}
		if _, err := DecodeQueueRequest(data[:rapid.IntRange(0, len(data)-1).Draw(t, "cut")]); !errors.Is(err, kv.ErrInvalid) {
			t.Fatalf("a part of it: %v, want ErrInvalid", err)
		}

		reply := genQueueReply(t)
		body := EncodeQueueReply(&reply, nil)
		gotReply, err := DecodeQueueReply(body)
		if diff := cmp.Diff(reply, gotReply, cmpopts.EquateEmpty()); diff != "" || err != nil {
			t.Fatalf("%v (-want +got):\n%s", err, diff)
		}
		if _, err := DecodeQueueReply(body[:rapid.IntRange(0, len(body)-1).Draw(t, "cut")]); !errors.Is(err, kv.ErrInvalid) {
			t.Fatalf("a part of it: %v, want ErrInvalid", err)
		}
	})
	id := ulid.MustNew(1, nil)
	if got, err := DecodeLeave(EncodeLeave(id)); got != id || err != nil {
		t.Errorf("leave: %v, %v; want %v", got, err, id)
	}
	_, err := DecodeQueueReply(EncodeQueueReply(nil, kv.Errorf(kv.ErrUnavailable, "later")))
	if !errors.Is(err, kv.ErrUnavailable) || err.Error() != "later" {
		t.Errorf("an error: %v", err)
	}
}

// FuzzDecodeQueue: whatever the bytes, decoding ends with a message that reads back, or an error.
func FuzzDecodeQueue(f *testing.F) {
	f.Add((&QueueRequest{Method: QueueNack, Most: 1, Wait: time.Second, State: kv.MessageDead, Receipts: []string{"1-1-1-1"}}).Encode())
	f.Add(EncodeQueueReply(&QueueReply{Messages: []kv.Message{{ID: "a", Payload: []byte("p"), Attempt: 1, Receipt: "r"}}, Peeked: []kv.PeekedMessage{{ID: "b"}}}, nil))
	f.Add(EncodeQueueReply(nil, kv.ErrUnavailable))
	f.Add(EncodeLeave(ulid.ULID{7}))
	f.Fuzz(func(t *testing.T, data []byte) {
		if r, err := DecodeQueueRequest(data); err == nil {
			again, err := DecodeQueueRequest(r.Encode())
			if diff := cmp.Diff(again, r, cmpopts.EquateEmpty()); diff != "" || err != nil {
				t.Errorf("%v: got (-), want (+):\n%s", err, diff)
			}
		}
		if r, err := DecodeQueueReply(data); err == nil {
			again, err := DecodeQueueReply(EncodeQueueReply(&r, nil))
			if diff := cmp.Diff(again, r, cmpopts.EquateEmpty()); diff != "" || err != nil {
				t.Errorf("%v: got (-), want (+):\n%s", err, diff)
			}
		}
		DecodeLeave(data)
	})
}
