package service

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/service/wire"
	"github.com/millpondkv/millpond/writer"
	"github.com/oklog/ulid/v2"
)

// ask sends a message to the leader and returns the reply to each of its requests.
func (r *rig) ask(d *Database, members [][]byte) [][]byte {
	r.t.Helper()
	reply, err := d.asker.ask(r.t.Context(), wire.CommitSubject, wire.EncodeCommits(members))
	if err != nil {
		r.t.Fatal(err)
	}
	replies, err := wire.DecodeCommitReplies(reply, len(members))
	if err != nil {
		r.t.Fatal(err)
	}
	return replies
}

// Each request of a message gets its own answer at its own place, whatever the others are: malformed, not valid, or the same
// request once more.
func TestManyCommitsInAMessage(t *testing.T) {
	r := newRig(t)
	d := r.reader()
	decided := map[ulid.ULID]int{}
	f := &fakeLeader{requests: make(chan writer.Request, 100)}
	f.commit = func(_ context.Context, w writer.Request) (kv.CommitResult, error) {
		decided[w.ID]++
		if string(w.Atomic.Mutations[0].Value.Data) == "refuse" {
			return kv.CommitResult{}, kv.Invalidf("refused")
		}
		return kv.CommitResult{Versionstamp: kv.NewVersionstamp(kv.Position(w.ID[0]), 0)}, nil
	}
	refused := 0
	r.reign(d, f, func(string) { refused++ })
	const malformed, invalid, refusal, twice = 3, 4, 5, 6
	var members [][]byte
	order := rand.Perm(20)
	for _, n := range order {
		request := wire.CommitRequest{ID: ulid.ULID{byte(n + 1)}, Try: 1, Atomic: putting("k", fmt.Sprint(n))}
		switch n {
		case invalid:
			request.Atomic = putting("k", string(make([]byte, kv.MaxValueSize+1)))
		case refusal:
			request.Atomic = putting("k", "refuse")
		}
		member := request.Encode()
		if n == malformed {
			member = member[:len(member)-1]
		}
		members = append(members, member)
		if n == twice {
			members = append(members, member)
			order = append(order, n) // its place is not looked at
		}
	}
	replies := r.ask(d, members)
	at := 0
	for _, n := range order[:20] {
		result, err := wire.DecodeCommitReply(replies[at])
		at++
		switch n {
		case malformed, invalid, refusal:
			if !errors.Is(err, kv.ErrInvalid) {
				t.Errorf("request %d: got %+v, %v; want ErrInvalid", n, result, err)
			}
			continue
		case twice:
			if again, err := wire.DecodeCommitReply(replies[at]); err != nil || again.Versionstamp != result.Versionstamp {
				t.Errorf("the same request again: got %+v, %v; want %+v", again, err, result)
			}
			at++
		}
		if err != nil || result.Versionstamp.Position() != kv.Position(n+1) {
			t.Errorf("request %d: got %+v, %v; want its own answer", n, result, err)
		}
		if times := decided[ulid.ULID{byte(n + 1)}]; times != 1 {
			t.Errorf("request %d was decided %d times", n, times)
		}
	}
	if refused != 2 {
		t.Errorf("%d requests were counted as refused, want 2", refused)
	}
}

// A try that came in one message and waits for another try in a second message, and the other way round, are both answered.
func TestTriesAcrossMessages(t *testing.T) {
	r := newRig(t)
	d := r.reader()
	hold := make(chan struct{})
	f := &fakeLeader{requests: make(chan writer.Request, 100)}
	f.commit = func(_ context.Context, w writer.Request) (kv.CommitResult, error) {
		<-hold
		return kv.CommitResult{Versionstamp: kv.NewVersionstamp(kv.Position(w.ID[0]), 0)}, nil
	}
	r.reign(d, f, nil)
	member := func(id, try int) []byte {
		request := wire.CommitRequest{ID: ulid.ULID{byte(id)}, Try: uint32(try), Atomic: putting("k", "v")}
		return request.Encode()
	}
	answers := make(chan [][]byte, 2)
	go func() { answers <- r.ask(d, [][]byte{member(1, 1), member(2, 2)}) }()
	<-f.requests
	go func() { answers <- r.ask(d, [][]byte{member(2, 1), member(1, 2), member(3, 1)}) }()
	<-f.requests // of 3: the others are being decided
	close(hold)
	for range 2 {
		for _, reply := range <-answers {
			if result, err := wire.DecodeCommitReply(reply); err != nil || result.Versionstamp.Position() == 0 {
				t.Errorf("got %+v, %v", result, err)
			}
		}
	}
	select {
	case extra := <-f.requests:
		if extra.ID != (ulid.ULID{2}) {
			t.Errorf("the request %v was decided once more", extra.ID)
		}
	case <-time.After(10 * time.Second):
		t.Error("a request was not decided")
	}
}

// What a former leader is asked is refused and counted, and disturbs nothing else: the leader's own requests are answered.
func TestFormerLeader(t *testing.T) {
	r := newRig(t)
	d := r.reader()
	f := &fakeLeader{requests: make(chan writer.Request, 10), commit: func(context.Context, writer.Request) (kv.CommitResult, error) {
		return kv.CommitResult{Versionstamp: kv.NewVersionstamp(1, 0)}, nil
	}}
	reasons := map[string]int{}
	former := randomID()
	leader := r.reign(d, f, func(reason string) { reasons[reason]++ }, former)
	conn := r.connect()
	request := wire.CommitRequest{ID: randomID(), Try: 1, Atomic: putting("k", "v")}
	for _, subject := range []string{wire.CommitSubject("default", former), wire.IndexSubject("default", former)} {
		answer, err := conn.Request(subject, wire.EncodeCommits([][]byte{request.Encode()}), 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		_, commitErr := wire.DecodeCommitReplies(answer.Data, 1)
		_, indexErr := wire.DecodeIndexReply(answer.Data)
		var stale *wire.StaleError
		if !errors.As(errors.Join(commitErr, indexErr), &stale) || *stale != (wire.StaleError{Leader: leader, Epoch: 1, Position: 1}) {
			t.Errorf("%s: got %v and %v, want a refusal that names %v", subject, commitErr, indexErr, leader)
		}
	}
	if len(f.requests) != 0 {
		t.Error("the leader has decided what another one was asked")
	}
	if _, err := d.Commit(t.Context(), putting("k", "v")); err != nil {
		t.Errorf("a request to the leader: %v", err)
	}
	if reasons[staleEpoch] != 2 || len(reasons) != 1 {
		t.Errorf("counted %v, want two of a stale epoch", reasons)
	}
}
