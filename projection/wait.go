package projection

import (
	"context"
	"sync"

	"github.com/millpondkv/millpond/kv"
)

// Wait blocks until the record at position at, and so all before it, has been applied, or ctx ends.
func (p *Projection) Wait(ctx context.Context, at kv.Position) error {
	for {
		reached, moved := p.applied.reached(at)
		if reached {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Applied returns the position of the last record that has been applied.
func (p *Projection) Applied() kv.Position {
	p.applied.mu.Lock()
	defer p.applied.mu.Unlock()
	return p.applied.applied
}

// waiters wakes those who wait for the applied position to move.
type waiters struct {
	mu      sync.Mutex
	applied kv.Position
	moved   chan struct{} // closed when applied moves; nil while nobody waits
}

func (w *waiters) advance(to kv.Position) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.applied = to
	if w.moved != nil {
		close(w.moved)
		w.moved = nil
	}
}

func (w *waiters) reached(at kv.Position) (bool, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.applied >= at {
		return true, nil
	}
	if w.moved == nil {
		w.moved = make(chan struct{})
	}
	return false, w.moved
}
