package natslog

import (
	"context"
	"fmt"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
	"github.com/nats-io/nats.go/jetstream"
)

// Trim deletes all records before the position first, for ever; that one becomes the first of the log. The caller has made sure that
// what they lead to can be had elsewhere. It refuses with events.ErrGap if the log has no record at first, and if the database has been
// made anew. After another error they may be deleted, or be so later.
//
// The record of the current epoch has to stay, or the fence does not fit any more: the next append is refused, and its writer begins
// a new epoch.
func (l *Log) Trim(ctx context.Context, first kv.Position) error {
	info, err := l.stream.Info(ctx)
	if err == nil && info.Config.Metadata[metadataID] != l.id {
		err = fmt.Errorf("the database was made anew: its id is %s now and was %s", info.Config.Metadata[metadataID], l.id)
	}
	if err == nil && kv.Position(info.State.LastSeq) < first {
		err = fmt.Errorf("%w: it ends at %d, before %d", events.ErrGap, info.State.LastSeq, first)
	}
	if err == nil {
		err = l.stream.Purge(ctx, jetstream.WithPurgeSequence(uint64(first)))
	}
	if err != nil {
		return fmt.Errorf("trim the log of %q: %w", l.database, err)
	}
	return nil
}
