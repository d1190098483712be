package natslog

import (
	"context"
	"fmt"

	"github.com/millpondkv/millpond/kv"
	"github.com/nats-io/nats.go/jetstream"
)

// Trim deletes all records before the position first, for ever; that one becomes the first of the log. The caller has made sure that
// what they lead to can be had elsewhere, and that the log has a record there. After an error they may be deleted, or be so later.
//
// When the record of the current epoch is deleted the fence does not fit any more: the next append is refused, and its writer
// begins a new epoch.
func (l *Log) Trim(ctx context.Context, first kv.Position) error {
	if err := l.stream.Purge(ctx, jetstream.WithPurgeSequence(uint64(first))); err != nil {
		return fmt.Errorf("trim the log of %q: %w", l.database, err)
	}
	return nil
}
