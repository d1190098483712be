package check

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
	"github.com/oklog/ulid/v2"
)

// History is what happened in a cluster, as its clients and the log saw it.
type History struct {
	Log        []Stored
	Operations []Operation
	Digests    []Digest
	Skew       kv.Millis // the writers' clocks were at most so far from the clients'
	Counts     map[string]int
	Violations []string // found in the run itself: no progress

	// Identify returns the id of the operation that a commit is of, where clients do not choose the ids of their commits;
	// nil: it is the commit's own.
	Identify func(*events.Commit) ulid.ULID
}

// Stored is a message and when it was stored.
type Stored struct {
	events.Message
	At time.Time
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
	Unplaced bool // of a strong read: its client was told the entries, and neither Now nor the position
}

func (o *Operation) String() string {
	if o.Kind == Commit {
		return fmt.Sprintf("the commit %v, answered %v", o.ID, o.Result)
	}
	return fmt.Sprintf("a %s of %v", o.Kind, o.Snapshot.Entries)
}

// Digest is a checksum of the whole state of some process at a position.
type Digest struct {
	Of    string
	Chain events.Chain
	Hash  events.Hash
}

// DigestOf returns the digest of a process's state, and the checkpoint that it is of.
func DigestOf(of string, p *projection.Projection) (Digest, []byte, error) {
	var file bytes.Buffer
	chain, err := p.WriteCheckpoint(context.Background(), &file, "checked")
	return Digest{Of: of, Chain: chain, Hash: sha256.Sum256(file.Bytes())}, file.Bytes(), err
}
