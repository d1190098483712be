package writer_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
)

var errFault = errors.New("the log does not answer")

// faultyLog is a log whose calls a test can bend. A hook that is nil leaves the call as it is.
type faultyLog struct {
	events.Log
	onAppend func(context.Context, events.Append) (kv.Position, error)
	onBounds func(first, last kv.Position) (kv.Position, kv.Position, error)
	onNext   func() error
}

func (l *faultyLog) Append(ctx context.Context, a events.Append) (kv.Position, error) {
	if l.onAppend == nil {
		return l.Log.Append(ctx, a)
	}
	return l.onAppend(ctx, a)
}

func (l *faultyLog) Bounds(ctx context.Context) (first, last kv.Position, err error) {
	first, last, err = l.Log.Bounds(ctx)
	if err != nil || l.onBounds == nil {
		return first, last, err
	}
	return l.onBounds(first, last)
}

func (l *faultyLog) Read(ctx context.Context, from kv.Position) (events.Reader, error) {
	r, err := l.Log.Read(ctx, from)
	return &faultyReader{Reader: r, log: l}, err
}

type faultyReader struct {
	events.Reader
	log *faultyLog
}

func (r *faultyReader) Next(ctx context.Context) (events.Message, error) {
	if r.log.onNext != nil {
		if err := r.log.onNext(); err != nil {
			return events.Message{}, err
		}
	}
	return r.Reader.Next(ctx)
}

// once bends the first append of commits that has any, and no other: lost if keep is false, otherwise kept. Either way it
// is answered with an error.
func once(log events.Log, keep bool) *faultyLog {
	var bent sync.Once
	l := &faultyLog{Log: log}
	l.onAppend = func(ctx context.Context, a events.Append) (p kv.Position, err error) {
		r, _ := events.Decode(a.Data)
		if len(r.Commits) > 0 {
			bent.Do(func() {
				if keep {
					log.Append(ctx, a)
				}
				err = errFault
			})
		}
		if err != nil {
			return 0, err
		}
		return log.Append(ctx, a)
	}
	return l
}

// atRandom makes each call go wrong now and then: appends are lost, kept with the answer lost, kept and never answered, or
// arrive late; bounds are stale; readers fail. It is for a bubble of synctest: everything takes some milliseconds.
func atRandom(log events.Log, seed uint64) *faultyLog {
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(seed, 1))
	dice := func(n int) int {
		mu.Lock()
		defer mu.Unlock()
		return random.IntN(n)
	}
	late := func(a events.Append) { log.Append(context.Background(), a) }
	l := &faultyLog{Log: log}
	l.onAppend = func(ctx context.Context, a events.Append) (kv.Position, error) {
		time.Sleep(time.Duration(dice(4)) * time.Millisecond)
		switch dice(16) {
		case 0:
			return 0, errFault
		case 1:
			late(a)
			return 0, errFault
		case 2:
			late(a)
			<-ctx.Done()
			return 0, ctx.Err()
		case 3:
			time.AfterFunc(time.Duration(dice(400))*time.Millisecond, func() { late(a) })
			return 0, errFault
		}
		return log.Append(ctx, a)
	}
	l.onBounds = func(first, last kv.Position) (kv.Position, kv.Position, error) {
		switch dice(8) {
		case 0:
			return 0, 0, errFault
		case 1:
			return first, max(first, last) - min(last, kv.Position(dice(3))), nil
		}
		return first, last, nil
	}
	l.onNext = func() error {
		if dice(40) == 0 {
			return errFault
		}
		return nil
	}
	return l
}
