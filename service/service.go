// Package service is what clients, readers and writers do for each other over NATS.
//
// Package wire has the messages. All of them travel on core NATS, so any may be lost, or come late; none decides anything
// that the log does not.
package service

import "time"

// The times of the service, each with its reason.
const (
	heartbeatEvery = 500 * time.Millisecond  // a quarter of the silence after which a standby takes over
	tryTimeout     = 2 * time.Second         // then a leader is asked again: an answer may be lost
	againAfter     = 50 * time.Millisecond   // between tries, if no new leader is known before
	decideTimeout  = 20 * time.Second        // of an atomic at the leader; its client has asked again long before
	indexTimeout   = 5 * time.Second         // of a read index at the leader
	indexPatience  = 500 * time.Millisecond  // then a read index is asked for again: all strong reads of a replica wait for one
	apiTimeout     = 2 * time.Second         // of a request to JetStream: who has nothing to answer by says nothing, and is asked again
	readTimeout    = 1500 * time.Millisecond // of a read at a reader; its client asks again soon after, and should know why
	findTimeout    = 10 * time.Second        // of finding a database at a reader, which may have to make it
	mendFirst      = time.Second             // after a log was found damaged, before it is read again; then twice as long each time
	mendMost       = time.Minute             // at most
	openPatience   = 30 * time.Second        // for the next record while a database is being opened; then its log is lost, or its servers are
	openingWait    = 200 * time.Millisecond  // of a read or watch for a database that is being opened: its client asks again, maybe another reader
	frameAgain     = time.Second             // a watch's frame is sent again, or a sign of life asked for
	watchSilence   = 4 * frameAgain          // then the client of a watch is lost
	heldFor        = time.Minute             // a part of an answer about the past, by a client that does not want the next one yet; it may ask anew
	feedPace       = 100 * time.Millisecond  // of what tells a feed's client only how far the log has come
	queueTimeout   = 5 * time.Second         // of what is asked of a queue at a reader, JetStream's answers included
	receiveWait    = 4 * time.Second         // for messages; then a client asks again, maybe another reader
)

// The bounds of what a process does at once, for all databases.
const (
	mostRequests = 1 << 12 // messages of clients that are being answered; the next ones are not answered, and asked again
	mostWatches  = 1 << 14 // watches and feeds
	mostReceives = 1 << 14 // clients that wait for messages
	mostPasts    = 16      // answers about the past: each holds up to 32 MB
)
