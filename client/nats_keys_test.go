package client

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/millpondkv/millpond/kv"
)

// Keys and counts move no values over the network.
func TestNATSKeysOnly(t *testing.T) {
	db, _ := startNATS(t)
	const entries, size = 20, 50_000
	for i := range entries {
		mustSet(t, db, kv.Key{"k", i}, string(bytes.Repeat([]byte{1}, size)))
	}
	before := db.transport.(*natsTransport).conn.Stats().InBytes
	if n, err := db.Count(t.Context(), Selector{}); err != nil || n != entries {
		t.Errorf("counted %d, %v", n, err)
	}
	if got := db.transport.(*natsTransport).conn.Stats().InBytes - before; got > size {
		t.Errorf("%d bytes have come for %d keys", got, entries)
	}
}

// A read that is pinned to what no commit has reached fails alone, and says that it may succeed later.
func TestNATSAtLeastTooFar(t *testing.T) {
	r := newNATSRig(t)
	r.reader()
	r.writer()
	db := r.open(WithRetryTime(100 * time.Millisecond))
	v := mustSet(t, db, kv.Key{"a"}, "x")
	future := db.WithConsistency(Eventual).AtLeast(kv.NewVersionstamp(v.Position()+1000, 0))
	failed := make(chan error)
	go func() {
		_, err := future.Get(t.Context(), kv.Key{"a"})
		failed <- err
	}()
	for range 100 {
		if got, err := db.WithConsistency(Eventual).Get(t.Context(), kv.Key{"a"}); err != nil || got.Versionstamp != v {
			t.Fatalf("another read: %v, %v", got, err)
		}
	}
	if err := <-failed; !errors.Is(err, kv.ErrUnavailable) {
		t.Errorf("the pinned read: %v; want ErrUnavailable", err)
	}
}
