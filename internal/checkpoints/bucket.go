// Package checkpoints keeps checkpoints of databases where all processes of a NATS system find them, so that a log need not be
// kept from its beginning.
package checkpoints

import (
	"context"
	"errors"
	"fmt"

	"github.com/millpondkv/millpond/internal/asking"
	"github.com/millpondkv/millpond/kv"
	"github.com/nats-io/nats.go/jetstream"
)

// bucket is a JetStream object store, laid out as nats.go does it (ADR-20 of NATS), so that the nats command can read it. Its
// own Put and Get are not used: Put has up to 512 MB in flight, and tells of an object before all of it is stored.
const (
	bucket       = "millpond_checkpoints"
	stream       = "OBJ_" + bucket
	chunkSubject = "$O." + bucket + ".C."
	metaSubject  = "$O." + bucket + ".M."
)

// ErrNone says that there is no checkpoint, or no bucket.
var ErrNone = errors.New("there is no checkpoint")

// ErrDamaged says that the bucket does not have what was put there.
var ErrDamaged = errors.New("the checkpoint is damaged")

// Config is how the bucket is made if it is absent.
type Config struct {
	Replicas int  // as many as the logs have; 0: it is not made
	Memory   bool // keep it in memory: lost with the server
}

func (c Config) storage() jetstream.StorageType {
	if c.Memory {
		return jetstream.MemoryStorage
	}
	return jetstream.FileStorage
}

// Bucket keeps the checkpoints of all databases of a NATS system, replicated like their logs. Its methods may be called from
// several goroutines. A checkpoint is named by its position and never changes.
type Bucket struct {
	js     jetstream.JetStream
	stream asking.Stream
}

// Open opens the bucket. It fails with ErrNone if it is absent and not to be made.
func Open(ctx context.Context, js jetstream.JetStream, c Config) (*Bucket, error) {
	s, err := asking.Open(ctx, js, stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		if c.Replicas == 0 {
			return nil, fmt.Errorf("%w: the bucket %s is not there", ErrNone, bucket)
		}
		s, err = create(ctx, js, c)
	}
	if err != nil {
		return nil, fmt.Errorf("open the bucket of checkpoints: %w", err)
	}
	return &Bucket{js: js, stream: s}, nil
}

func create(ctx context.Context, js jetstream.JetStream, c Config) (s asking.Stream, err error) {
	config := jetstream.ObjectStoreConfig{Bucket: bucket, Description: "Checkpoints of the Millpond databases", Replicas: c.Replicas, Storage: c.storage()}
	_, err = js.CreateObjectStore(ctx, config)
	if err != nil && !errors.Is(err, jetstream.ErrBucketExists) { // somebody else was faster
		return s, err
	}
	return asking.Open(ctx, js, stream)
}

// Delete deletes a checkpoint, if it is there. Nobody finds it any more, even if only a part was deleted.
func (b *Bucket) Delete(ctx context.Context, databaseID string, at kv.Position) error {
	o, err := b.object(ctx, objectName(databaseID, at))
	if errors.Is(err, ErrNone) {
		return nil
	}
	if err == nil {
		err = b.stream.Purge(ctx, jetstream.WithPurgeSubject(metaSubject+encode(o.Name)))
	}
	if err == nil { // what a crash leaves here, Sweep deletes
		err = b.stream.Purge(ctx, jetstream.WithPurgeSubject(chunkSubject+o.NUID))
	}
	if err != nil {
		return fmt.Errorf("delete the checkpoint at %d: %w", at, err)
	}
	return nil
}

// objectName is ordered by position within a database.
func objectName(databaseID string, at kv.Position) string {
	return fmt.Sprintf("%s/%020d", databaseID, uint64(at))
}
