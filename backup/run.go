package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
	"github.com/oklog/ulid/v2"
)

// RunConfig is how an archive follows a log.
type RunConfig struct {
	Every     time.Duration // a record is archived when it has waited for so long at most
	Bytes     int           // or when so many bytes wait
	Merge     int           // segments are merged into one when they have so many bytes together, or are many: they are kept in memory until then
	FullEvery time.Duration // a full part is added to a line so often, to make restores faster; 0: never
	Retry     time.Duration // after a failure everything is begun anew after so long

	// Archived is told each position up to which the archive has everything; may be nil.
	Archived func(kv.Position)
}

// Defaults of a RunConfig.
const (
	DefaultEvery     = 2 * time.Second
	DefaultBytes     = 4 << 20
	DefaultMerge     = 16 << 20
	DefaultFullEvery = 24 * time.Hour
	DefaultRetry     = 2 * time.Second
)

// Run keeps the archive at most some seconds behind the log, until ctx ends; then it stores what the log has by then. It goes on where
// the archive ends; if the log does not go on there, it begins a new line. Failures of the log and the Blob are logged, and tried
// again for ever.
func (a *Archive) Run(ctx context.Context, source Source, c RunConfig) error {
	for failures := 0; ; {
		began := a.Now()
		err := a.follow(ctx, source, c)
		if ctx.Err() != nil {
			if errors.Is(err, ctx.Err()) {
				return nil
			}
			return err
		}
		if a.Now().Sub(began) > settled {
			failures = 0
		}
		failures++
		a.Logger.Error("the backup was interrupted; it goes on where the archive ends", "database", a.Database, "error", err)
		select {
		case <-time.After(c.Retry * time.Duration(min(failures, 15))):
		case <-ctx.Done():
			return nil
		}
	}
}

// settled is how long the work must have gone on before a failure is taken for a new one.
const settled = time.Minute

// storeTimeout bounds how long what was read is stored for after Run was told to end.
const storeTimeout = 10 * time.Second

// follow archives the log until ctx ends, and returns nil then, or until something fails.
func (a *Archive) follow(ctx context.Context, source Source, c RunConfig) error {
	t, err := a.resume(ctx, source, c)
	if err != nil {
		return err
	}
	defer func() { t.close() }()
	for {
		err := t.step(ctx)
		if errors.Is(err, events.ErrGap) || errors.Is(err, events.ErrDiverged) {
			a.Logger.Warn("the log does not go on where the archive ends; a new full part begins a new line", "database", a.Database, "position", t.chain.Applied, "reason", err)
			if err := t.store(ctx); err != nil { // what was read before
				return err
			}
			begun, err := a.begin(ctx, source, c)
			if err != nil {
				return err
			}
			t.close()
			t = begun
			continue
		}
		if ctx.Err() != nil {
			ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
			defer cancel()
			return errors.Join(t.readRest(ending), t.store(ending))
		}
		if err != nil {
			return err
		}
	}
}

// tail is the growing end of a line. One goroutine owns it.
type tail struct {
	a      *Archive
	source Source
	config RunConfig
	line   ulid.ULID
	reads  chan read          // from the goroutine that reads the log
	stop   context.CancelFunc // ends that goroutine
	ended  chan struct{}      // closed when it has ended

	chain  events.Chain // of what has been read
	stored events.Chain // of what is in the archive
	due    time.Time    // when what was read must be stored

	// Since the last merged segment: all messages, how many of them are stored, and the small segments that hold those.
	messages []events.Message
	kept     int
	bytes    int // of messages
	waiting  int // bytes of those that are not stored
	commits  []int
	small    []*Manifest
	base     events.Chain // before messages

	lastFull   time.Time
	full       chan fullPart // answers when the full part that is being stored is done; nil: there is none
	cancelFull context.CancelFunc
	ready      *Manifest // of a full part that counts once the segments have come so far
}

// read is what reading the log has brought: a message, or why there will be no more.
type read struct {
	message events.Message
	err     error
}

// readAhead bounds the messages that have been read and wait: 16 of the largest are 14 MB.
const readAhead = 16

type fullPart struct {
	manifest *Manifest
	err      error
}

// behindTimeout bounds how long is waited for a log that seems to end before the archive does: the server that was asked may lag
// behind.
const behindTimeout = 5 * time.Second

