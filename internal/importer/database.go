package importer

import (
	"context"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/kv"
)

// sourceBatch is how many entries are read with one request: of the largest, 16 MB.
const sourceBatch = 250

// FromDatabase returns the entries of another database below the prefix. What is written meanwhile may be among them or not. Its
// messages cannot be read.
func FromDatabase(ctx context.Context, db *client.DB, prefix kv.Key) Source {
	return func(yield func(Item, error) bool) {
		for entry, err := range db.List(ctx, client.Selector{Prefix: prefix, BatchSize: sourceBatch}) {
			if !yield(Item{Name: entry.Key.String(), Entry: &entry}, err) || err != nil {
				return
			}
		}
	}
}
