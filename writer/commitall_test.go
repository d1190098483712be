package writer_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/writer"
)

// Requests that are handed in together are decided in their order and in one record, each for itself.
func TestCommitAll(t *testing.T) {
	r := start(t, &events.MemoryLog{})
	absent := kv.Atomic{Checks: []kv.Check{{Key: key("a")}}, Mutations: []kv.Mutation{set(key("a"), "x")}}
	requests := []writer.Request{
		{ID: newID(), Atomic: &absent},
		{ID: newID(), Atomic: &absent}, // finds what the first has done
		{ID: newID(), Atomic: &kv.Atomic{Mutations: []kv.Mutation{increment(key("a"))}}},
		{ID: newID(), Atomic: &kv.Atomic{Mutations: []kv.Mutation{set(key("b"), "y")}}},
	}
	outcomes := r.CommitAll(t.Context(), requests)
	first, last := outcomes[0].Result.Versionstamp, outcomes[3].Result.Versionstamp
	if outcomes[0].Err != nil || outcomes[3].Err != nil || first.Position() != last.Position() || first.Index() != 0 || last.Index() != 1 {
		t.Errorf("got %+v and %+v; want the two commits of one record", outcomes[0], outcomes[3])
	}
	if outcomes[1].Err != nil || outcomes[1].Result.OK() {
		t.Errorf("got %+v; want a failed check", outcomes[1])
	}
	if !errors.Is(outcomes[2].Err, kv.ErrInvalid) {
		t.Errorf("got %+v; want ErrInvalid", outcomes[2])
	}
	again := r.CommitAll(t.Context(), []writer.Request{{ID: requests[0].ID, Atomic: &absent, Repeat: true}})
	if again[0].Err != nil || again[0].Result.Versionstamp != first {
		t.Errorf("the same request again: got %+v; want %v", again[0], first)
	}
}

// When the sequencer is closed, every request says what is known of it: a repeat nothing.
func TestCommitAllClosed(t *testing.T) {
	r := start(t, &events.MemoryLog{})
	<-r.Begun()
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	atomic := &kv.Atomic{}
	outcomes := r.CommitAll(t.Context(), []writer.Request{{ID: newID(), Atomic: atomic}, {ID: newID(), Atomic: atomic, Repeat: true}})
	if !kv.SafeToRetry(outcomes[0].Err) || !errors.Is(outcomes[1].Err, kv.ErrUnknownOutcome) {
		t.Errorf("after the end: %v and %v; want ErrUnavailable and ErrUnknownOutcome", outcomes[0].Err, outcomes[1].Err)
	}
}

// Requests that are given up before they are taken have changed nothing.
func TestCommitAllGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		letBuntDBEnd(t)
		h := hold(&events.MemoryLog{})
		r := start(t, h)
		blocker := r.later(requestOf())
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		outcomes := r.CommitAll(ctx, []writer.Request{requestOf(increment(key("n"))), requestOf(increment(key("n")))})
		h.goOn <- nil
		<-blocker
		for _, o := range outcomes {
			if !kv.SafeToRetry(o.Err) {
				t.Errorf("got %+v; want ErrUnavailable", o)
			}
		}
		if r.get(key("n")).Exists() {
			t.Error("what was given up has been committed")
		}
	})
}
