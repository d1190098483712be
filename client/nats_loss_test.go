package client

import (
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/service/wire"
)

// A watch that is lost is logged once at the loss and once at the return, however many readers are asked meanwhile.
func TestLossIsSaidOnce(t *testing.T) {
	var said strings.Builder
	log, l := slog.New(slog.NewTextHandler(&said, nil)), loss{what: "a watch"}
	l.end(t.Context(), log)
	for range 2 {
		for range 3 {
			l.note(t.Context(), log, errNoReader)
		}
		l.end(t.Context(), log)
		l.end(t.Context(), log)
	}
	for _, words := range []string{"lost a watch, will ask another reader", "a watch is served again"} {
		if n := strings.Count(said.String(), words); n != 2 {
			t.Errorf("%q was logged %d times in two losses:\n%s", words, n, said.String())
		}
	}
}

// A reader that is opening the database says so, and is asked again, or another one is.
func TestNATSOpenWhileOpening(t *testing.T) {
	r := newNATSRig(t)
	conn := r.dial()
	var asked atomic.Int64
	if _, err := conn.Subscribe(wire.FindSubject("default"), func(m *nats.Msg) {
		var err error
		if asked.Add(1) < 3 {
			err = kv.Errorf(kv.ErrUnavailable, "the database is being opened; try again")
		}
		m.Respond(wire.EncodeFindReply(wire.Found{ID: "f47ac10b-58cc-4372-a567-0e02b2c3d479", Position: 1}, err))
	}); err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	r.open()
	if n := asked.Load(); n != 3 {
		t.Errorf("readers were asked %d times, want 3", n)
	}
}