// resume goes on with the line that the log continues, or begins a new one.
func (a *Archive) resume(ctx context.Context, source Source, c RunConfig) (*tail, error) {
	catalog, err := a.Catalog(ctx)
	if err != nil {
		return nil, err
	}
	for _, line := range catalog.Lines {
		if line.Database() != source.ID() {
			continue
		}
		t, err := a.continueLine(ctx, source, c, line)
		if err == nil {
			a.Logger.Info("going on with the archive", "database", a.Database, "position", t.chain.Applied)
			return t, nil
		}
		if !errors.Is(err, events.ErrGap) && !errors.Is(err, events.ErrDiverged) {
			return nil, err
		}
		a.Logger.Warn("the log does not go on where the archive ends", "database", a.Database, "position", line.End().Applied, "reason", err)
	}
	return a.begin(ctx, source, c)
}

// begin begins a line with a full part.
func (a *Archive) begin(ctx context.Context, source Source, c RunConfig) (*tail, error) {
	full, err := a.Create(ctx, source)
	if err != nil {
		return nil, err
	}
	return a.continueLine(ctx, source, c, &Line{ID: full.Line, Fulls: []*Manifest{full}})
}

// continueLine returns the tail of a line after it has made sure that the log goes on from there: with events.ErrGap or
// events.ErrDiverged if not.
func (a *Archive) continueLine(ctx context.Context, source Source, c RunConfig, line *Line) (*tail, error) {
	end := line.End().Chain()
	first, last, err := source.Bounds(ctx)
	if err != nil {
		return nil, err
	}
	if first > end.Applied+1 {
		return nil, fmt.Errorf("%w: the log begins at %d", events.ErrGap, first)
	}
	from := end.Applied + 1
	if end.Counted != 0 && end.Counted >= first {
		from = end.Counted
	}
	t := &tail{a: a, source: source, config: c, line: line.ID, chain: end, stored: end, base: end, lastFull: line.Fulls[len(line.Fulls)-1].Made}
	if err := t.read(ctx, from); err != nil {
		return nil, err
	}
	reading, cancel := ctx, func() {}
	if last < end.Applied {
		reading, cancel = context.WithTimeout(ctx, behindTimeout)
	}
	defer cancel()
	if err := t.compare(reading, from); err != nil {
		t.close()
		if reading.Err() != nil && ctx.Err() == nil {
			err = fmt.Errorf("%w: the log ends at %d", events.ErrGap, last)
		}
		return nil, err
	}
	t.archived()
	return t, nil
}

