package asking_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millpondkv/millpond/internal/asking"
	"github.com/millpondkv/millpond/internal/natsserver"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// api is a JetStream that can fall silent, as one without a leader is: it takes requests, and answers none.
func api(t *testing.T) (js jetstream.JetStream, silent *atomic.Bool) {
	t.Helper()
	server, err := natsserver.Start(t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	conn, err := server.Connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	silent = new(atomic.Bool)
	_, err = conn.Subscribe("front.>", func(m *nats.Msg) {
		if !silent.Load() {
			conn.PublishMsg(&nats.Msg{Subject: "$JS.API." + strings.TrimPrefix(m.Subject, "front."), Reply: m.Reply, Data: m.Data, Header: m.Header})
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if js, err = jetstream.NewWithAPIPrefix(conn, "front"); err != nil {
		t.Fatal(err)
	}
	return js, silent
}

// Nothing waits for an answer that will not come as long as its caller has time.
func TestSilence(t *testing.T) {
	js, silent := api(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}, Storage: jetstream.MemoryStorage}); err != nil {
		t.Fatal(err)
	}
	s, err := asking.Open(ctx, js, "S")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Info(ctx); err != nil {
		t.Fatalf("before the silence: %v", err)
	}
	silent.Store(true)
	for name, ask := range map[string]func() error{
		"Open":                 func() error { _, err := asking.Open(ctx, js, "S"); return err },
		"Info":                 func() error { _, err := s.Info(ctx); return err },
		"GetMsg":               func() error { _, err := s.GetMsg(ctx, 1); return err },
		"GetLastMsgForSubject": func() error { _, err := s.GetLastMsgForSubject(ctx, "s"); return err },
		"CreateConsumer": func() error {
			_, err := s.CreateConsumer(ctx, jetstream.ConsumerConfig{AckPolicy: jetstream.AckNonePolicy})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := ask(); !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
				t.Errorf("got %v while the caller's context says %v; want that it gives up first", err, ctx.Err())
			}
		})
	}
}
