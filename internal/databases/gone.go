package databases

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/millpondkv/millpond/events/natslog"
	"github.com/millpondkv/millpond/internal/checkpoints"
	"github.com/millpondkv/millpond/kv"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Gone reports whether a database was deleted or renamed: its log is closed, or another database has its name, or there is a note of it.
// A log that is missing without a word is lost, and not deleted.
func Gone(ctx context.Context, js jetstream.JetStream, name, id string) (bool, error) {
	log, closed, err := natslog.OpenClosed(ctx, js, name)
	if err == nil {
		return closed || log.ID() != id, nil
	}
	if !errors.Is(err, kv.ErrNoDatabase) {
		return false, err
	}
	list, err := deleted(ctx, js, name, id)
	return len(list) > 0, err
}

// CheckUnused fails with kv.ErrNoDatabase if a database of that name was deleted and is still kept: programs that go on as if it were
// there are not to make it anew.
func CheckUnused(ctx context.Context, js jetstream.JetStream, name string) error {
	list, err := deleted(ctx, js, name, "*")
	if err != nil {
		return err
	}
	for _, t := range list {
		if !t.Gone && t.As == "" {
			return kv.Errorf(kv.ErrNoDatabase, "the database %q was deleted; bring it back with millpond db undelete, or make it anew with millpond db create", name)
		}
	}
	return nil
}

// Kept returns all databases that were deleted and can be had again.
func Kept(ctx context.Context, js jetstream.JetStream) ([]Deleted, error) {
	list, err := deleted(ctx, js, "*", "*")
	return slices.DeleteFunc(list, func(t Deleted) bool { return t.Gone }), err
}

func deleted(ctx context.Context, js jetstream.JetStream, name, id string) ([]Deleted, error) {
	n, err := openNotes(ctx, js, 0)
	if err != nil {
		return nil, err
	}
	return n.deleted(ctx, name, id)
}

// pruneEvery is how often is looked for what is not to be kept any more.
const pruneEvery = 10 * time.Minute

// KeepPruned prunes until ctx ends. Any number of processes may do that.
func KeepPruned(ctx context.Context, conn *nats.Conn, js jetstream.JetStream, logger *slog.Logger) {
	ticker := time.NewTicker(pruneEvery)
	defer ticker.Stop()
	for {
		if err := prune(ctx, conn, js, logger); err != nil && ctx.Err() == nil {
			logger.Warn("cannot remove what is left of deleted databases; trying again", "error", err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// prune is Prune, and makes no bucket.
func prune(ctx context.Context, conn *nats.Conn, js jetstream.JetStream, logger *slog.Logger) error {
	d, err := Open(ctx, conn, Config{Logger: logger})
	if err != nil || d.notes == nil {
		return err
	}
	if d.bucket, err = checkpoints.Open(ctx, js, checkpoints.Config{}); errors.Is(err, checkpoints.ErrNone) {
		return nil
	}
	if err != nil {
		return err
	}
	return d.Prune(ctx)
}
