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

// GetMany returns the entries of any number of keys, in their order. They are of one snapshot: in process always, over NATS up to
// 1000 keys of 700 KB together, over HTTP up to kv.MaxRanges (10) keys. More than that are asked for in several reads, one after
// the other, each of a snapshot of its own. Use Update, or check the entries, if what is done with them depends on their being of
// one moment.
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
	entries := make([]RawEntry, 0, len(keys))
	for len(ranges) > 0 {
		n := db.transport.Together(ranges)
		results, err := db.read(ctx, ranges[:n])
		if err != nil {
			return nil, err
		}
		for _, found := range results {
			e := RawEntry{Key: keys[len(entries)]}
			if len(found) > 0 {
				e.Value, e.Versionstamp, e.ExpireAt = found[0].Value, found[0].Versionstamp, found[0].ExpireAt
			}
			entries = append(entries, e)
		}
		ranges = ranges[n:]
	}
	return entries, nil
}
