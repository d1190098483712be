package projection

import (
	"context"
	"errors"
	"fmt"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
)

// ErrReplaced says that a state cannot be read to its end, since the projection has gone on from a checkpoint meanwhile.
var ErrReplaced = errors.New("the projection goes on from a checkpoint")

var errNoCheckpoints = errors.New("there are no checkpoints to go on from")

// takeOver makes the state of a checkpoint this projection's: of one at the position least or later, which must be ahead of
// where the projection is, and belong to the log. Reads and watches go on: to them it is as if all records up to there came at once.
func (p *Projection) takeOver(ctx context.Context, log events.Log, least kv.Position) error {
	if p.options.Checkpoint == nil {
		return errNoCheckpoints
	}
	p.taking.Store(true)
	defer p.taking.Store(false)
	from, err := p.options.Checkpoint(ctx, least)
	if err != nil {
		return err
	}
	if err := p.fits(ctx, log, from.chain, least); err != nil {
		return errors.Join(err, from.Close())
	}
	return p.replace(from)
}

// TakesOver reports whether the projection is about to go on from a checkpoint, which may take long: until then it stands still.
func (p *Projection) TakesOver() bool { return p.taking.Load() }

// fits reports what is wrong with a checkpoint. A server of the log that lags behind it may have answered, so this is no damage.
func (p *Projection) fits(ctx context.Context, log events.Log, c events.Chain, least kv.Position) error {
	if c.Applied < least || c.Applied <= p.Applied() {
		return fmt.Errorf("the checkpoint is at %d, and nothing before %d helps", c.Applied, max(least, p.Applied()+1))
	}
	v, ok := log.(Verifier)
	if !ok {
		return nil
	}
	err := v.Verify(ctx, c)
	if errors.Is(err, events.ErrGap) {
		return fmt.Errorf("the log does not have what the checkpoint at %d has, or the server that answers is behind: %v", c.Applied, err)
	}
	return err
}

// replace puts the contents of another projection, which is nobody else's and is used up, in the place of those that are here.
func (p *Projection) replace(from *Projection) error {
	before := p.entries.Load()
	err := p.update(func() {
		p.chain, p.recent, p.expiries, p.size = from.chain, from.recent, from.expiries, from.size
		p.cuts = nil // who reads them meets ErrReplaced
		p.entries.Store(from.entries.Load())
		p.passAwaited()
	})
	if err != nil {
		return errors.Join(err, from.Close())
	}
	p.applied.advance(from.chain.Applied)
	p.watches.wakeAll(from.chain.Applied)
	return before.Close()
}

// passAwaited tells those who wait for cuts at positions that were jumped over.
func (p *Projection) passAwaited() {
	awaited := p.awaited
	p.awaited = nil
	for _, a := range awaited {
		switch {
		case a.at < p.chain.Applied:
			close(a.begun)
		case a.at == p.chain.Applied:
			a.begun <- p.cutHere()
		default:
			p.awaited = append(p.awaited, a)
		}
	}
}
