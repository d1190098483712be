package projection

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
)

// ErrPassed says that a projection has gone on from a position that it was asked about.
var ErrPassed = errors.New("the projection has gone past that position")

// Digest returns a checksum of the whole state at the current position, which it returns too. It is read as a checkpoint is:
// two projections at the same position have the same digest.
func (p *Projection) Digest(ctx context.Context) (events.Chain, events.Hash, error) {
	c, err := p.startCut()
	if err != nil {
		return events.Chain{}, events.Hash{}, fmt.Errorf("take a digest: %w", err)
	}
	hash, err := p.digest(ctx, c)
	return c.chain, hash, err
}

// DigestAt is Digest at exactly the given position: it blocks until that has been applied, or ctx ends. It fails with
// ErrPassed if the projection is further already. Several calls may wait, and for one position.
func (p *Projection) DigestAt(ctx context.Context, at kv.Position) (events.Hash, error) {
	c, err := p.cutAt(ctx, at)
	if err != nil {
		return events.Hash{}, fmt.Errorf("take a digest at position %d: %w", at, err)
	}
	return p.digest(ctx, c)
}

func (p *Projection) digest(ctx context.Context, c *cut) (events.Hash, error) {
	defer p.endCut(c)
	sum := sha256.New()
	if err := p.writeCut(ctx, c, sum, "digest"); err != nil {
		return events.Hash{}, fmt.Errorf("take a digest: %w", err)
	}
	return events.Hash(sum.Sum(nil)), nil
}
