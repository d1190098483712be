package client

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/service/wire"
	"github.com/nats-io/nats.go"
)

// pastRig is a cluster whose readers are lost when they are told to, and a database with 60 entries of 60 kB: 7 parts.
func pastRig(t *testing.T) (r *natsRig, db *DB, lose []func()) {
	r = newNATSRig(t)
	lose = []func(){r.mortalReader(), r.mortalReader()}
	r.writer()
	db = r.open()
	db.transport.(*natsTransport).silence = time.Second
	value := make([]byte, 60_000)
	for i := range 60 {
		value[0] = byte(i)
		if _, err := db.Set(t.Context(), kv.Key{"k", i}, Bytes(append([]byte(nil), value...))); err != nil {
			t.Fatal(err)
		}
	}
	return r, db, lose
}

// When the reader that answers is lost, another one gives the rest: nothing is left out, and nothing comes twice.
func TestNATSHistoryReaderLost(t *testing.T) {
	r, db, lose := pastRig(t)
	then := db.At(kv.Moment{})
	if _, err := then.Moment(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustSet(t, db, kv.Key{"k", 59}, "changed")
	n := 0
	for e, err := range then.List(t.Context(), Selector{}) {
		if err != nil || e.Value.Data[0] != byte(n) || len(e.Value.Data) != 60_000 {
			t.Fatalf("entry %d: %v, %v", n, e.Key, err)
		}
		if n++; n%20 == 0 && len(lose) > 0 {
			lose[0]()
			lose[0] = r.mortalReader()
			if len(lose) > 1 { // whichever of the two it was that answers
				lose[1]()
				lose = lose[:1]
			}
		}
	}
	if n != 60 {
		t.Errorf("%d entries", n)
	}
}

// What is asked in a malformed way is refused in a sentence.
func TestNATSHistoryRefused(t *testing.T) {
	r, _, _ := pastRig(t)
	for _, data := range [][]byte{nil, {1, 20}, (&wire.History{}).Encode(), (&wire.History{HistoryRead: kv.HistoryRead{Kind: kv.HistoryVersions}}).Encode()} {
		reply, err := r.dial().Request(wire.HistorySubject("default"), data, 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := wire.DecodeHistoryPart(reply.Data); !errors.Is(err, kv.ErrInvalid) {
			t.Errorf("%v: %v, want ErrInvalid", data, err)
		}
	}
}

// When nobody answers any more, or keeps saying that it makes a part, the call ends with its context.
func TestNATSHistoryNobodyAnswers(t *testing.T) {
	r := newNATSRig(t)
	stop := r.reader()
	r.writer()
	db := r.open()
	stop()
	conn := r.dial()
	if _, err := conn.Subscribe(wire.HistorySubject("default"), func(m *nats.Msg) {
		m.Respond((&wire.HistoryPart{Alive: true}).Encode())
	}); err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := db.At(kv.Moment{Time: 1}).Get(ctx, kv.Key{"a"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want DeadlineExceeded", err)
	}
}
