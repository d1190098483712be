package checkpoints

import "context"

// Look is what Run does again and again.
func (k *Keeper) Look(ctx context.Context, renew func()) error {
	k.renew = renew
	return k.look(ctx)
}
