package backup_test

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/events/eventstest"
	"github.com/millpondkv/millpond/kv"
)

// log is an events.Log of which a test can trim the start, cut off the end, and put in messages that nobody has appended.
type log struct {
	mu       sync.Mutex
	first    kv.Position // of messages
	messages []events.Message
	epoch    kv.Position
	grown    chan struct{}
}

func newLog(first kv.Position) *log { return &log{first: first, grown: make(chan struct{})} }

func TestLog(t *testing.T) {
	eventstest.TestLog(t, func(*testing.T) events.Log { return newLog(1) })
}

func (l *log) last() kv.Position { return l.first + kv.Position(len(l.messages)) - 1 }

func (l *log) Append(_ context.Context, a events.Append) (kv.Position, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a.Last != l.last() || a.Kind == events.KindCommits && a.Epoch != l.epoch {
		return 0, events.ErrFenced
	}
	l.put(events.Message{Data: slices.Clone(a.Data)})
	if a.Kind == events.KindEpoch {
		l.epoch = l.last()
	}
	return l.last(), nil
}

// put adds a message; its position is set. The caller holds the lock.
func (l *log) put(m events.Message) {
	m.Position = l.last() + 1
	l.messages = append(l.messages, m)
	close(l.grown)
	l.grown = make(chan struct{})
}

func (l *log) inject(m events.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.put(m)
}

// trim drops all messages before first.
func (l *log) trim(first kv.Position) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.messages, l.first = l.messages[first-l.first:], first
}

// clone returns the log as it was at a position: what it becomes from there on is another history.
func (l *log) clone(last kv.Position) *log {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := newLog(l.first)
	c.messages = slices.Clone(l.messages[:last-l.first+1])
	for _, m := range c.messages {
		if r, err := events.Decode(m.Data); err == nil && r.Kind == events.KindEpoch {
			c.epoch = m.Position
		}
	}
	return c
}

func (l *log) all() []events.Message {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.messages)
}

func (l *log) Bounds(context.Context) (first, last kv.Position, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.first, l.last(), nil
}

func (l *log) Read(_ context.Context, from kv.Position) (events.Reader, error) {
	return &reader{log: l, next: from}, nil
}

type reader struct {
	log  *log
	next kv.Position
}

func (r *reader) Next(ctx context.Context) (events.Message, error) {
	for {
		r.log.mu.Lock()
		r.next = max(r.next, r.log.first) // what was trimmed is passed over, as JetStream does
		grown := r.log.grown
		if r.next <= r.log.last() {
			m := r.log.messages[r.next-r.log.first]
			m.Data = slices.Clone(m.Data)
			r.next++
			r.log.mu.Unlock()
			return m, nil
		}
		r.log.mu.Unlock()
		select {
		case <-grown:
		case <-ctx.Done():
			return events.Message{}, ctx.Err()
		}
	}
}

func (r *reader) Close() {}
