package databases

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// notesBucket keeps a note for each database that is being made or was deleted.
const notesBucket = "millpond_databases"

// notes are those of the bucket; nil: there is none, and so no note.
type notes struct{ jetstream.KeyValue }

// openNotes makes the bucket unless it is there, or replicas is 0.
func openNotes(ctx context.Context, js jetstream.JetStream, replicas int) (*notes, error) {
	bucket, err := js.KeyValue(ctx, notesBucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		if replicas == 0 {
			return nil, nil
		}
		bucket, err = js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
			Bucket: notesBucket, Description: "Millpond databases that are being made, or were deleted", Replicas: replicas,
		})
		if errors.Is(err, jetstream.ErrBucketExists) { // somebody else was faster
			bucket, err = js.KeyValue(ctx, notesBucket)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open the bucket %s: %w", notesBucket, err)
	}
	return &notes{bucket}, nil
}

// read reads a note into v, and returns its revision; 0 if there is none.
func (n *notes) read(ctx context.Context, key string, v any) (revision uint64, err error) {
	if n == nil {
		return 0, nil
	}
	entry, err := n.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return 0, nil
	}
	if err == nil {
		err = json.Unmarshal(entry.Value(), v)
	}
	if err != nil {
		return 0, fmt.Errorf("read the note %s: %w", key, err)
	}
	return entry.Revision(), nil
}

// write writes a note in place of the one with that revision; 0: there must be none.
func (n *notes) write(ctx context.Context, key string, v any, revision uint64) (uint64, error) {
	data, err := json.Marshal(v)
	if err == nil && revision == 0 {
		revision, err = n.Create(ctx, key, data)
	} else if err == nil {
		revision, err = n.Update(ctx, key, data, revision)
	}
	if err != nil {
		return 0, fmt.Errorf("write the note %s: %w", key, err)
	}
	return revision, nil
}

// remove removes the note with that revision.
func (n *notes) remove(ctx context.Context, key string, revision uint64) error {
	if err := n.Purge(ctx, key, jetstream.LastRevision(revision)); err != nil {
		return fmt.Errorf("remove the note %s: %w", key, err)
	}
	return nil
}

// keys returns the keys that a pattern of NATS fits.
func (n *notes) keys(ctx context.Context, pattern string) (keys []string, err error) {
	if n == nil {
		return nil, nil
	}
	lister, err := n.ListKeysFiltered(ctx, pattern)
	if err != nil {
		return nil, fmt.Errorf("list the notes: %w", err)
	}
	for key := range lister.Keys() {
		keys = append(keys, key)
	}
	return keys, nil
}