// read begins to read the log, in a goroutine that outlives ctx: how a reader notices that its server is lost may take longer than
// the waits here.
func (t *tail) read(ctx context.Context, from kv.Position) error {
	reader, err := t.source.Read(ctx, from)
	if err != nil {
		return err
	}
	ctx, t.stop = context.WithCancel(context.WithoutCancel(ctx))
	t.reads, t.ended = make(chan read, readAhead), make(chan struct{})
	go func() {
		defer close(t.ended)
		defer reader.Close()
		for {
			m, err := reader.Next(ctx)
			select {
			case t.reads <- read{m, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return nil
}

// next returns the next message, or fails when ctx ends.
func (t *tail) next(ctx context.Context) (events.Message, error) {
	select {
	case r := <-t.reads:
		return r.message, r.err
	case <-ctx.Done():
		return events.Message{}, ctx.Err()
	}
}

// compare reads what the archive has already, of which the record at from must be the last one that counts.
func (t *tail) compare(ctx context.Context, from kv.Position) error {
	for at := from; at <= t.chain.Applied; at++ {
		m, err := t.next(ctx)
		switch {
		case err != nil:
			return err
		case m.Position != at:
			return &events.RecordError{Position: m.Position, Err: events.ErrGap}
		case at == t.chain.Counted && sha256.Sum256(m.Data) != t.chain.Hash:
			return &events.RecordError{Position: at, Err: events.ErrDiverged}
		}
	}
	return nil
}

// step reads a message, waiting for it as long as it may, or stores what is due.
func (t *tail) step(ctx context.Context) error {
	if err := t.fullPart(ctx); err != nil {
		return err
	}
	wait := t.config.Every
	if t.waiting > 0 {
		wait = t.due.Sub(t.a.Now())
	}
	if wait <= 0 || t.waiting >= t.config.Bytes {
		return t.store(ctx)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case r := <-t.reads:
		if r.err != nil {
			return r.err
		}
		return t.add(r.message)
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// readRest reads what the log has now.
func (t *tail) readRest(ctx context.Context) error {
	_, last, err := t.source.Bounds(ctx)
	for err == nil && t.chain.Applied < last {
		var m events.Message
		if m, err = t.next(ctx); err == nil {
			err = t.add(m)
		}
	}
	return err
}

// messageCost is what a message counts besides its bytes, so that void ones are stored in time too.
const messageCost = 16

func (t *tail) add(m events.Message) error {
	s, err := events.Open(m)
	if err != nil {
		return err
	}
	counts, err := t.chain.Accept(s)
	if err != nil {
		return err
	}
	commits := 0
	if counts {
		commits = len(s.Record.Commits)
	}
	if m.Foreign {
		m.Data = nil
	}
	if t.waiting == 0 {
		t.due = t.a.Now().Add(t.config.Every)
	}
	t.messages, t.commits = append(t.messages, m), append(t.commits, commits)
	t.bytes += len(m.Data) + messageCost
	t.waiting += len(m.Data) + messageCost
	return nil
}

// mostSmall bounds how many small segments there are before they are merged, however little they have: a quarter of an hour of a
// leader that does nothing but renew its lease.
const mostSmall = 500

// store makes a segment of what is not stored yet; and if there is much since the last merge, one segment of all of it, which
// takes the place of the small ones.
func (t *tail) store(ctx context.Context) error {
	if t.kept == len(t.messages) {
		return nil
	}
	merge := t.bytes >= t.config.Merge || len(t.small) >= mostSmall
	from, start := t.kept, t.stored
	if merge {
		from, start = 0, t.base
	}
	m := &Manifest{Kind: KindSegment, ID: t.a.NewID(), Line: t.line, DatabaseID: t.source.ID(), End: PlaceOf(t.chain), Messages: len(t.messages) - from}
	place := PlaceOf(start)
	m.Start = &place
	for _, n := range t.commits[from:] {
		m.Commits += n
	}
	contents := encodeSegment(t.messages[from:])
	err := t.a.writePart(ctx, m, func(w io.Writer) error {
		_, err := io.Copy(w, bytes.NewReader(contents))
		return err
	})
	if err != nil {
		return err
	}
	t.stored, t.waiting, t.kept = t.chain, 0, len(t.messages)
	t.archived()
	if !merge {
		t.small = append(t.small, m)
		return nil
	}
	merged := t.small
	t.base, t.messages, t.commits, t.kept, t.bytes, t.small = t.chain, nil, nil, 0, 0, nil
	for _, m := range merged {
		if err := t.a.remove(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

func (t *tail) archived() {
	if t.config.Archived != nil {
		t.config.Archived(t.stored.Applied)
	}
}

// remove deletes a part: its manifest first, so that what a crash leaves is a part that does not count.
func (a *Archive) remove(ctx context.Context, m *Manifest) error {
	if err := a.Blob.Delete(ctx, a.name(m.base()+manifestSuffix)); err != nil {
		return err
	}
	return a.Blob.Delete(ctx, a.name(m.partName()))
}

// fullPart begins to store a full part if one is due, while segments go on. It counts once the segments have come to its
// position: a line has no gaps, wherever a crash ends it.
func (t *tail) fullPart(ctx context.Context) error {
	switch {
	case t.ready != nil:
		if t.stored.Applied < t.ready.End.Applied {
			return nil
		}
		ready := t.ready
		t.ready, t.lastFull = nil, t.a.Now()
		return t.a.publishFull(ctx, ready)
	case t.full != nil:
		select {
		case done := <-t.full:
			t.cancelFull()
			t.full, t.ready, t.lastFull = nil, done.manifest, t.a.Now()
			if done.err != nil {
				t.ready = nil
				t.a.Logger.Error("no full part could be stored; it is tried again later", "database", t.a.Database, "error", done.err)
			}
		default:
		}
	case t.config.FullEvery != 0 && t.a.Now().Sub(t.lastFull) >= t.config.FullEvery:
		storing, cancel := context.WithCancel(ctx)
		answer := make(chan fullPart, 1)
		t.full, t.cancelFull = answer, cancel
		go func() {
			m, err := t.a.storeFull(storing, t.source, t.line)
			answer <- fullPart{m, err}
		}()
	}
	return nil
}

// close gives up a full part that is being stored, and stops reading.
func (t *tail) close() {
	if t.full != nil {
		t.cancelFull()
		<-t.full
		t.full = nil
	}
	t.stop()
	<-t.ended
}
