package events

import (
	"context"
	"slices"
	"sync"

	"github.com/millpondkv/millpond/kv"
)

// MemoryLog is a Log that lives in this process only, for tests. It fences as JetStream does. The zero MemoryLog is empty.
type MemoryLog struct {
	mu       sync.Mutex
	messages []Message
	epoch    kv.Position   // of the last epoch record
	grown    chan struct{} // closed and replaced at each append; nil until somebody waits
}

func (l *MemoryLog) Append(ctx context.Context, a Append) (kv.Position, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	last := kv.Position(len(l.messages))
	if a.Last != last || a.Kind == KindCommits && a.Epoch != l.epoch {
		return 0, ErrFenced
	}
	l.messages = append(l.messages, Message{Position: last + 1, Data: slices.Clone(a.Data)})
	if a.Kind == KindEpoch {
		l.epoch = last + 1
	}
	if l.grown != nil {
		close(l.grown)
		l.grown = nil
	}
	return last + 1, nil
}

func (l *MemoryLog) Bounds(ctx context.Context) (first, last kv.Position, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return 1, kv.Position(len(l.messages)), ctx.Err()
}

func (l *MemoryLog) Read(_ context.Context, from kv.Position) (Reader, error) {
	return &memoryReader{log: l, next: max(from, 1)}, nil
}

type memoryReader struct {
	log  *MemoryLog
	next kv.Position
}

func (r *memoryReader) Next(ctx context.Context) (Message, error) {
	for {
		m, grown := r.log.at(r.next)
		if grown == nil {
			r.next++
			return m, nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return Message{}, ctx.Err()
		}
	}
}

func (r *memoryReader) Close() {}

// at returns the message at p, or a channel that is closed when the log grows.
func (l *MemoryLog) at(p kv.Position) (Message, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if int(p) <= len(l.messages) {
		m := l.messages[p-1]
		return Message{Position: p, Data: slices.Clone(m.Data)}, nil
	}
	if l.grown == nil {
		l.grown = make(chan struct{})
	}
	return Message{}, l.grown
}
