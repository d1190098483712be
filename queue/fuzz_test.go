package queue

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
	"github.com/nats-io/nats.go"
)

// What decodes as a cursor encodes to the same bytes.
func FuzzCursor(f *testing.F) {
	c := cursor{chain: events.Chain{Applied: 7, Epoch: 3, Counted: 6, Time: 99}, done: 2}
	f.Add(c.encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := decodeCursor(data)
		if err == nil && string(c.encode()) != string(data) {
			t.Errorf("%x became %x", data, c.encode())
		}
	})
}

// What is a receipt says so in one way, and names a place under the database's own consumer.
func FuzzReceipt(f *testing.F) {
	f.Add("1-2-3-4")
	f.Add("1-2-3-4.>")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := parseReceipt(text)
		if err != nil {
			return
		}
		if again, err := parseReceipt(r.String()); err != nil || again != r {
			t.Errorf("%q became %q, %v", text, r, err)
		}
		for _, char := range r.subject("orders") {
			if char == '*' || char == '>' || char == ' ' {
				t.Errorf("%q leads to the subject %q", text, r.subject("orders"))
			}
		}
	})
}

// A message is read as it was written, with every schedule and key.
func FuzzMessage(f *testing.F) {
	f.Add([]byte("payload"), int64(5), uint32(1), uint32(2), uint8(3), "key\x00\xff")
	f.Fuzz(func(t *testing.T, data []byte, deadline int64, a, b uint32, steps uint8, key string) {
		m := stored{kv.QueuedMessage{
			ID: "01ARZ3NDEKTSV4RRFFQ69G5FAV.7", Enqueued: 1, Enqueue: kv.Enqueue{Payload: data, Deadline: max(0, kv.Millis(deadline))},
		}}
		switch steps % 4 {
		case 1:
			m.BackoffSchedule = []uint32{}
		case 2:
			m.BackoffSchedule = []uint32{a}
		case 3:
			m.BackoffSchedule = []uint32{a, b}
			m.KeysIfUndelivered = []kv.EncodedKey{kv.EncodedKey(key), ""}
		}
		for _, msg := range []*nats.Msg{m.message("orders", 0), m.message("orders", kv.MaxMillis)} {
			got, err := parse(msg.Header, msg.Data)
			if diff := cmp.Diff(m, got); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		}
	})
}
