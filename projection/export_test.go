package projection

import (
	"context"
	"runtime"
)

// AwaitAsked blocks until so many digests are waited for.
func AwaitAsked(p *Projection, n int) {
	for got := -1; got < n; {
		p.update(func() { got = len(p.awaited) })
		runtime.Gosched()
	}
}

// Cuts returns how many cuts are open.
func Cuts(p *Projection) (n int) {
	p.update(func() { n = len(p.cuts) + len(p.awaited) })
	return n
}

// Step is what a Checkpointer does every few seconds.
func (c *Checkpointer) Step(ctx context.Context) error { return c.step(ctx) }
