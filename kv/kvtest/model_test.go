package kvtest_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kv/kvtest"
)

// database makes a Database of the model, with the positions of an imagined log.
type database struct {
	model *kvtest.Model
	now   kv.Millis
	end   kv.Position
}

func (d *database) Commit(_ context.Context, a *kv.Atomic) (kv.CommitResult, error) {
	d.end++
	return d.model.Commit(a, d.now, kv.NewVersionstamp(d.end, 0))
}

func (d *database) Read(_ context.Context, ranges []kv.Range) ([][]kv.Entry, error) {
	return d.model.Read(ranges, d.now), nil
}

func (d *database) SetNow(now kv.Millis) { d.now = now }

func TestRules(t *testing.T) { kvtest.Rules(t, &database{model: kvtest.New()}) }

func TestMessages(t *testing.T) {
	m := kvtest.New()
	first, second, third := kv.Enqueue{Payload: []byte{1}}, kv.Enqueue{Payload: []byte{2}, Deadline: 7}, kv.Enqueue{Payload: []byte{3}}
	k := kv.Key{"k"}.MustEncode()
	for i, a := range []kv.Atomic{
		{Enqueues: []kv.Enqueue{first, second}},
		{Enqueues: []kv.Enqueue{{}}, Checks: []kv.Check{{Key: k, Versionstamp: new(kv.Versionstamp)}}},
		{Enqueues: []kv.Enqueue{{}}, Mutations: []kv.Mutation{{Type: kv.MutationSum, Key: k, Value: kv.Value{Encoding: kv.EncodingV8}}}},
		{Enqueues: []kv.Enqueue{third}},
	} {
		_, _ = m.Commit(&a, 1, kv.NewVersionstamp(kv.Position(i+1), 0)) // the second and third fail, by a check and a mutation
	}
	want := []kvtest.Message{
		{kv.NewVersionstamp(1, 0), first},
		{kv.NewVersionstamp(1, 0), second},
		{kv.NewVersionstamp(4, 0), third},
	}
	if diff := cmp.Diff(want, m.Messages()); diff != "" {
		t.Errorf("the messages differ (-want +got):\n%s", diff)
	}
}
