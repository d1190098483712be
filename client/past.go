package client

import (
	"context"
	"iter"

	"github.com/millpondkv/millpond/kv"
)

// Past is a database as it was at a moment, to be read only. Its methods may be called from many goroutines; all of them see one
// state, that which the first read finds.
//
// Reads of the past are slower than those of the present: they fold the part of the log that leads to the moment. They fail with kv.ErrGone if
// the history that is kept does not reach back so far; the error says how far it does.
type Past struct {
	db     *DB
	moment chan kv.Moment // holds the moment while nobody finds out what it means; cap 1
}

// At returns the database as it was at a moment: kv.Moment{Time: …} or kv.Moment{Versionstamp: …}. It asks nobody yet.
//
// It needs a server of Millpond, or an embedded database.
func (db *DB) At(m kv.Moment) *Past {
	p := &Past{db: db, moment: make(chan kv.Moment, 1)}
	p.moment <- m
	return p
}

func (p *Past) valueCodec() Codec { return p.db.codec }

// Get returns the entry that key had. One that was absent is no error; see Exists.
func (p *Past) Get(ctx context.Context, key kv.Key) (RawEntry, error) {
	entries, err := p.GetMany(ctx, key)
	if err != nil {
		return RawEntry{Key: key}, err
	}
	return entries[0], nil
}

// GetMany returns the entries that any number of keys had, in their order.
func (p *Past) GetMany(ctx context.Context, keys ...kv.Key) ([]RawEntry, error) {
	entries, places := make([]RawEntry, len(keys)), map[kv.EncodedKey][]int{}
	var encoded []kv.EncodedKey
	for i, key := range keys {
		k, err := key.Encode()
		if err != nil {
			return nil, err
		}
		if places[k] == nil {
			encoded = append(encoded, k)
		}
		entries[i].Key, places[k] = key, append(places[k], i)
	}
	for len(encoded) > 0 {
		n := min(len(encoded), kv.MaxHistoryKeys)
		for e, err := range p.entries(ctx, kv.HistoryRead{Keys: encoded[:n]}) {
			if err != nil {
				return nil, err
			}
			for _, i := range places[e.Key] {
				entries[i].Value, entries[i].Versionstamp, entries[i].ExpireAt = e.Value, e.Versionstamp, e.ExpireAt
			}
		}
		encoded = encoded[n:]
	}
	return entries, nil
}

// List returns the selected entries in the order of their keys. An error ends the list. The selector's BatchSize does not matter.
func (p *Past) List(ctx context.Context, s Selector) iter.Seq2[RawEntry, error] {
	return func(yield func(RawEntry, error) bool) {
		r, err := s.first()
		if err != nil {
			yield(RawEntry{}, err)
			return
		}
		if r.Start >= r.End {
			return
		}
		for e, err := range p.entries(ctx, kv.HistoryRead{Start: r.Start, End: r.End, Reverse: r.Reverse, Limit: s.Limit}) {
			if err != nil {
				yield(RawEntry{}, err)
				return
			}
			entry, err := fromKV(e)
			if !yield(entry, err) || err != nil {
				return
			}
		}
	}
}

// Moment returns the place of the log that the state is from, and the time of which expired entries are left out. It never means
// anything else. It is found out, unless a read has done so already.
func (p *Past) Moment(ctx context.Context) (kv.Moment, error) {
	if m, err := p.known(ctx); err != nil || final(m) {
		return m, err
	}
	for _, err := range p.entries(ctx, kv.HistoryRead{Start: "\x00", End: "\x00"}) {
		return kv.Moment{}, err
	}
	return p.known(ctx)
}

// known returns the moment as far as it is known.
func (p *Past) known(ctx context.Context) (kv.Moment, error) {
	select {
	case m := <-p.moment:
		p.moment <- m
		return m, nil
	case <-ctx.Done():
		return kv.Moment{}, context.Cause(ctx)
	}
}

// final reports whether m never means anything else.
func final(m kv.Moment) bool { return !m.Versionstamp.IsZero() && m.Time != 0 }

// entries answers a read at the moment. The first one to do so finds out which place of the log that is; the others wait for it.
func (p *Past) entries(ctx context.Context, want kv.HistoryRead) iter.Seq2[kv.Entry, error] {
	return func(yield func(kv.Entry, error) bool) {
		select {
		case want.To = <-p.moment:
		case <-ctx.Done():
			yield(kv.Entry{}, context.Cause(ctx))
			return
		}
		settled := false
		settle := func(m kv.Moment) {
			if !settled {
				settled = true
				p.moment <- m
			}
		}
		defer func() { settle(want.To) }()
		if final(want.To) {
			settle(want.To)
		}
		want.Kind = kv.HistoryEntries
		for part, err := range p.db.history(ctx, want) {
			if err != nil {
				yield(kv.Entry{}, err)
				return
			}
			settle(part.To)
			for _, e := range part.Entries {
				if !yield(e, nil) {
					return
				}
			}
		}
	}
}

// history is History of the transport as a call.
func (db *DB) history(ctx context.Context, want kv.HistoryRead) iter.Seq2[kv.HistoryPart, error] {
	return func(yield func(kv.HistoryPart, error) bool) {
		err := want.Validate()
		if err != nil {
			yield(kv.HistoryPart{}, err)
			return
		}
		ctx, done, err := db.begin(ctx)
		if err != nil {
			yield(kv.HistoryPart{}, err)
			return
		}
		defer done()
		for part, err := range db.transport.History(ctx, want) {
			if !yield(part, err) || err != nil {
				return
			}
		}
	}
}
