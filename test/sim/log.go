package sim

import (
	"slices"
	"sync"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/test/check"
)

// Log is what the servers of the log keep: a message that is in it stays, in its place.
type Log struct {
	breaks Breaks

	mu       sync.Mutex
	messages []check.Stored
	chain    events.Chain // of all messages
	first    kv.Position  // what was before it was trimmed, and is kept here for the check only
	epoch    kv.Position  // of the last epoch record, whether it counts or not: that is what the fence compares
	grown    chan struct{}
	lost     bool // an acked record, by Breaks.Kept
}

func newLog(b Breaks) *Log { return &Log{breaks: b, first: 1, grown: make(chan struct{})} }

// append stores a message, or refuses it as the fence demands. With leak it may store one that it refuses: only one that is
// void, as the apply rule has it. No server of JetStream does that; the rule is there should one.
func (l *Log) append(a events.Append, leak bool) (kv.Position, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := kv.Position(len(l.messages))
	epoch := l.epoch
	if epoch < l.first {
		epoch = 0 // the fence does not see what was trimmed
	}
	fenced := a.Last != last || a.Kind == events.KindCommits && a.Epoch != epoch
	switch {
	case !fenced || l.breaks.Fence:
		if l.breaks.Kept && a.Kind == events.KindCommits && last > 10 && !l.lost {
			l.lost = true
			return a.Last + 1, nil
		}
		l.store(a)
		return a.Last + 1, nil
	case leak && l.void(a):
		l.store(a)
	}
	return 0, events.ErrFenced
}

func (l *Log) store(a events.Append) {
	l.put(events.Message{Position: kv.Position(len(l.messages)) + 1, Data: slices.Clone(a.Data)}, a.Kind)
}

// intrude stores what somebody publishes to the log's subjects who is no sequencer: it has no fence, and may be a copy of a
// record that is there.
func (l *Log) intrude(kind events.Kind, copyOf int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := events.Message{Position: kv.Position(len(l.messages)) + 1, Data: []byte("no record"), Foreign: true}
	if copyOf < len(l.messages) {
		m.Data = slices.Clone(l.messages[copyOf].Data)
	}
	l.put(m, kind)
}

func (l *Log) put(m events.Message, kind events.Kind) {
	l.messages = append(l.messages, check.Stored{Message: m, At: time.Now()})
	if kind == events.KindEpoch {
		l.epoch = m.Position
	}
	if s, err := events.Open(m); err == nil {
		l.chain.Accept(s)
	}
	close(l.grown)
	l.grown = make(chan struct{})
}

// void reports whether the record would change nothing if it came next.
func (l *Log) void(a events.Append) bool {
	s, err := events.Open(events.Message{Position: kv.Position(len(l.messages)) + 1, Data: a.Data})
	if err != nil {
		return false
	}
	chain := l.chain
	counts, err := chain.Accept(s)
	return err == nil && !counts
}

// trim makes p the first position of the log, and reports whether it was not.
func (l *Log) trim(p kv.Position) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p <= l.first || int(p) > len(l.messages) {
		return false
	}
	l.first = p
	return true
}

func (l *Log) begins() kv.Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.first
}

// at returns the message at p, or the first one after that which was not trimmed, or a channel that is closed when the log grows.
func (l *Log) at(p kv.Position) (events.Message, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p = max(p, l.first)
	if int(p) <= len(l.messages) {
		m := l.messages[p-1].Message
		m.Data = slices.Clone(m.Data)
		return m, nil
	}
	return events.Message{}, l.grown
}

func (l *Log) last() kv.Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	return kv.Position(len(l.messages))
}

// all returns every message.
func (l *Log) all() []check.Stored {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.messages)
}
