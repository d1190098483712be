package client

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millpondkv/millpond/kv"
)

// contended is a transport on which every commit comes too late.
type contended struct {
	transport
	commits int
}

func (c *contended) Commit(context.Context, *kv.Atomic) (kv.Versionstamp, error) {
	c.commits++
	return kv.Versionstamp{}, &CheckError{}
}

// Update gives up after many conflicts, or when its context ends between two.
func TestUpdateGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &contended{}
		db := newDB(c, time.Now)
		begun := time.Now()
		update := func(ctx context.Context) error {
			return db.Update(ctx, func(tx *Tx) error { tx.Set(kv.Key{"a"}, 1); return nil })
		}
		err := update(t.Context())
		if !errors.Is(err, ErrCheckFailed) || !strings.Contains(err.Error(), "gave up after 100 tries, each of which met a change") {
			t.Errorf("got %v", err)
		}
		if took := time.Since(begun); c.commits != maxTries || took < time.Second || took > maxTries*maxConflict {
			t.Errorf("%d tries took %v", c.commits, took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := update(ctx); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrCheckFailed) {
			t.Errorf("got %v, want the context's error and what came before", err)
		}
	})
}
