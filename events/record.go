// Package events is a database's log: what its records say, how they are written down, which of them count, and what a
// log must do to hold them.
//
// A record carries decided facts only, so folding the log needs no logic of checks or sums. FORMAT.md has the byte
// layout. Records form a hash chain in reigns called epochs: [Chain] has the rule that decides, the same on every node,
// which records count.
package events

import (
	"crypto/sha256"
	"strconv"
	"time"

	"github.com/millpondkv/millpond/kv"
	"github.com/oklog/ulid/v2"
)

// MaxRecordSize bounds an encoded record, in bytes. It leaves room under the 1 MiB that a NATS server takes by default
// for a message with its headers, and holds the largest atomic that kv's limits allow.
const MaxRecordSize = 900_000

// MaxLease bounds the lease of an epoch record.
const MaxLease = 24 * time.Hour

// MaxCommits bounds the commits of one record: their index is two bytes of the versionstamp.
const MaxCommits = 1 << 16

// Kind says what a record is about.
type Kind uint8

const (
	KindForeign Kind = 0 // no record at all: a message that nobody appended under the fence. It is void, and never encoded
	KindCommits Kind = 1 // a group of commits; an empty group moves log time on
	KindEpoch   Kind = 2 // ends an epoch and begins the next, numbered by this record's position
)

// Hash is the SHA-256 of an encoded record.
type Hash [sha256.Size]byte

// Record is one message of the log.
type Record struct {
	Kind     Kind
	Epoch    kv.Position // the epoch that its sequencer reigns in; of an epoch record: the epoch that it ends
	Previous Hash        // of the last record that counted; zero at the start of the log
	Time     kv.Millis   // log time: set by the sequencer, never goes back
	Commits  []Commit    // in order; the index in this list is the last part of the versionstamp

	// Of an epoch record: who reigns from here on. The zero ULID is a resignation: nobody does.
	Writer ulid.ULID
	// Of an epoch record, in whole milliseconds: for how long an acked record proves to that writer that it leads, at most
	// MaxLease. 0: it does not say.
	Lease time.Duration
}

// Commit is an atomic that was decided: only its effects.
type Commit struct {
	ID       ulid.ULID // the request's
	Effects  []Effect  // at most one for a key
	Enqueues []kv.Enqueue
}

// Messages returns the messages that the commit puts into the queue, at the log time of its record.
func (c *Commit) Messages(at kv.Millis) []kv.QueuedMessage {
	list := make([]kv.QueuedMessage, len(c.Enqueues))
	for i, m := range c.Enqueues {
		list[i] = kv.QueuedMessage{Enqueue: m, ID: c.ID.String() + "." + strconv.Itoa(i), Enqueued: at}
	}
	return list
}

// Effect is what a commit did to one key.
type Effect = kv.Effect

// Message is a record as the log holds it.
type Message struct {
	Position kv.Position
	Data     []byte
	Foreign  bool // it came into the log without Append: whatever it says, it is no record
}

// Sealed is a decoded record in its place in the log, or a foreign message there.
type Sealed struct {
	Foreign  bool // its record is of KindForeign, unless it reads like a record
	Position kv.Position
	Hash     Hash
	Size     int // of the encoded record, in bytes
	Record   *Record
}

// Open decodes a message. It fails with ErrCorrupt or ErrNewerFormat, though not for a foreign one.
func Open(m Message) (Sealed, error) {
	r, err := Decode(m.Data)
	switch {
	case err == nil:
	case m.Foreign:
		r = &Record{Kind: KindForeign}
	default:
		return Sealed{}, &RecordError{Position: m.Position, Err: err}
	}
	return Sealed{Foreign: m.Foreign, Position: m.Position, Hash: sha256.Sum256(m.Data), Size: len(m.Data), Record: r}, nil
}

// Seal encodes r, which is to stand at position p.
func Seal(p kv.Position, r *Record) (Sealed, []byte) {
	data := r.Encode()
	return Sealed{Position: p, Hash: sha256.Sum256(data), Size: len(data), Record: r}, data
}

// CountEffects returns the number of effects of all commits.
func (r *Record) CountEffects() (n int) {
	for i := range r.Commits {
		n += len(r.Commits[i].Effects)
	}
	return n
}
