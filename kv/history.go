package kv

import "math"

// Moment is a place in the history of a database: just after the commit with a versionstamp; or just after the last commit
// whose log time is not later than a time, as a read at that time would have seen it. The zero Moment is now.
//
// A Moment with both is just after the commit, without what had expired by the time. It never means anything else later: so
// are moments that are answered.
type Moment struct {
	Versionstamp Versionstamp
	Time         Millis // 0: with a versionstamp, the log time of its commit
}

// Includes reports whether a commit, of which v is the versionstamp and at the log time, is part of the state at the moment.
func (m Moment) Includes(v Versionstamp, at Millis) bool {
	switch {
	case !m.Versionstamp.IsZero():
		return !m.Versionstamp.Before(v)
	case m.Time != 0:
		return at <= m.Time
	}
	return true
}

func (m Moment) String() string {
	switch {
	case m.Versionstamp.IsZero() && m.Time == 0:
		return "now"
	case m.Versionstamp.IsZero():
		return m.Time.String()
	case m.Time == 0:
		return "versionstamp " + m.Versionstamp.String()
	}
	return m.Time.String() + " (versionstamp " + m.Versionstamp.String() + ")"
}

// HistoryKind says what is read of the past.
type HistoryKind uint8

const (
	HistoryEntries     HistoryKind = 1 // entries as they were at To
	HistoryVersions    HistoryKind = 2 // what has been at one key, up to To
	HistoryDifferences HistoryKind = 3 // how entries at To differ from those at From
)

// HistoryRead asks for something of the past.
type HistoryRead struct {
	Kind       HistoryKind
	From, To   Moment       // From is for differences only
	Keys       []EncodedKey // only these keys; none: all of the range. One key of versions
	Start, End EncodedKey   // the keys from Start to before End; an empty End: to the last one
	Reverse    bool         // of entries: the largest key comes first
	Limit      int          // of entries: at most so many; 0: all
	After      Versionstamp // of versions: only those of later commits, and the end of the one of this commit
}

// HistoryPart is a part of the answer, in order: of keys, or of versions. The next part goes on behind it.
type HistoryPart struct {
	From, To    Moment // as they were understood; not told with versions
	Entries     []Entry
	Versions    []Version
	Differences []Difference
}

// Version is what a key had from some time on: a value; or nothing, since it was deleted or had expired.
type Version struct {
	Versionstamp Versionstamp // of the commit; of one that had expired: of the value's
	// Time is the log time of the commit, or when the value expired. 0: the commit is older than the log that is kept, and only that
	// it left this value is known.
	Time     Millis
	State    VersionState
	Value    Value
	ExpireAt Millis // 0: never
}

// VersionState says what a Version is.
type VersionState uint8

const (
	VersionSet     VersionState = 1
	VersionDeleted VersionState = 2
	VersionExpired VersionState = 3
)

func (s VersionState) String() string {
	switch s {
	case VersionSet:
		return "set"
	case VersionDeleted:
		return "deleted"
	case VersionExpired:
		return "expired"
	}
	return "unknown"
}

// Difference is what a key had at two moments. The values, or the expiries, are not the same, or one entry is absent.
type Difference struct {
	Key           EncodedKey
	Before, After Entry // see Entry.Exists
}

// MaxHistoryKeys bounds the keys of a HistoryRead.
const MaxHistoryKeys = MaxReadEntries

// Behind returns the read of what comes behind part, which is not empty: the rest after a lost connection. It has none if the
// limit is reached.
func (r HistoryRead) Behind(part *HistoryPart) (rest HistoryRead, any bool) {
	var last EncodedKey
	switch r.Kind {
	case HistoryVersions:
		r.After = part.Versions[len(part.Versions)-1].Versionstamp
		return r, true
	case HistoryEntries:
		last = part.Entries[len(part.Entries)-1].Key
		if r.Limit == len(part.Entries) {
			return r, false
		}
		r.Limit = max(r.Limit-len(part.Entries), 0)
	default:
		last = part.Differences[len(part.Differences)-1].Key
	}
	r.From, r.To = part.From, part.To
	if r.Reverse {
		r.End = last
	} else {
		r.Start = last + "\x00"
	}
	return r, true
}

// Len returns how many things the part has.
func (p *HistoryPart) Len() int { return len(p.Entries) + len(p.Versions) + len(p.Differences) }

// Validate reports with ErrInvalid what is wrong with r.
func (r HistoryRead) Validate() error {
	switch {
	case r.Kind < HistoryEntries || r.Kind > HistoryDifferences:
		return Invalidf("the kind of history %d is unknown", r.Kind)
	case len(r.Keys) > MaxHistoryKeys:
		return Invalidf("the read of the past has %d keys; at most %d are allowed", len(r.Keys), MaxHistoryKeys)
	case r.Kind == HistoryVersions && len(r.Keys) != 1:
		return Invalidf("the versions of one key can be read at a time, and there are %d keys", len(r.Keys))
	case r.Limit < 0 || r.Limit > math.MaxInt32:
		return Invalidf("the limit is %d; it must be at least 1, or 0 for none", r.Limit)
	case min(r.From.Time, r.To.Time) < 0 || max(r.From.Time, r.To.Time) > MaxMillis:
		return Invalidf("a time of the past is %d or %d ms after 1970, which no clock can show", r.From.Time, r.To.Time)
	}
	for _, key := range r.Keys {
		if err := validateKey(key, MaxReadKeySize, false); err != nil {
			return err
		}
	}
	if r.End == "" {
		r.End = r.Start
	}
	return ValidateFeed(Feed{Start: r.Start, End: r.End})
}
