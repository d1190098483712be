package natslog_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/events/natslog"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/oklog/ulid/v2"
)

// A log that was copied by a JetStream mirror and then promoted must not read as an empty database.
func TestCopiedLogIsRefused(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	js, stop := connect(t, t.TempDir())
	defer stop()
	log, err := natslog.Create(ctx, js, "orders", natslog.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s, data := events.Seal(1, &events.Record{Kind: events.KindEpoch, Writer: ulid.Make(), Time: 1})
	if _, err := log.Append(ctx, events.Append{Kind: events.KindEpoch, Data: data}); err != nil {
		t.Fatal(err)
	}
	k := kv.Key{"a"}.MustEncode()
	_, data = events.Seal(2, &events.Record{Kind: events.KindCommits, Epoch: 1, Previous: s.Hash, Time: 2, Commits: []events.Commit{{ID: ulid.Make(), Effects: []events.Effect{{Key: k, Value: kv.Value{Encoding: kv.EncodingBytes, Data: []byte("x")}}}}}})
	if _, err := log.Append(ctx, events.Append{Kind: events.KindCommits, Data: data, Last: 1, Epoch: 1}); err != nil {
		t.Fatal(err)
	}
	old, _ := js.Stream(ctx, "millpond_orders")
	oc := old.CachedInfo().Config
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "copy", Mirror: &jetstream.StreamSource{Name: "millpond_orders"}, Storage: jetstream.FileStorage}); err != nil {
		t.Fatal(err)
	}
	wait := func(name string, n uint64) {
		for ctx.Err() == nil {
			if st, err := js.Stream(ctx, name); err == nil && st.CachedInfo().State.Msgs == n {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Fatal("no copy")
	}
	wait("copy", 2)
	if err := js.DeleteStream(ctx, "millpond_orders"); err != nil { // the original is lost
		t.Fatal(err)
	}
	if _, err := js.UpdateStream(ctx, jetstream.StreamConfig{Name: "copy", Storage: jetstream.FileStorage}); err != nil { // promoted
		t.Fatal(err)
	}
	oc.Subjects, oc.Mirror = nil, &jetstream.StreamSource{Name: "copy"}
	if _, err := js.CreateStream(ctx, oc); err != nil {
		t.Fatal(err)
	}
	wait("millpond_orders", 2)
	oc.Mirror, oc.Subjects = nil, []string{"millpond.orders.log.commits", "millpond.orders.log.epoch"}
	if _, err := js.UpdateStream(ctx, oc); err != nil { // promoted
		t.Fatal(err)
	}
	again, err := natslog.Open(ctx, js, "orders")
	if err != nil {
		t.Fatal(err)
	}
	p := projection.New(projection.Options{})
	defer p.Close()
	if err := p.CatchUp(ctx, again, 2); !errors.Is(err, events.ErrCopied) {
		t.Errorf("got %v; want ErrCopied", err)
	}
}
