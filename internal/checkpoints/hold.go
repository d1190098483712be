package checkpoints

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/millpondkv/millpond/internal/asking"
	"github.com/millpondkv/millpond/kv"
	"github.com/nats-io/nats.go/jetstream"
)

// holds is a JetStream key-value bucket with a key for each hold: UUID of the database, then name.
const (
	holdsBucket  = "millpond_holds"
	holdsStream  = "KV_" + holdsBucket
	holdsSubject = "$KV." + holdsBucket + "."
)

// Hold keeps a log from being trimmed.
type Hold struct {
	Name     string      `json:"name"`     // a-z, 0-9, - and _
	Position kv.Position `json:"position"` // what comes after it is needed
	Of       string      `json:"of"`       // what needs it, for people
	Moved    time.Time   `json:"moved"`
}

// Holds are those of all databases of a NATS system. Their methods may be called from several goroutines.
type Holds struct {
	kv     jetstream.KeyValue
	stream asking.Stream
}

// OpenHolds opens the holds, and makes their bucket first if it is absent and c says how; otherwise it fails with ErrNone then.
func OpenHolds(ctx context.Context, js jetstream.JetStream, c Config) (*Holds, error) {
	bucket, err := js.KeyValue(ctx, holdsBucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		if c.Replicas == 0 {
			return nil, fmt.Errorf("%w: the bucket %s is not there", ErrNone, holdsBucket)
		}
		config := jetstream.KeyValueConfig{Bucket: holdsBucket, Description: "What keeps the logs of Millpond databases from being trimmed", Replicas: c.Replicas, Storage: c.storage()}
		if bucket, err = js.CreateKeyValue(ctx, config); errors.Is(err, jetstream.ErrBucketExists) { // somebody else was faster
			bucket, err = js.KeyValue(ctx, holdsBucket)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open the bucket of holds: %w", err)
	}
	s, err := asking.Open(ctx, js, holdsStream)
	if err != nil {
		return nil, fmt.Errorf("open the bucket of holds: %w", err)
	}
	return &Holds{kv: bucket, stream: s}, nil
}

// Set makes or moves a hold.
func (h *Holds) Set(ctx context.Context, databaseID string, hold Hold) error {
	data, err := json.Marshal(hold)
	if err == nil {
		_, err = h.kv.Put(ctx, databaseID+"."+hold.Name, data)
	}
	if err != nil {
		return fmt.Errorf("set the hold %s: %w", hold.Name, err)
	}
	return nil
}

// Remove removes a hold. It fails with ErrNone.
func (h *Holds) Remove(ctx context.Context, databaseID, name string) error {
	_, err := h.kv.Get(ctx, databaseID+"."+name)
	if err == nil {
		err = h.kv.Delete(ctx, databaseID+"."+name)
	}
	if errors.Is(err, jetstream.ErrKeyNotFound) || errors.Is(err, jetstream.ErrInvalidKey) {
		return fmt.Errorf("%w of that name: there is no hold %q", ErrNone, name)
	}
	if err != nil {
		return fmt.Errorf("remove the hold %s: %w", name, err)
	}
	return nil
}

// List returns the holds of a database, by name.
func (h *Holds) List(ctx context.Context, databaseID string) (list []Hold, err error) {
	keys, err := subjects(ctx, h.stream, holdsSubject+databaseID+".>")
	if err != nil {
		return nil, fmt.Errorf("list the holds: %w", err)
	}
	for key := range keys {
		entry, err := h.kv.Get(ctx, strings.TrimPrefix(key, holdsSubject))
		if errors.Is(err, jetstream.ErrKeyNotFound) { // it was removed
			continue
		}
		var hold Hold
		if err == nil {
			err = json.Unmarshal(entry.Value(), &hold)
		}
		if err != nil {
			return nil, fmt.Errorf("read the hold %s: %w", key, err)
		}
		list = append(list, hold)
	}
	slices.SortFunc(list, func(a, b Hold) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}
