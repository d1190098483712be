package client

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/oklog/ulid/v2"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/service/wire"
)

// After a takeover a request to the former leader is refused by the new one, which names itself, for commits and read indexes alike;
// its own requests are answered meanwhile.
func TestStaleEpochIsRefused(t *testing.T) {
	r := newNATSRig(t)
	r.reader()
	lost := r.dial()
	r.writerOn(lost)
	db := r.open()
	leads := func() ulid.ULID { return db.transport.(*natsTransport).leader.current().writer }
	mustSet(t, db, kv.Key{"a"}, "x")
	former, conn := leads(), r.dial()
	r.writer()
	ask := func(subject string, request []byte) []byte {
		answer, err := conn.Request(subject, request, time.Second)
		if errors.Is(err, nats.ErrNoResponders) || errors.Is(err, nats.ErrTimeout) { // nobody, or who is being lost
			return nil
		}
		if err != nil {
			t.Fatal(err)
		}
		return answer.Data
	}
	index := wire.IndexSubject("default", former)
	lost.Close() // it is lost without a resignation: who leads next has stood by meanwhile
	for deadline := time.Now().Add(10 * time.Second); ask(index, wire.EncodeIndex()) == nil; {
		if time.Now().After(deadline) {
			t.Fatal("nobody answers in place of the former leader")
		}
	}
	mustSet(t, db, kv.Key{"a"}, "y")
	commits := wire.EncodeCommits([][]byte{(&wire.CommitRequest{Try: 1, Atomic: &kv.Atomic{}}).Encode()})
	_, fromCommit := wire.DecodeCommitReplies(ask(wire.CommitSubject("default", former), commits), 1)
	_, fromIndex := wire.DecodeIndexReply(ask(index, wire.EncodeIndex()))
	for what, err := range map[string]error{"commits": fromCommit, "index": fromIndex} {
		var stale *wire.StaleError
		if !errors.As(err, &stale) || !errors.Is(err, kv.ErrUnknownOutcome) || stale.Leader != leads() || stale.Leader == former || stale.Epoch <= 1 {
			t.Errorf("%s: got %v, want a refusal that names %v and its epoch", what, err, leads())
		}
	}
}

// Who learns from a refusal that another writer leads asks that one at once, with the same id.
func TestStaleEpochIsLeft(t *testing.T) {
	r := newNATSRig(t)
	r.reader()
	r.writer()
	db := r.open()
	mustSet(t, db, kv.Key{"a"}, "x")
	known, former := db.transport.(*natsTransport).leader, randomID()
	leads, conn, asked := known.current().writer, r.dial(), make(chan struct{}, 1000)
	if _, err := conn.Subscribe(wire.CommitSubject("default", former), func(m *nats.Msg) {
		asked <- struct{}{}
		m.Respond(wire.EncodeCommitRefusal(&wire.StaleError{Leader: leads, Epoch: 1 << 41, Position: 2}))
	}); err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	known.heard(former, 1<<40, 2, "")
	mustSet(t, db, kv.Key{"a"}, "y")
	if len(asked) != 1 {
		t.Errorf("the former leader was asked %d times, want once", len(asked))
	}
}
