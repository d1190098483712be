// Package importer brings entries and queue messages from elsewhere into a database.
//
// An import can be run again after any stop, at any place, and ends in the same state: an entry that is there already as it is
// to be is not written again, and a message leaves a marker with its commit by which a later run knows it.
package importer

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/kv"
)

// Source yields what is to be brought over. An error ends it.
type Source = iter.Seq2[Item, error]

// Item is one thing of a source: an entry, a message, or something that the source has and cannot hand over.
type Item struct {
	Name    string           // where it is in the source, for people
	Entry   *client.RawEntry // its versionstamp is the source's
	Message *Message
	Problem error // why it cannot be handed over
}

// Message is an enqueued message that was not delivered yet.
type Message struct {
	ID                string // unique in the source, and no other source's
	Payload           kv.Value
	Due               kv.Millis
	Backoff           []time.Duration // empty: it is not tried again
	KeysIfUndelivered []kv.Key
}

// IfExists is what to do with an entry whose key is there already, with another value. One with the same value is left as it
// is in any case, save that Overwrite gives it the source's expiry.
type IfExists string

const (
	Fail      IfExists = "fail"
	Skip      IfExists = "skip"
	Overwrite IfExists = "overwrite"
)

// ErrExists ends an import by Fail.
var ErrExists = errors.New("there is another entry already")

// Options says how to import.
type Options struct {
	Prefix   kv.Key // only the keys that begin with these parts and have more
	IfExists IfExists
	DryRun   bool             // write nothing, count what would be written
	Now      func() time.Time // to tell what has expired
	// Lost is called with everything that could not be carried over, or not as it was.
	Lost func(name string, err error)
	// Progress is called after each batch.
	Progress func(Counts)
}

// Counts is what became of the items of a source.
type Counts struct {
	Written  int `json:"written"`  // entries
	Replaced int `json:"replaced"` // of those, the ones that are another entry now; a dry run tells, Overwrite does not look
	Same     int `json:"same"`     // entries that were there already
	Kept     int `json:"kept"`     // keys whose entry was another one and has been left as it was, by Skip
	Expired  int `json:"expired"`  // entries that had expired in the source and were left out
	Messages int `json:"messages"` // enqueued
	Known    int `json:"known"`    // messages that an earlier run has enqueued
	Lost     int `json:"lost"`     // items that could not be carried over
	Changed  int `json:"changed"`  // items that were carried over, but not as they were
}

// Items returns how many items have been dealt with.
func (c Counts) Items() int {
	return c.Written + c.Same + c.Kept + c.Expired + c.Messages + c.Known + c.Lost
}

// importer is one run. It is for one goroutine.
type importer struct {
	Options
	db     *client.DB
	counts Counts
	batch  batch
	most   int // entries in a batch
}

// Run imports all of the source. What it has done before an error stays done.
func Run(ctx context.Context, db *client.DB, source Source, o Options) (Counts, error) {
	im := &importer{Options: o, db: db, most: kv.MaxChecks}
	if o.IfExists == Overwrite {
		im.most = kv.MaxMutations
	}
	prefix, err := o.Prefix.Encode()
	if err != nil {
		return Counts{}, err
	}
	for item, err := range source {
		if err == nil {
			err = im.take(ctx, item, prefix)
		}
		if err != nil {
			return im.counts, err
		}
	}
	return im.counts, im.flush(ctx)
}

func (im *importer) take(ctx context.Context, item Item, prefix kv.EncodedKey) error {
	switch {
	case item.Problem != nil:
		im.lost(item.Name, item.Problem)
	case item.Message != nil && len(im.Prefix) > 0: // it has no key
	case item.Message != nil:
		return im.message(ctx, item)
	default:
		key, err := item.Entry.Key.Encode()
		if err != nil {
			im.lost(item.Name, err)
			return nil
		}
		if len(im.Prefix) > 0 && (key < prefix+"\x00" || key >= prefix+"\xff") {
			return nil
		}
		return im.entry(ctx, item, key)
	}
	return nil
}

func (im *importer) entry(ctx context.Context, item Item, key kv.EncodedKey) error {
	now := kv.MillisOf(im.Now())
	e := item.Entry
	if e.ExpireAt.Expired(now) {
		im.counts.Expired++
		return nil
	}
	atomic := kv.Atomic{Mutations: []kv.Mutation{{Type: kv.MutationSet, Key: key, Value: e.Value, ExpireAt: e.ExpireAt}}}
	if err := atomic.Validate(now, false); err != nil {
		im.lost(item.Name, errors.New(strings.TrimPrefix(err.Error(), "mutation 0: ")))
		return nil
	}
	if im.batch.full(im.most, key, e.Value) {
		if err := im.flush(ctx); err != nil {
			return err
		}
	}
	im.batch.add(item, key)
	return nil
}

func (im *importer) lost(name string, err error) {
	im.counts.Lost++
	im.Lost(name, err)
}

// flush writes the batch, or finds out what writing it would do.
func (im *importer) flush(ctx context.Context) error {
	items := im.batch.take()
	if len(items) == 0 {
		return nil
	}
	write := im.write
	if im.DryRun {
		write = im.rehearse
	}
	if err := write(ctx, items); err != nil {
		return err
	}
	im.Progress(im.counts)
	return nil
}

// rehearse counts what write would do.
func (im *importer) rehearse(ctx context.Context, items []Item) error {
	rest, err := im.sift(ctx, items)
	im.counts.Written += len(rest)
	return err
}

// exists is what happens to an item whose key has another entry.
func (im *importer) exists(item Item) error {
	if im.IfExists == Fail {
		return fmt.Errorf("%s: %w", item.Entry.Key, ErrExists)
	}
	im.counts.Kept++
	return nil
}
