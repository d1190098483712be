package service

import (
	"context"
	"sync"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
	"github.com/oklog/ulid/v2"
)

// reign is what a reader knows of a leader: that its epoch's record is the last one it has read.
type reign struct {
	writer ulid.ULID       // zero: nobody leads
	over   context.Context // ends when another epoch has begun
}

// leaders knows who leads by the projection of this process. The goroutine that runs follow writes; the others read.
type leaders struct {
	mu      sync.Mutex
	current reign
	epoch   kv.Position
	end     context.CancelFunc // of the current reign
}

func newLeaders(p *projection.Projection) *leaders {
	l := &leaders{}
	l.update(p)
	return l
}

// follow keeps up with the projection until ctx ends.
func (l *leaders) follow(ctx context.Context, p *projection.Projection) {
	for at := p.Chain().Applied; p.Wait(ctx, at) == nil; at++ {
		at = l.update(p)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end()
}

// update returns the position that it has looked at.
func (l *leaders) update(p *projection.Projection) kv.Position {
	chain := p.Chain()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.end == nil || chain.Epoch != l.epoch {
		if l.end != nil {
			l.end()
		}
		l.epoch = chain.Epoch
		l.current.writer = chain.Writer
		l.current.over, l.end = context.WithCancel(context.Background())
	}
	return chain.Applied
}

func (l *leaders) now() reign {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.current
}
