package client

import (
	"fmt"

	"github.com/millpondkv/millpond/kv"
)

// Consistency is what a read must see at least.
type Consistency int

const (
	// Strong reads see every commit that was answered before the read began.
	Strong Consistency = iota
	// Eventual reads see what the server that answers has got by then: the state after some commit, never half of one, and none
	// before anything that this DB has shown or written already. They need no leader. Over HTTP they are strong reads.
	Eventual
)

func (c Consistency) String() string {
	switch c {
	case Strong:
		return "strong"
	case Eventual:
		return "eventual"
	}
	return fmt.Sprintf("consistency %d", int(c))
}

// freshness is what a read must see.
type freshness struct {
	consistency Consistency
	least       kv.Position // the record there, and all before it
}

// WithConsistency returns the same database, and the same session, with reads of that consistency: Get, GetMany and List. Closing
// either closes both.
func (db *DB) WithConsistency(c Consistency) *DB {
	other := *db
	other.fresh.consistency = c
	return &other
}

// AtLeast returns the same database, and the same session, whose reads and watches see the commit at v and all before it, also the
// eventual ones. So a program that was told a versionstamp, by another program or by an earlier run, reads nothing older.
//
// A reader of the cluster that is behind waits a moment, then another one is asked; if none gets there in the time for tries, as
// when no commit has that versionstamp, the error is kv.ErrUnavailable. Over HTTP and in process every read is strong, and sees v
// anyway.
func (db *DB) AtLeast(v kv.Versionstamp) *DB {
	other := *db
	other.fresh.least = max(other.fresh.least, v.Position())
	return &other
}
