package events

import (
	"context"
	"errors"
	"fmt"

	"github.com/millpondkv/millpond/kv"
)

const (
	feedBytes = 512 << 10 // of the commits in a piece of a feed, unless a single one is larger
	feedAhead = 4         // messages that are read and wait to be taken: at most 4 MB
)

// Feed reads the commits of a log behind a place of it. It is for one goroutine.
//
// It needs no state but the log: the record that the place is in tells how the chain goes on. So that record must be one that
// counts, as that of each commit does.
type Feed struct {
	log     Log
	want    kv.Feed
	begun   bool        // the record of want.After was read, or there is none
	chain   Chain       // of the last record that was read
	pending []kv.Commit // of that record, still to be shown
	reading *reading    // nil: to be begun, behind the chain
}

// NewFeed returns a feed of log. Want.Latest is the caller's to make an After of. It must be closed.
func NewFeed(log Log, want kv.Feed) *Feed {
	return &Feed{log: log, want: want, begun: want.After.IsZero()}
}

// Next blocks until the log has records that were not read yet, and returns their commits; the piece may have none, and then
// moves Through on only. When ctx ends it returns ctx.Err(), and the next call loses nothing.
//
// It fails with kv.ErrGone, with kv.ErrInvalid if After names no commit of this log, and with the errors of reading a log and of
// folding it. After an error the next call reads on from where the last one was.
func (f *Feed) Next(ctx context.Context) (c kv.Changes, err error) {
	if f.reading == nil {
		if err := f.begin(ctx); err != nil {
			return c, err
		}
	}
	if len(f.pending) == 0 {
		m, err := f.reading.next(ctx)
		if err == nil {
			err = f.take(m)
		}
		if err != nil {
			if ctx.Err() == nil {
				f.Close()
			}
			return c, err
		}
	}
	for size := 0; ; {
		if !f.show(&c, &size) {
			return c, nil
		}
		select {
		case m, ok := <-f.reading.messages:
			if !ok {
				return c, nil // the next call meets the reason
			}
			if err := f.take(m); err != nil {
				f.Close()
				return c, nil // the next call reads it again, and fails
			}
		default:
			return c, nil
		}
	}
}

// show moves pending commits to c as long as there is room, and reports whether all went there.
func (f *Feed) show(c *kv.Changes, size *int) bool {
	for len(f.pending) > 0 {
		next := f.pending[0]
		if *size += next.Size(); *size > feedBytes && len(c.Commits) > 0 {
			return false
		}
		c.Commits, c.Through, f.pending = append(c.Commits, next), next.Versionstamp, f.pending[1:]
	}
	c.Through = kv.EndOf(f.chain.Counted)
	return true
}

// begin reads from the first record that was not read yet, or from that of After.
func (f *Feed) begin(ctx context.Context) error {
	from := f.chain.Applied + 1
	if !f.begun {
		from = f.want.After.Position()
	}
	first, _, err := f.log.Bounds(ctx)
	if err != nil {
		return err
	}
	if from < first {
		return kv.Errorf(kv.ErrGone, "the log has no records before position %d any more, and the feed was to go on from %d", first, from)
	}
	f.reading, err = startReading(ctx, f.log, from)
	return err
}

// take reads a record. Its commits are pending then.
func (f *Feed) take(m Message) error {
	s, err := Open(m)
	if err != nil {
		return err
	}
	if !f.begun {
		return f.anchor(s)
	}
	anchored := f.chain.Counted == f.want.After.Position() && f.chain.Counted != 0
	counts, err := f.chain.Accept(s)
	switch {
	case errors.Is(err, ErrDiverged) && anchored: // the record of After did not count
		return f.unknown()
	case err != nil:
		return err
	case counts:
		f.filter(s)
	}
	return nil
}

// anchor begins the chain with the record of After.
func (f *Feed) anchor(s Sealed) error {
	after, r := f.want.After, s.Record
	switch {
	case s.Position != after.Position():
		return &RecordError{Position: s.Position, Err: fmt.Errorf("%w: %d was asked for", ErrGap, after.Position())}
	case s.Foreign, r.Kind == KindEpoch && after != kv.EndOf(s.Position):
		return f.unknown()
	}
	f.begun = true
	f.chain = Chain{Applied: s.Position, Epoch: r.Epoch, Counted: s.Position, Hash: s.Hash, Time: r.Time}
	if r.Kind == KindEpoch {
		f.chain.Epoch, f.chain.Writer, f.chain.Lease = s.Position, r.Writer, r.Lease
	}
	f.filter(s)
	return nil
}

func (f *Feed) unknown() error {
	return kv.Invalidf("the versionstamp %s names no commit of this database", f.want.After)
}

// filter makes the record's commits pending, as far as they are wanted.
func (f *Feed) filter(s Sealed) {
	f.pending = nil
	for i := range s.Record.Commits {
		v := kv.NewVersionstamp(s.Position, uint16(i))
		if !f.want.After.Before(v) {
			continue
		}
		var effects []kv.Effect
		for _, e := range s.Record.Commits[i].Effects {
			if f.want.Start <= e.Key && e.Key < f.want.End {
				effects = append(effects, e)
			}
		}
		if effects != nil {
			f.pending = append(f.pending, kv.Commit{Versionstamp: v, Time: f.chain.Time, Effects: effects})
		}
	}
}

// Close frees what reads the log. A call of Next begins to read again.
func (f *Feed) Close() {
	if f.reading != nil {
		f.reading.stop()
		f.reading = nil
	}
}

// reading is a goroutine that reads a log.
type reading struct {
	messages chan Message // closed when it ends
	failed   error        // why, once it is closed
	cancel   context.CancelFunc
}

func startReading(ctx context.Context, log Log, from kv.Position) (*reading, error) {
	reader, err := log.Read(ctx, from)
	if err != nil {
		return nil, err
	}
	r := &reading{messages: make(chan Message, feedAhead)}
	ctx, r.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer close(r.messages)
		defer reader.Close()
		for {
			m, err := reader.Next(ctx)
			if err != nil {
				r.failed = err
				return
			}
			select {
			case r.messages <- m:
			case <-ctx.Done():
				r.failed = ctx.Err()
				return
			}
		}
	}()
	return r, nil
}

func (r *reading) next(ctx context.Context) (Message, error) {
	select {
	case m, ok := <-r.messages:
		if !ok {
			return m, r.failed
		}
		return m, nil
	case <-ctx.Done():
		return Message{}, ctx.Err()
	}
}

// stop blocks until the goroutine has ended.
func (r *reading) stop() {
	r.cancel()
	for range r.messages {
	}
}
