package client

import "fmt"

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

// WithConsistency returns the same database, and the same session, with reads of that consistency: Get, GetMany and List. Closing
// either closes both.
func (db *DB) WithConsistency(c Consistency) *DB {
	other := *db
	other.consistency = c
	return &other
}
