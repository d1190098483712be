package sim

import (
	"crypto/sha256"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
	"github.com/oklog/ulid/v2"
)

// History is what happened in a world, as its clients and the log saw it.
type History struct {
	Log        []Stored
	Operations []Operation
	Digests    []Digest
	Skew       kv.Millis // the writers' clocks were at most so far from the clients'
	Counts     map[string]int
	Violations []string // found in the run itself: no progress
}

// Kind says what an operation is.
type Kind string

const (
	Commit   Kind = "commit"
	Index    Kind = "read index"
	Strong   Kind = "strong read"
	Eventual Kind = "eventual read"
)

// Operation is what one client did, and what it was told.
type Operation struct {
	Client     int
	Kind       Kind
	Begin, End time.Time

	// Of a commit.
	ID     ulid.ULID
	Atomic *kv.Atomic
	Result kv.CommitResult
	Err    error // nil: committed, or checks failed; ErrUnknownOutcome: not known; others: certainly not committed
	Tries  int

	// Of a read or a read index, which has succeeded.
	Now      kv.Millis   // the time of the read
	Index    kv.Position // of a read index
	Range    kv.Range
	Snapshot projection.Snapshot
}

// Digest is a checksum of the whole state of some process at a position.
type Digest struct {
	Of    string
	Chain events.Chain
	Hash  events.Hash
}

func digestOf(of string, chain events.Chain, checkpoint []byte) Digest {
	return Digest{Of: of, Chain: chain, Hash: sha256.Sum256(checkpoint)}
}
