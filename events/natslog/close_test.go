package natslog_test

import (
	"errors"
	"testing"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/events/natslog"
	"github.com/millpondkv/millpond/kv"
)

// A log that is closed takes no record any more, whoever holds it, and is there for nobody but those who ask for a closed one; reopened it
// goes on behind its end.
func TestClose(t *testing.T) {
	js, stop := connect(t, t.TempDir())
	defer stop()
	ctx := t.Context()
	log, err := natslog.Create(ctx, js, "orders", natslog.Config{})
	if err != nil {
		t.Fatal(err)
	}
	add := func(last kv.Position) error {
		_, err := log.Append(ctx, events.Append{Kind: events.KindEpoch, Data: []byte("epoch"), Last: last})
		return err
	}
	if err := add(0); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, end, err := natslog.Close(ctx, js, "orders"); err != nil || end != 2 {
			t.Fatalf("closed at %d, %v; want 2", end, err)
		}
	}
	for _, last := range []kv.Position{1, 2} {
		if err := add(last); err == nil {
			t.Errorf("a closed log has taken a record after %d", last)
		}
	}
	if _, err := natslog.Open(ctx, js, "orders"); !errors.Is(err, kv.ErrNoDatabase) {
		t.Errorf("Open: %v; want ErrNoDatabase", err)
	}
	if err := log.InUse(ctx); !errors.Is(err, kv.ErrNoDatabase) {
		t.Errorf("InUse: %v; want ErrNoDatabase", err)
	}
	if names, err := natslog.ListOpen(ctx, js); err != nil || len(names) > 0 {
		t.Errorf("ListOpen: %v, %v; want none", names, err)
	}
	closed, is, err := natslog.OpenClosed(ctx, js, "orders")
	if err != nil || !is || closed.ID() != log.ID() {
		t.Fatalf("OpenClosed: %v, %v, %v", closed, is, err)
	}
	if err := natslog.Reopen(ctx, js, closed); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(add(2), log.InUse(ctx)); err != nil {
		t.Error(err)
	}
	if _, end, err := natslog.Close(ctx, js, "orders"); err != nil || end != 4 {
		t.Errorf("closed again at %d, %v; want 4", end, err)
	}
}

// A log says after which place it begins.
func TestAfter(t *testing.T) {
	js, stop := connect(t, t.TempDir())
	defer stop()
	ctx := t.Context()
	after := events.Chain{Applied: 1 << 52, Epoch: 7, Counted: 9, Hash: events.Hash{1, 2, 255}, Time: 1234}
	if _, err := natslog.Create(ctx, js, "orders", natslog.Config{After: after}); err != nil {
		t.Fatal(err)
	}
	log, err := natslog.Open(ctx, js, "orders")
	if err != nil || log.After() != after {
		t.Fatalf("it begins after %+v, %v; want %+v", log.After(), err, after)
	}
	if first, last, err := log.Bounds(ctx); err != nil || first != after.Applied+1 || last != after.Applied {
		t.Errorf("bounds %d, %d, %v", first, last, err)
	}
}
