package service

import (
	"context"
	"errors"
	"testing"

	"github.com/millpondkv/millpond/internal/near"
	"github.com/millpondkv/millpond/service/wire"
	"github.com/nats-io/nats.go"
)

// A request whose connection is closed before the answer comes may have reached the leader.
func TestAskOverAConnectionThatCloses(t *testing.T) {
	r := newRig(t)
	listening, asking := r.connect(), r.connect()
	leader := randomID()
	if _, err := listening.Subscribe(wire.CommitSubject("default", leader), func(*nats.Msg) { asking.Close() }); err != nil {
		t.Fatal(err)
	}
	if err := listening.Flush(); err != nil {
		t.Fatal(err)
	}
	a := &asker{conns: near.NewPool(asking), database: "default", leaders: &leaders{current: reign{writer: leader, over: context.Background()}}}
	if _, err := a.ask(t.Context(), wire.CommitSubject, []byte("x")); err == nil || errors.Is(err, errNotSent) {
		t.Errorf("got %v; want an error that does not say that nobody got it", err)
	}
}
