package queue

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/internal/trouble"
	"github.com/millpondkv/millpond/kv"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Source is the log that a feeder copies messages from.
type Source interface {
	// Read is that of events.Log.
	Read(ctx context.Context, from kv.Position) (events.Reader, error)
	// Bounds is that of events.Log.
	Bounds(ctx context.Context) (first, last kv.Position, err error)
	// Verify fails with events.ErrGap or events.ErrDiverged if the log does not hold what that chain has read of it.
	Verify(ctx context.Context, c events.Chain) error
	// InUse fails with kv.ErrNoDatabase if the database was deleted or renamed: its queue must not be made again then.
	InUse(ctx context.Context) error
}

// Feed copies the messages of the log into the queue, which it makes first, until ctx ends. Whatever fails is tried again,
// a damaged log too: it may be one server's copy of it that is. Nothing is read past damage.
//
// Any number of processes may feed at once: the cursor is a fence, and each message gets into the queue once. It takes one
// for the messages to be delivered.
func (q *Queue) Feed(ctx context.Context, log Source, replicas int, memory bool) {
	feeding := trouble.Trouble{Logger: q.c.Logger.With("database", q.c.Database), What: "cannot feed the queue"}
	for {
		err := q.feed(ctx, log, replicas, memory)
		wait := retryPause
		switch {
		case ctx.Err() != nil:
			return
		case isDamage(err):
			wait = damagePause
			q.c.Logger.Error("the queue cannot be fed: its log is damaged; trying again", "database", q.c.Database, "error", err)
		case errors.Is(err, errFenced):
			q.c.Logger.Info("another process feeds the queue too", "database", q.c.Database)
		case q.c.Conn.IsConnected(): // a lost connection is logged once
			feeding.Fails(err)
		}
		pause(ctx, wait)
	}
}

// FeedThrough copies the messages of the log up to a position, and returns once they are in the queue: so that nothing is missing there
// of a log that has ended.
func (q *Queue) FeedThrough(ctx context.Context, log Source, replicas int, memory bool, through kv.Position) error {
	for {
		err := q.feedThrough(ctx, log, replicas, memory, through)
		if !errors.Is(err, errFenced) || ctx.Err() != nil {
			return err
		}
	}
}

