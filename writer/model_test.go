package writer_test

import (
	"fmt"
	"testing"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv/kvtest"
	"github.com/millpondkv/millpond/projection"
)

func TestRules(t *testing.T) { kvtest.Rules(t, start(t, &events.MemoryLog{})) }

// The sequencer with its projection answers every random history as the model does, and a replay of its log gives the
// same state, byte for byte.
func TestRandom(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			log := &events.MemoryLog{}
			r := start(t, log)
			kvtest.Random(t, r, seed, 300)
			if err := r.stop(); err != nil {
				t.Fatal(err)
			}
			sameAsReplay(t, r.projection, log)
		})
	}
}

func sameAsReplay(t *testing.T, p *projection.Projection, log events.Log) {
	t.Helper()
	chain, want, err := p.Digest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	replayed := projection.New(projection.Options{})
	defer replayed.Close()
	if err := replayed.CatchUp(t.Context(), log, chain.Applied); err != nil {
		t.Fatal(err)
	}
	if at, got, err := replayed.Digest(t.Context()); at != chain || got != want || err != nil {
		t.Errorf("the replay is at %+v with digest %x (%v); want %+v, %x", at, got[:4], err, chain, want[:4])
	}
}
