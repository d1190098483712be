package importer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/kv"
)

// MarkerPrefix is the first part of the keys under which the messages that were imported are known.
const MarkerPrefix = "millpond import"

// markerKept is how long a message is known: longer than any message waits.
const markerKept = 31 * 24 * time.Hour

var errRetries = errors.New("it was not to be tried again, which cannot be said over KV Connect: it was enqueued with the default retries")

// message enqueues the message of the item, unless an earlier run has.
func (im *importer) message(ctx context.Context, item Item) error {
	m := item.Message
	marker := kv.Key{MarkerPrefix, m.ID}
	if im.DryRun {
		return im.rehearseMessage(ctx, marker)
	}
	done, err := client.V8(true)
	if err != nil {
		return fmt.Errorf("encode the marker: %w", err)
	}
	for try := 1; ; try++ {
		atomic := im.db.Atomic().Check(client.Absent(marker)).Set(marker, done, client.ExpireIn(markerKept)).
			Enqueue(m.Payload, client.EnqueueOptions{
				Delay: max(0, m.Due.Time().Sub(im.Now())), Backoff: m.Backoff, KeysIfUndelivered: m.KeysIfUndelivered,
			})
		_, err := atomic.Commit(ctx)
		switch {
		case errors.Is(err, kv.ErrUnknownOutcome) && try < maxTries: // the marker will tell
			continue
		case errors.Is(err, client.ErrCheckFailed):
			im.counts.Known++
			return nil
		case errors.Is(err, kv.ErrInvalid):
			im.lost(item.Name, err)
			return nil
		case err != nil:
			return err
		}
		im.counts.Messages++
		if len(m.Backoff) == 0 {
			im.counts.Changed++
			im.Lost(item.Name, errRetries)
		}
		im.Progress(im.counts)
		return nil
	}
}

func (im *importer) rehearseMessage(ctx context.Context, marker kv.Key) error {
	known, err := im.db.Get(ctx, marker)
	switch {
	case err != nil:
		return err
	case known.Exists():
		im.counts.Known++
	default:
		im.counts.Messages++
	}
	return nil
}
