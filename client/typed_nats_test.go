package client

import (
	"sync"
	"testing"
	"time"

	"github.com/millpondkv/millpond/kv"
)

// Over NATS entries say when they expire, and Update reads strongly also on a handle whose reads are eventual.
func TestNATSTyped(t *testing.T) {
	type session struct{ User string }
	db, _ := startNATS(t)
	begun := time.Now()
	if _, err := db.Set(t.Context(), kv.Key{"session"}, session{"alice"}, ExpireIn(time.Hour)); err != nil {
		t.Fatal(err)
	}
	e, err := Get[session](t.Context(), db, kv.Key{"session"})
	if err != nil || e.Value.User != "alice" {
		t.Errorf("got %v, %v", e, err)
	}
	if d, ok := e.Remaining(begun); !ok || d < time.Hour-time.Second || d > time.Hour+time.Minute {
		t.Errorf("the entry has %v left, %v", d, ok)
	}

	const callers, rounds = 4, 10
	eventual := db.WithConsistency(Eventual)
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for range rounds {
				err := eventual.Update(t.Context(), func(tx *Tx) error {
					n, err := Get[int](t.Context(), tx, kv.Key{"n"})
					tx.Set(kv.Key{"n"}, n.Value+1)
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if n, err := Get[int](t.Context(), db, kv.Key{"n"}); err != nil || n.Value != callers*rounds {
		t.Errorf("counted to %v, %v; want %d", n.Value, err, callers*rounds)
	}
}
