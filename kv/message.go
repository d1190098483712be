package kv

import "time"

// DefaultBackoff is the backoff schedule of a message that has none: six attempts (Deno ext/kv).
var DefaultBackoff = []uint32{100, 1000, 5000, 30_000, 60_000}

// Schedule returns the milliseconds before each retry.
func (e *Enqueue) Schedule() []uint32 {
	if e.BackoffSchedule == nil {
		return DefaultBackoff
	}
	return e.BackoffSchedule
}

// Message is a message of a queue, as a listener gets it.
type Message struct {
	ID      string // the same for all attempts; two messages never share one
	Payload []byte // a V8 value
	Attempt int    // from 1
	Receipt string // names this attempt when it is settled
}

// The bounds of one request to a queue.
const (
	MaxReceived = 100  // messages: 6.4 MB of the largest
	MaxPeeked   = 100  // likewise
	MaxReceipts = 1000 // to settle
)

// ValidateMax refuses to take or to look at so many messages if that is more than most.
func ValidateMax(n, most int) error {
	if n < 1 || n > most {
		return Invalidf("max is %d; it must be from 1 to %d", n, most)
	}
	return nil
}

// ValidateReceipts refuses to settle none, or too many.
func ValidateReceipts(receipts []string) error {
	if n := len(receipts); n < 1 || n > MaxReceipts {
		return Invalidf("there are %d receipts; send 1 to %d", n, MaxReceipts)
	}
	return nil
}

// Verdict is what a listener says of a message that it got.
type Verdict string

const (
	VerdictAck    Verdict = "ack"    // handled: it will not come again
	VerdictNack   Verdict = "nack"   // failed: it comes again by its backoff schedule, or is given up
	VerdictExtend Verdict = "extend" // still being handled: it comes to nobody else for another QueueStats.AckWait
)

// QueueStats are the numbers of a queue. They come from one server of the queue and may be moments old.
type QueueStats struct {
	Waiting   uint64        // due, and with no listener yet
	Scheduled uint64        // not due yet
	InFlight  uint64        // with a listener, or failed and waiting for the next attempt
	Dead      uint64        // given up after the last attempt, and kept for a while
	OldestAge time.Duration // of the oldest message that is due and not handled; 0: there is none
}

// MessageState is where a message of a queue is.
type MessageState string

const (
	MessageDue       MessageState = "due" // waiting or in flight
	MessageScheduled MessageState = "scheduled"
	MessageDead      MessageState = "dead"
)

// Validate refuses a state that there is none of.
func (s MessageState) Validate() error {
	switch s {
	case MessageDue, MessageScheduled, MessageDead:
		return nil
	}
	return Invalidf("there is no state %.20q: a message is due, scheduled or dead", string(s))
}

// QueuedMessage is a message that a queue has not been told to be handled.
type QueuedMessage struct {
	Enqueue
	ID       string // it has in its queue
	Enqueued Millis // log time of its commit
	Dead     bool   // it was given up, and is kept for people to decide
}

// Due is when the message is to be delivered first.
func (m *QueuedMessage) Due() Millis { return max(m.Enqueued, m.Deadline) }

// OldMessage is how long before a queue began a message was due, in milliseconds, to have been handled in all likelihood.
const OldMessage = 10 * 60_000

// Doubt judges a message of which nobody knows whether it was handled, for a queue that begins at that time: one that was due
// long before goes to the dead, for people to decide; one that would have been dead for too long is to be left out, and Doubt
// returns false.
func (m *QueuedMessage) Doubt(at Millis) bool {
	age := at - m.Due()
	m.Dead = age > OldMessage
	return age <= MaxQueueDelay
}

// PeekedMessage is a message as somebody sees it who does not take it.
type PeekedMessage struct {
	ID       string
	Payload  []byte
	Enqueued Millis // log time of its commit
	Deadline Millis // 0: at once
}
