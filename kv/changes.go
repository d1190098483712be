package kv

import "math"

// Effect is what a commit did to one key: delete it, or give it a value.
type Effect struct {
	Key      EncodedKey
	Delete   bool
	Value    Value
	ExpireAt Millis // 0: never
}

// Commit is a commit as a feed shows it: what it did to the keys of a range.
type Commit struct {
	Versionstamp Versionstamp
	Time         Millis   // log time
	Effects      []Effect // at least one; at most one for a key
}

// Size returns about how many bytes the commit takes.
func (c *Commit) Size() int {
	n := 32
	for i := range c.Effects {
		n += 20 + len(c.Effects[i].Key) + len(c.Effects[i].Value.Data)
	}
	return n
}

// Feed asks for the commits behind a place of the log, in order: all of them that have effects on keys of the range, those yet to
// come included.
type Feed struct {
	After      Versionstamp // of the last commit that is not wanted; zero: the log's beginning
	Latest     bool         // instead of After: behind every commit that was answered before
	Start, End EncodedKey   // only effects on keys from Start to before End
}

// Changes is a piece of a feed.
type Changes struct {
	Through Versionstamp // all commits up to this one have been shown; the After of who goes on from here
	Commits []Commit
}

// EndOf returns the versionstamp that stands behind all commits of the record at p.
func EndOf(p Position) Versionstamp {
	if p == 0 {
		return Versionstamp{}
	}
	return NewVersionstamp(p, math.MaxUint16)
}

// ValidateFeed reports with ErrInvalid if the range of a feed cannot be.
func ValidateFeed(f Feed) error {
	if n := max(len(f.Start), len(f.End)); n > MaxReadKeySize {
		return Invalidf("the key is %d bytes and exceeds the key size limit of %d", n, MaxReadKeySize)
	}
	if f.Start > f.End {
		return Invalidf("start key is greater than end key")
	}
	return nil
}
