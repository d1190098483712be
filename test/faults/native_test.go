//go:build linux

package faults

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	goclient "github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/kv"
)

// native is Millpond's own client over NATS. It asks whichever reader NATS chooses, and the leader; and it tries again by itself.
type native struct{ db *goclient.DB }

func dialNative(t testing.TB, servers string) native {
	t.Helper()
	url := "nats://" + strings.ReplaceAll(servers, "nats://", "") + "/" + kvDefault
	var db *goclient.DB
	eventually(t, startWait, "a native client has found the database", func() (ok bool) {
		var err error
		db, err = goclient.Open(t.Context(), url)
		return err == nil
	})
	t.Cleanup(func() { db.Close() })
	return native{db}
}

func (n native) commit(ctx context.Context, a *kv.Atomic) (kv.CommitResult, error) {
	atomic := n.db.Atomic()
	for _, check := range a.Checks {
		key := decoded(check.Key)
		if check.Versionstamp == nil {
			atomic.Check(goclient.Absent(key))
		} else {
			atomic.Check(goclient.At(key, *check.Versionstamp))
		}
	}
	for _, m := range a.Mutations {
		switch key := decoded(m.Key); m.Type {
		case kv.MutationSet:
			atomic.Set(key, m.Value)
		case kv.MutationDelete:
			atomic.Delete(key)
		case kv.MutationSum:
			atomic.SumValue(key, m.Value, goclient.SumBounds{})
		default:
			return kv.CommitResult{}, fmt.Errorf("%w: mutation type %v", errUnexpected, m.Type)
		}
	}
	stamp, err := atomic.Commit(ctx)
	var failed *goclient.CheckError
	if errors.As(err, &failed) {
		return kv.CommitResult{FailedChecks: failed.Failed}, nil
	}
	return kv.CommitResult{Versionstamp: stamp}, err
}

func (n native) read(ctx context.Context, r kv.Range) (entries []kv.Entry, err error) {
	start, end := decoded(r.Start), r.End
	if end != r.Start+"\xff" {
		return nil, fmt.Errorf("%w: a range that is no prefix", errUnexpected)
	}
	for e, err := range n.db.List(ctx, goclient.Selector{Prefix: start, BatchSize: 500}) { // in one read
		if err != nil {
			return nil, err
		}
		entries = append(entries, kv.Entry{Key: e.Key.MustEncode(), Versionstamp: e.Versionstamp, Value: e.Value})
	}
	return entries, nil
}

// decoded is for keys of the clients, which are good.
func decoded(k kv.EncodedKey) kv.Key {
	key, err := k.Decode()
	if err != nil {
		panic(err)
	}
	return key
}
