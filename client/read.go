package client

import (
	"context"

	"github.com/millpondkv/millpond/kv"
)

// Get returns the entry of key. An absent key is no error; see Exists. The read is strong, it sees every commit that was
// answered before the call, unless WithConsistency says otherwise.
func (db *DB) Get(ctx context.Context, key kv.Key) (RawEntry, error) {
	entries, err := db.GetMany(ctx, key)
	if err != nil {
		return RawEntry{Key: key}, err
	}
	return entries[0], nil
}

// TellsExpiry reports whether Get, GetMany and List return when an entry expires. Millpond's servers tell, others do not: KV
// Connect has no field for it. Watch never tells over KV Connect.
func (db *DB) TellsExpiry() bool {
	c, ok := db.transport.(*connection)
	if !ok {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session.expiry
}

// GetMany returns the entries of keys, in their order, from one snapshot. Servers allow kv.MaxRanges keys and fail with
// kv.ErrInvalid if there are more.
func (db *DB) GetMany(ctx context.Context, keys ...kv.Key) ([]RawEntry, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	ranges := make([]kv.Range, len(keys))
	for i, key := range keys {
		encoded, err := key.Encode()
		if err != nil {
			return nil, err
		}
		ranges[i] = kv.Range{Start: encoded, End: encoded + "\x00", Limit: 1}
	}
	results, err := db.read(ctx, ranges)
	if err != nil {
		return nil, err
	}
	entries := make([]RawEntry, len(keys))
	for i, found := range results {
		entries[i] = RawEntry{Key: keys[i]}
		if len(found) > 0 {
			entries[i].Value, entries[i].Versionstamp, entries[i].ExpireAt = found[0].Value, found[0].Versionstamp, found[0].ExpireAt
		}
	}
	return entries, nil
}
