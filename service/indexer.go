package service

import (
	"cmp"
	"context"
	"errors"
	"sync"

	"github.com/millpondkv/millpond/internal/fault"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/service/wire"
	"github.com/millpondkv/millpond/writer"
)

// indexer gets read indexes for many readers, with one request in flight. A reader that comes while one is in flight
// shares the next one: the one in flight may have been answered before a commit that the reader must see.
type indexer struct {
	ask func(context.Context) (writer.ReadIndex, error) // one request; must end in bounded time

	mu     sync.Mutex
	next   *indexFlight // of those who wait for the next request; nil: nobody does
	flying bool         // fly runs
}

type indexFlight struct {
	done  chan struct{} // closed once the rest is set
	index writer.ReadIndex
	err   error
}

// ReadIndex returns an index that was asked for after the call began. It fails with what the one request failed with, or
// with kv.ErrUnavailable if ctx ends.
func (x *indexer) ReadIndex(ctx context.Context) (writer.ReadIndex, error) {
	f := x.board()
	select {
	case <-f.done:
		return f.index, f.err
	case <-ctx.Done():
		return writer.ReadIndex{}, errNoIndex
	}
}

var errNoIndex = kv.Errorf(kv.ErrUnavailable, "The database has no leader that answers; the read can be tried again.")

// board returns the flight that leaves next.
func (x *indexer) board() *indexFlight {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.next == nil {
		x.next = &indexFlight{done: make(chan struct{})}
	}
	if !x.flying {
		x.flying = true
		go x.fly()
	}
	return x.next
}

// fly makes one flight after the other until nobody waits.
func (x *indexer) fly() {
	for f := x.depart(); f != nil; f = x.depart() {
		f.index, f.err = x.ask(context.Background())
		close(f.done)
	}
}

func (x *indexer) depart() *indexFlight {
	x.mu.Lock()
	defer x.mu.Unlock()
	f := x.next
	x.next = nil
	x.flying = f != nil
	return f
}

// index asks the leader for an index until it gets one or ctx ends, or the replica is broken or given up: then there may never be one.
func (d *Database) index(ctx context.Context) (writer.ReadIndex, error) {
	if fault.Off("index") {
		return writer.ReadIndex{Now: d.now()}, nil
	}
	whole := d.whole()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(whole, cancel)()
	for {
		index, err := d.indexer.ReadIndex(ctx)
		if err == nil {
			return index, nil
		}
		if errors.Is(err, kv.ErrInvalid) { // of another version
			return writer.ReadIndex{}, err
		}
		if d.asker.pause(ctx) != nil {
			return writer.ReadIndex{}, cmp.Or(context.Cause(whole), errNoIndex)
		}
	}
}

// askIndex sends one request.
func (d *Database) askIndex(ctx context.Context) (writer.ReadIndex, error) {
	ctx, cancel := context.WithTimeout(ctx, indexPatience)
	defer cancel()
	reply, err := d.asker.ask(ctx, wire.IndexSubject, wire.EncodeIndex())
	if err != nil {
		return writer.ReadIndex{}, err
	}
	index, err := wire.DecodeIndexReply(reply)
	d.heardOf(err)
	return writer.ReadIndex(index), err
}
