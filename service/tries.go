package service

import (
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
)

// tries sees to it that the tries of one request, at one leader, have one outcome, in whatever order they come. NATS may
// hold a try back and deliver it after a later one was answered. If that answer was a commit, the log knows; if it was that
// a check failed, or nothing at all, only this does: decided then, the late try might commit what its client was told had
// failed.
type tries struct {
	now func() time.Time

	mu      sync.Mutex
	known   map[ulid.ULID]*try
	expires []*try // those that are answered and remembered, the oldest answer first
}

// try is the latest try of a request, as far as is known.
type try struct {
	id       ulid.ULID
	number   uint32
	done     chan struct{} // closed once the rest is set
	reply    []byte
	answered time.Time
}

// The bounds of what is remembered: only requests that were sent more than once. A server that holds a message back for
// longer has been taken for lost by its peers, and has closed its connections.
const (
	triesKept    = 10 * time.Minute
	mostTries    = 100_000
	earliestKept = 2 // the number of a try before which there can be another
)

func newTries(now func() time.Time) *tries { return &tries{now: now, known: map[ulid.ULID]*try{}} }

// begin returns the try whose reply is to be given, and whether the caller has to make it, for end: it is the first, unless
// another try of the request is being decided, or a later one has been. Whoever is not first waits until the try is done.
func (t *tries) begin(id ulid.ULID, number uint32) (of *try, first bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if other := t.known[id]; other != nil && (other.answered.IsZero() || other.number >= number) {
		other.number = max(other.number, number)
		return other, false
	}
	mine := &try{id: id, number: number, done: make(chan struct{})}
	t.known[id] = mine
	return mine, true
}

// end gives the reply to a try, and to all that wait for it.
func (t *tries) end(mine *try, reply []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	mine.reply, mine.answered = reply, t.now()
	close(mine.done)
	if mine.number < earliestKept {
		delete(t.known, mine.id)
		return
	}
	t.expires = append(t.expires, mine)
	for len(t.expires) > mostTries || t.expires[0].answered.Before(mine.answered.Add(-triesKept)) {
		oldest := t.expires[0]
		t.expires = t.expires[1:]
		if t.known[oldest.id] == oldest { // and not a later one
			delete(t.known, oldest.id)
		}
	}
}
