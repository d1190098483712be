package importer

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/internal/ndjson"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kv/v8"
)

// The bounds of a commit that every server of Deno KV takes, in bytes; Deno itself counts the keys twice.
const (
	maxBatchSize = kv.MaxAtomicSize
	maxBatchKeys = 80 << 10
)

// fewestChecks is the number of checks in a commit that every server takes: denokv allows no more.
const fewestChecks = 10

// maxTries bounds how often a batch is written while others change its keys, or its outcome stays unknown.
const maxTries = 5

// batch gathers entries with different keys.
type batch struct {
	items         []Item
	keys          map[kv.EncodedKey]bool
	size, keySize int
}

func (b *batch) full(most int, key kv.EncodedKey, value kv.Value) bool {
	return len(b.items) >= most || b.keys[key] || b.size+3*len(key)+len(value.Data) > maxBatchSize || b.keySize+len(key) > maxBatchKeys
}

func (b *batch) add(item Item, key kv.EncodedKey) {
	if b.keys == nil {
		b.keys = map[kv.EncodedKey]bool{}
	}
	b.items = append(b.items, item)
	b.keys[key] = true
	b.size += 3*len(key) + len(item.Entry.Value.Data)
	b.keySize += len(key)
}

func (b *batch) take() []Item {
	items := b.items
	*b = batch{}
	return items
}

// write brings the items into the database, each whole commit a part of them.
func (im *importer) write(ctx context.Context, items []Item) error {
	for try := 1; len(items) > 0; try++ {
		err := im.commit(ctx, items)
		var failed *client.CheckError
		switch {
		case err == nil:
			im.counts.Written += len(items)
			return nil
		case errors.As(err, &failed) && try < maxTries:
			if items, err = im.siftFailed(ctx, items, failed); err != nil {
				return err
			}
		case errors.Is(err, kv.ErrUnknownOutcome) && try < maxTries:
			// Sets can be repeated, and with checks the next try will show what has happened.
		case errors.Is(err, kv.ErrInvalid):
			return im.split(ctx, items, err)
		default:
			return err
		}
	}
	return nil
}

func (im *importer) commit(ctx context.Context, items []Item) error {
	atomic := im.db.Atomic()
	for _, item := range items {
		e := item.Entry
		if im.IfExists != Overwrite {
			atomic.Check(client.Absent(e.Key))
		}
		var options []client.SetOption
		if e.ExpireAt != 0 {
			options = append(options, client.ExpireAt(e.ExpireAt.Time()))
		}
		atomic.Set(e.Key, e.Value, options...)
	}
	_, err := atomic.Commit(ctx)
	return err
}

// split writes two halves of a batch that the server has refused: because it allows less in a commit, or because of one item,
// which is found so.
func (im *importer) split(ctx context.Context, items []Item, refusal error) error {
	if len(items) == 1 {
		im.lost(items[0].Name, refusal)
		return nil
	}
	im.most = max(fewestChecks, min(im.most, len(items)/2))
	half := len(items) / 2
	if err := im.write(ctx, items[:half]); err != nil {
		return err
	}
	return im.write(ctx, items[half:])
}

// siftFailed takes the items out whose key is not absent, and returns the others. A server may not say which they are.
func (im *importer) siftFailed(ctx context.Context, items []Item, failed *client.CheckError) ([]Item, error) {
	if len(failed.Failed) == 0 {
		return im.sift(ctx, items)
	}
	suspects := make([]Item, 0, len(failed.Failed))
	var others []Item
	for i, item := range items {
		if slices.Contains(failed.Failed, i) {
			suspects = append(suspects, item)
		} else {
			others = append(others, item)
		}
	}
	absent, err := im.sift(ctx, suspects)
	return append(others, absent...), err
}

// sift reads the keys of the items, counts those that have an entry, and returns those that have none: all of them if they are
// to be overwritten.
func (im *importer) sift(ctx context.Context, items []Item) (rest []Item, err error) {
	for items := range slices.Chunk(items, kv.MaxRanges) {
		keys := make([]kv.Key, len(items))
		for i, item := range items {
			keys[i] = item.Entry.Key
		}
		found, err := im.db.GetMany(ctx, keys...)
		if err != nil {
			return rest, err
		}
		for i, item := range items {
			switch {
			case !found[i].Exists():
				rest = append(rest, item)
			case im.IfExists == Overwrite:
				rest = append(rest, item)
				if !equal(found[i].Value, item.Entry.Value) {
					im.counts.Replaced++
				}
			case equal(found[i].Value, item.Entry.Value):
				im.counts.Same++
			default:
				if err := im.exists(item); err != nil {
					return rest, err
				}
			}
		}
	}
	return rest, nil
}

// equal reports whether JavaScript sees the same in two stored values: servers may write them in other bytes.
func equal(a, b kv.Value) bool {
	if a.Encoding != b.Encoding || bytes.Equal(a.Data, b.Data) {
		return a.Encoding == b.Encoding
	}
	if a.Encoding != kv.EncodingV8 {
		return false
	}
	return bytes.Equal(v8.Portable(a.Data, kv.MaxValueSize), v8.Portable(b.Data, kv.MaxValueSize)) ||
		bytes.Equal(ndjson.AppendValue(nil, a), ndjson.AppendValue(nil, b))
}
