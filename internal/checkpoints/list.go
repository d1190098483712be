package checkpoints

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millpondkv/millpond/kv"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/oklog/ulid/v2"
)

// Info is what is known of a checkpoint.
type Info struct {
	Position kv.Position
	Time     kv.Millis // log time at the position
	Taken    time.Time
	Bytes    int64
}

// What an object's metadata says of a checkpoint.
const (
	metadataPosition = "millpond.position"
	metadataTime     = "millpond.time"
	metadataTaken    = "millpond.taken"
)

// List returns the checkpoints of a database that are whole, oldest first.
func (b *Bucket) List(ctx context.Context, databaseID string) (list []Info, err error) {
	objects, err := b.objects(ctx, databaseID)
	for _, o := range objects {
		info, infoErr := infoOf(o)
		list, err = append(list, info), errors.Join(err, infoErr)
	}
	if err != nil {
		return nil, fmt.Errorf("list the checkpoints: %w", err)
	}
	slices.SortFunc(list, func(a, b Info) int { return cmp.Compare(a.Position, b.Position) })
	return list, nil
}

// objects returns what is noted of the checkpoints of a database.
func (b *Bucket) objects(ctx context.Context, databaseID string) (list []*jetstream.ObjectInfo, err error) {
	metas, err := subjects(ctx, b.stream, metaSubject+">")
	if err != nil {
		return nil, err
	}
	for subject := range metas {
		name, err := base64.URLEncoding.DecodeString(strings.TrimPrefix(subject, metaSubject))
		if err != nil || !strings.HasPrefix(string(name), databaseID+"/") {
			continue
		}
		object, err := b.object(ctx, string(name))
		if errors.Is(err, ErrNone) { // it was deleted just now
			continue
		}
		if err != nil {
			return nil, err
		}
		list = append(list, object)
	}
	return list, nil
}

// object returns what is noted of an object; it fails with ErrNone.
func (b *Bucket) object(ctx context.Context, name string) (*jetstream.ObjectInfo, error) {
	m, err := b.stream.GetLastMsgForSubject(ctx, metaSubject+encode(name))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, fmt.Errorf("%w: %s", ErrNone, name)
	}
	if err != nil {
		return nil, fmt.Errorf("look for the checkpoint %s: %w", name, err)
	}
	var info jetstream.ObjectInfo
	if err := json.Unmarshal(m.Data, &info); err != nil {
		return nil, fmt.Errorf("%w: what is noted of %s cannot be read: %w", ErrDamaged, name, err)
	}
	if info.Deleted { // by somebody who used the nats command
		return nil, fmt.Errorf("%w: %s", ErrNone, name)
	}
	return &info, nil
}

func infoOf(o *jetstream.ObjectInfo) (Info, error) {
	position, err := strconv.ParseUint(o.Metadata[metadataPosition], 10, 64)
	at, timeErr := strconv.ParseInt(o.Metadata[metadataTime], 10, 64)
	taken, takenErr := time.Parse(time.RFC3339Nano, o.Metadata[metadataTaken])
	if err := errors.Join(err, timeErr, takenErr); err != nil {
		return Info{}, fmt.Errorf("%w: what is noted of %s cannot be read: %w", ErrDamaged, o.Name, err)
	}
	return Info{Position: kv.Position(position), Time: kv.Millis(at), Taken: taken, Bytes: int64(o.Size)}, nil
}

// subjects returns how many messages each of the subjects has that the filter fits.
func subjects(ctx context.Context, s jetstream.Stream, filter string) (map[string]uint64, error) {
	info, err := s.Info(ctx, jetstream.WithSubjectFilter(filter))
	if err != nil {
		return nil, err
	}
	return info.State.Subjects, nil
}

// sweepAfter is how old contents must be that no checkpoint has, to be taken for those of a Put that has died.
const sweepAfter = 4 * putBound

// Sweep deletes what a Put or a Delete of that database's checkpoints that died has left behind.
func (b *Bucket) Sweep(ctx context.Context, databaseID string, now time.Time) error {
	// The contents first: those of a Put that ends in between are old enough only if it died.
	contents, err := subjects(ctx, b.stream, chunkSubject+databaseID+".>")
	if err != nil {
		return fmt.Errorf("look for unfinished checkpoints: %w", err)
	}
	objects, err := b.objects(ctx, databaseID)
	if err != nil {
		return fmt.Errorf("look for unfinished checkpoints: %w", err)
	}
	for _, o := range objects {
		delete(contents, chunkSubject+o.NUID)
	}
	for subject := range contents {
		_, id, _ := strings.Cut(strings.TrimPrefix(subject, chunkSubject), ".")
		begun, err := ulid.ParseStrict(id)
		if err == nil && now.Sub(begun.Timestamp()) < sweepAfter {
			continue
		}
		if err := b.stream.Purge(ctx, jetstream.WithPurgeSubject(subject)); err != nil {
			return fmt.Errorf("delete an unfinished checkpoint: %w", err)
		}
	}
	return nil
}

func encode(name string) string { return base64.URLEncoding.EncodeToString([]byte(name)) }
