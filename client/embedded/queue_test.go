package embedded_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/client/embedded"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kv/v8"
)

// Messages are delivered within the process too, on disk and in memory, and nothing is left of a listener.
func TestQueue(t *testing.T) {
	for name, open := range map[string]func() (*embedded.Engine, error){
		"directory": func() (*embedded.Engine, error) { return embedded.Open(t.Context(), t.TempDir()) },
		"memory":    func() (*embedded.Engine, error) { return embedded.OpenMemory(t.Context()) },
	} {
		t.Run(name, func(t *testing.T) {
			defer goleak.VerifyNone(t, goleak.IgnoreCurrent(), goleak.IgnoreAnyFunction("github.com/tidwall/buntdb.(*DB).backgroundManager"))
			e, err := open()
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			db, err := e.DB(t.Context(), "orders")
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if _, err := db.Enqueue(t.Context(), "later", client.EnqueueOptions{Delay: 300 * time.Millisecond}); err != nil {
				t.Fatal(err)
			}
			if _, err := db.Enqueue(t.Context(), "now", client.EnqueueOptions{Backoff: []time.Duration{0}}); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			var got []string
			err = db.ListenQueue(ctx, func(_ context.Context, m kv.Message) error {
				payload, err := v8.Decode(m.Payload)
				if err != nil {
					return err
				}
				got = append(got, payload.(string))
				switch len(got) {
				case 1:
					return errors.New("once more")
				case 3:
					cancel()
				}
				return nil
			}, client.ListenOptions{Concurrency: 1})
			if !errors.Is(err, context.Canceled) || len(got) != 3 || got[0] != "now" || got[1] != "now" || got[2] != "later" {
				t.Errorf("got %q, %v; want now twice, then later", got, err)
			}
			if stats, err := db.QueueStats(t.Context()); err != nil || stats != (kv.QueueStats{}) {
				t.Errorf("stats: %+v, %v; want none", stats, err)
			}
		})
	}
}
