package client

import (
	"context"
	"encoding/base64"
	"iter"

	"github.com/millpondkv/millpond/kv"
)

const (
	defaultBatch    = 100 // Deno's
	maxDefaultBatch = 500 // Deno's; larger ones must be asked for
)

// Selector says which entries List returns, in which order and how many. The zero Selector selects all.
type Selector struct {
	// Prefix selects the keys that begin with these parts and have more of them; not the key Prefix itself.
	Prefix kv.Key
	// Start is the first key that is selected, End the first one that is not any more. Either may be nil for no bound. With a
	// Prefix they must begin with it.
	Start, End kv.Key
	// Reverse begins with the largest key.
	Reverse bool
	// Limit is the largest number of entries; 0: no limit.
	Limit int
	// BatchSize is the number of entries of one request, at most kv.MaxReadEntries; 0: Limit if there is one, otherwise 100,
	// and at most 500.
	BatchSize int
	// Cursor continues behind the entry for which CursorAfter returned it; "": from the beginning.
	Cursor string
}

// List returns the selected entries in the order of their keys. Each batch is a read of its own, strong unless WithConsistency
// says otherwise: an entry that is written while the list is read may be in it or not. An error ends the list.
func (db *DB) List(ctx context.Context, s Selector) iter.Seq2[RawEntry, error] {
	return func(yield func(RawEntry, error) bool) {
		r, err := s.first()
		if err != nil {
			yield(RawEntry{}, err)
			return
		}
		for left := s.Limit; r.Start < r.End; {
			if s.Limit > 0 {
				r.Limit = min(r.Limit, left)
			}
			results, err := db.read(ctx, []kv.Range{r})
			if err != nil {
				yield(RawEntry{}, err)
				return
			}
			entries := results[0]
			for _, raw := range entries {
				entry, err := fromKV(raw)
				if !yield(entry, err) || err != nil {
					return
				}
			}
			if left -= len(entries); len(entries) < r.Limit || left == 0 {
				return
			}
			r = behind(r, entries[len(entries)-1].Key)
		}
	}
}

// CursorAfter returns the cursor with which a Selector that is otherwise equal continues behind the entry of key, one that
// it has listed. Deno makes the same cursors.
func (s Selector) CursorAfter(key kv.Key) (string, error) {
	r, common, err := s.bounds()
	if err != nil {
		return "", err
	}
	encoded, err := key.Encode()
	if err != nil {
		return "", err
	}
	if encoded < r.Start || encoded >= r.End {
		return "", kv.Invalidf("the key %v is not in the selected range", key)
	}
	return base64.URLEncoding.EncodeToString([]byte(encoded)[common:]), nil
}

// first returns the range of the first request. Its limit is that of a batch.
func (s Selector) first() (kv.Range, error) {
	r, common, err := s.bounds()
	if err != nil {
		return r, err
	}
	switch {
	case s.Limit < 0:
		return r, kv.Invalidf("the limit is %d; it must be at least 1, or 0 for none", s.Limit)
	case s.BatchSize < 0 || s.BatchSize > kv.MaxReadEntries:
		return r, kv.Invalidf("the batch size is %d; it must be from 1 to %d, or 0 for the default", s.BatchSize, kv.MaxReadEntries)
	case s.BatchSize > 0:
		r.Limit = s.BatchSize
	case s.Limit > 0:
		r.Limit = min(s.Limit, maxDefaultBatch)
	default:
		r.Limit = defaultBatch
	}
	if s.Cursor == "" {
		return r, nil
	}
	tail, err := base64.URLEncoding.DecodeString(s.Cursor)
	if err != nil {
		return r, kv.Invalidf("the cursor %q is not one that CursorAfter has returned", s.Cursor)
	}
	last := r.Start[:common] + kv.EncodedKey(tail)
	if last < r.Start || last >= r.End {
		return r, kv.Invalidf("the cursor %q is outside the selected range; use it with the selector it was made with", s.Cursor)
	}
	return behind(r, last), nil
}

// behind returns what is left of r once last was listed.
func behind(r kv.Range, last kv.EncodedKey) kv.Range {
	if r.Reverse {
		r.End = last
	} else {
		r.Start = last + "\x00"
	}
	return r
}

// bounds returns the range that s selects, without a limit, and how many bytes cursors leave out because they begin all of
// its keys.
func (s Selector) bounds() (r kv.Range, common int, err error) {
	prefix, err := s.Prefix.Encode()
	if err != nil {
		return r, 0, err
	}
	r = kv.Range{Start: prefix + "\x00", End: prefix + "\xff", Reverse: s.Reverse}
	if len(s.Start) > 0 {
		if r.Start, err = s.inside("start", s.Start); err != nil {
			return r, 0, err
		}
	}
	if len(s.End) > 0 {
		if r.End, err = s.inside("end", s.End); err != nil {
			return r, 0, err
		}
	}
	if r.Start > r.End {
		return r, 0, kv.Invalidf("the start key %v is greater than the end key %v", s.Start, s.End)
	}
	if len(s.Prefix) == 0 {
		return r, commonPrefix(r.Start, r.End), nil
	}
	return r, len(prefix), nil
}

// inside encodes a bound, which must begin with the prefix.
func (s Selector) inside(what string, bound kv.Key) (kv.EncodedKey, error) {
	encoded, err := bound.Encode()
	if err != nil {
		return "", err
	}
	if len(bound) > len(s.Prefix) {
		// The parts were encoded a moment ago, so they can be encoded again.
		if bound[:len(s.Prefix)].MustEncode() == s.Prefix.MustEncode() {
			return encoded, nil
		}
	}
	return "", kv.Invalidf("the %s key %v does not begin with the prefix %v and go on", what, bound, s.Prefix)
}

func commonPrefix(a, b kv.EncodedKey) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}
