package kv

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"time"
)

// Position is a place in a database's log: the sequence of a message in its JetStream stream. The first is 1; 0 stands
// before all of them.
type Position uint64

func (p Position) String() string { return strconv.FormatUint(uint64(p), 10) }

// Versionstamp names a commit: the position of its record (8 bytes, big-endian), then the index of the commit in that
// record (2 bytes). Later commits of a database have larger versionstamps. The zero versionstamp names none.
type Versionstamp [10]byte

// NewVersionstamp returns the versionstamp of the index-th commit in the record at p.
func NewVersionstamp(p Position, index uint16) (v Versionstamp) {
	binary.BigEndian.PutUint64(v[:8], uint64(p))
	binary.BigEndian.PutUint16(v[8:], index)
	return v
}

// ParseVersionstamp reads 20 hex digits, of either case. It fails with ErrInvalid.
func ParseVersionstamp(s string) (v Versionstamp, err error) {
	if n, err := hex.Decode(v[:], []byte(s[:min(len(s), 20)])); err != nil || n != len(v) || len(s) != 20 {
		return Versionstamp{}, Invalidf("the versionstamp %.40q is not 20 hex digits", s)
	}
	return v, nil
}

// Position returns the position of the commit's record.
func (v Versionstamp) Position() Position { return Position(binary.BigEndian.Uint64(v[:8])) }

// Index returns the index of the commit in its record.
func (v Versionstamp) Index() uint16 { return binary.BigEndian.Uint16(v[8:]) }

// IsZero reports whether v names no commit.
func (v Versionstamp) IsZero() bool { return v == Versionstamp{} }

// Before reports whether v names a commit that came before that of other.
func (v Versionstamp) Before(other Versionstamp) bool { return bytes.Compare(v[:], other[:]) < 0 }

// String returns 20 lowercase hex digits, the form that Deno shows.
func (v Versionstamp) String() string { return hex.EncodeToString(v[:]) }

// Millis is a time in milliseconds since the Unix epoch, the precision of expiry and of log time.
type Millis int64

// MillisOf returns t in milliseconds, rounded down.
func MillisOf(t time.Time) Millis { return Millis(t.UnixMilli()) }

// Time returns m as a time in UTC.
func (m Millis) Time() time.Time { return time.UnixMilli(int64(m)).UTC() }

// Expired reports whether what expires at m is gone at the time now: from that very millisecond on, and never if m is 0.
func (m Millis) Expired(now Millis) bool { return m != 0 && m <= now }

// Until returns how long it is from now to m: 0 if m has passed, and at most a century, so that a timer for a time that is
// further away than a time.Duration can hold does not fire at once.
func (m Millis) Until(now Millis) time.Duration {
	const century = Millis(100 * 365 * 24 * 3_600_000)
	return time.Duration(min(max(m-now, 0), century)) * time.Millisecond
}

func (m Millis) String() string { return m.Time().Format("2006-01-02T15:04:05.000Z") }
