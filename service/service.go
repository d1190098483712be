// Package service is what readers and writers say to each other over NATS.
//
// FORMAT.md lays out the messages. All of them travel on core NATS, so any may be lost, or come late; none decides
// anything that the log does not.
package service

import (
	"time"

	"github.com/oklog/ulid/v2"
)

// The subjects. The leader of an epoch listens on subjects with its own id, which the epoch's record names: whoever has read
// that record knows whom to ask, and no message reaches a writer that it was not meant for.
func commitSubject(database string, leader ulid.ULID) string {
	return "millpond." + database + ".w." + leader.String() + ".commit"
}

func indexSubject(database string, leader ulid.ULID) string {
	return "millpond." + database + ".w." + leader.String() + ".index"
}

func heartbeatSubject(database string) string { return "millpond." + database + ".leader" }

const statusSubject = "millpond.status"

// The times of the service, each with its reason.
const (
	heartbeatEvery = 500 * time.Millisecond // a quarter of the silence after which a standby takes over
	tryTimeout     = 2 * time.Second        // then a leader is asked again: an answer may be lost
	againAfter     = 50 * time.Millisecond  // between tries, if no new leader is known before
	decideTimeout  = 20 * time.Second       // of an atomic at the leader; its client has asked again long before
	indexTimeout   = 5 * time.Second        // of a read index at the leader
	apiTimeout     = 2 * time.Second        // of a request to JetStream: who has nothing to answer by says nothing, and is asked again
)