func isDamage(err error) bool {
	return errors.Is(err, events.ErrCorrupt) || errors.Is(err, events.ErrGap) || errors.Is(err, events.ErrDiverged) || errors.Is(err, events.ErrNewerFormat)
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// feed copies until something fails.
func (q *Queue) feed(ctx context.Context, log Source, replicas int, memory bool) error {
	return q.feedThrough(ctx, log, replicas, memory, 0)
}

// feedThrough copies until something fails, or the position through is copied; 0: there is no such end.
func (q *Queue) feedThrough(ctx context.Context, log Source, replicas int, memory bool, through kv.Position) error {
	f, err := q.begin(ctx, log, replicas, memory)
	if err == nil {
		err = f.copyBacklog(ctx)
	}
	if err == nil {
		err = f.skipTrimmed(ctx, log)
	}
	if err != nil || through != 0 && f.cursor.chain.Applied >= through {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	reader, err := f.reader(ctx, log, through)
	if err != nil {
		cancel()
		return err
	}
	records := make(chan events.Sealed, readAhead)
	failed := make(chan error, 1)
	go func() {
		defer close(records)
		defer reader.Close()
		failed <- readInto(ctx, reader, records, through)
	}()
	defer func() {
		cancel()
		for range records { // until the reader has ended
		}
	}()
	if err := f.run(ctx, records); err != nil {
		return err
	}
	return <-failed
}

// reader is one of the log behind what was copied: who copies it through does not come back when it is lost.
func (f *feeder) reader(ctx context.Context, log Source, through kv.Position) (events.Reader, error) {
	next := f.cursor.chain.Applied + 1
	if through != 0 {
		return events.Resume(log, next), nil
	}
	return log.Read(ctx, next)
}

// readAhead bounds the records that are decoded and wait to be copied: 16 of the largest are 14 MB.
const readAhead = 16

// readInto reads and decodes records until an error, or the one at through.
func readInto(ctx context.Context, reader events.Reader, records chan<- events.Sealed, through kv.Position) error {
	for {
		m, err := reader.Next(ctx)
		if err != nil {
			return err
		}
		s, err := events.Open(m)
		if err != nil {
			return err
		}
		select {
		case records <- s:
		case <-ctx.Done():
			return ctx.Err()
		}
		if s.Position == through {
			return nil
		}
	}
}

// feeder is a feeder at work. One goroutine uses it.
type feeder struct {
	q      *Queue
	cursor cursor      // with all of batch copied
	at     uint64      // the sequence of the stream's cursor, the fence of the next step; 0: there is none yet
	batch  []*nats.Msg // what the next step copies
	size   int         // bytes of payloads in batch
	saved  kv.Position // the position of the stream's cursor
	made   kv.Millis   // when the stream was made, by the clock of log time
}

// begin makes the queue, and finds its cursor.
func (q *Queue) begin(ctx context.Context, log Source, replicas int, memory bool) (*feeder, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	stream, err := q.c.create(ctx, log, replicas, memory)
	if err != nil {
		return nil, err
	}
	f := &feeder{q: q, cursor: cursor{chain: q.c.Begins}, saved: q.c.Begins.Applied, made: q.c.Now() - millis(time.Since(stream.CachedInfo().Created))}
	m, err := stream.GetLastMsgForSubject(ctx, cursorSubject(q.c.Database))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		if q.c.Backlog != nil && q.c.Begins != (events.Chain{}) {
			f.cursor, f.saved = cursor{}, 0
		}
		return f, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the queue's cursor: %w", err)
	}
	if f.cursor, err = decodeCursor(m.Data); err != nil {
		return nil, err
	}
	f.at, f.saved = m.Sequence, f.cursor.chain.Applied
	return f, log.Verify(ctx, f.cursor.chain)
}

// copyBacklog copies the messages that the queue begins with, unless that has been done. Until then its cursor stands before
// the first record of all, with as many done as were copied.
func (f *feeder) copyBacklog(ctx context.Context) error {
	c := f.q.c
	if c.Backlog == nil || f.cursor.chain != (events.Chain{}) || c.Begins == (events.Chain{}) {
		return nil
	}
	n := uint32(0)
	err := c.Backlog(ctx, func(m kv.QueuedMessage) error {
		if n++; n <= f.cursor.done {
			return nil
		}
		f.cursor.done = n
		return f.add(ctx, m)
	})
	if err != nil {
		return fmt.Errorf("copy the messages that the queue begins with: %w", err)
	}
	f.cursor = cursor{chain: c.Begins}
	return f.flush(ctx)
}

// skipTrimmed has a queue that is made after its log was trimmed begin where the log does now. Its messages from before are lost, with
// the queue that was there: as long as there is a cursor, the log is trimmed only behind it.
func (f *feeder) skipTrimmed(ctx context.Context, log Source) error {
	c := f.q.c
	if f.cursor.chain != c.Begins || c.Rest == nil {
		return nil
	}
	first, _, err := log.Bounds(ctx)
	if err != nil || first <= c.Begins.Applied+1 {
		return err
	}
	at, err := c.Rest(ctx, first)
	if err == nil {
		err = log.Verify(ctx, at)
	}
	if err != nil {
		return fmt.Errorf("find where the log of a queue that is made anew goes on: %w", err)
	}
	c.Logger.Warn("the queue is made anew, without the messages of what was trimmed from the log", "database", c.Database, "after", at.Applied)
	f.cursor = cursor{chain: at}
	return nil
}

// run copies records until there are no more, as many in a step as are there.
func (f *feeder) run(ctx context.Context, records <-chan events.Sealed) error {
	ticker := time.NewTicker(cursorEvery)
	defer ticker.Stop()
	for {
		select {
		case s, ok := <-records:
			if !ok {
				return nil
			}
			if err := f.take(ctx, s); err != nil {
				return err
			}
			if len(f.batch) == 0 || len(records) > 0 {
				continue
			}
		case <-ticker.C:
			if f.saved == f.cursor.chain.Applied {
				continue
			}
		}
		if err := f.flush(ctx); err != nil {
			return err
		}
	}
}

// take adds the messages of a record to the batch, and flushes it whenever it is full.
func (f *feeder) take(ctx context.Context, s events.Sealed) error {
	after := f.cursor.chain
	counts, err := after.Accept(s)
	if err != nil {
		return err
	}
	if counts {
		if err := f.copy(ctx, s.Record); err != nil {
			return err
		}
	}
	f.cursor = cursor{chain: after}
	return nil
}

func (f *feeder) copy(ctx context.Context, r *events.Record) error {
	n := uint32(0)
	for i := range r.Commits {
		for _, m := range r.Commits[i].Messages(r.Time) {
			if n++; n <= f.cursor.done {
				continue
			}
			f.cursor.done = n
			if !m.Doubt(f.made) {
				continue
			}
			if err := f.add(ctx, m); err != nil {
				return err
			}
		}
	}
	return nil
}

// add adds a message to the batch, and flushes it if it is full then.
func (f *feeder) add(ctx context.Context, m kv.QueuedMessage) error {
	s := stored{m}
	if m.Dead {
		f.batch = append(f.batch, s.dead(f.q.c.Database))
	} else {
		f.batch = append(f.batch, s.message(f.q.c.Database, f.q.c.Now()))
	}
	if f.size += len(m.Payload); len(f.batch) < maxBatch && f.size < maxBatchBytes {
		return nil
	}
	return f.flush(ctx)
}

func millis(d time.Duration) kv.Millis { return kv.Millis(d.Milliseconds()) }

var errFenced = errors.New("the queue's cursor has been moved by another feeder")

// flush copies the batch and moves the cursor in one step. After an error it is not known whether that has happened, and
// the stream's cursor tells.
func (f *feeder) flush(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	last := nats.NewMsg(cursorSubject(f.q.c.Database))
	last.Data = f.cursor.encode()
	last.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(f.at, 10))
	last.Header.Set(jetstream.MsgRollup, jetstream.MsgRollupSubject) // it replaces the one before
	ack, err := publishBatch(ctx, f.q.c.Conn, append(f.batch, last))
	if err != nil {
		return fmt.Errorf("copy %d messages into the queue: %w", len(f.batch), err)
	}
	f.at, f.saved = ack, f.cursor.chain.Applied
	clear(f.batch)
	f.batch, f.size = f.batch[:0], 0
	return nil
}
