package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
	"github.com/millpondkv/millpond/test/check"
	"github.com/millpondkv/millpond/writer"
	"github.com/oklog/ulid/v2"
)

// client does one thing after the other, and records what it saw.
type client struct {
	world  *World
	chance *chance
	index  int
	seen   kv.Position                       // the highest position it was told of
	known  map[kv.EncodedKey]kv.Versionstamp // as of its last read
}

var (
	errNoLeader = kv.Errorf(kv.ErrUnavailable, "no writer leads here")
	errSilence  = kv.Errorf(kv.ErrUnknownOutcome, "no answer came")
	everything  = kv.Range{Start: "", End: "\xff", Limit: 1000}
)

func (c *client) run() {
	for range mostOperations {
		if time.Since(c.world.began) > faultsLast {
			return
		}
		time.Sleep(c.chance.upTo(c.world.idle))
		patience := c.chance.upTo(8 * time.Second)
		if c.chance.once(4) {
			patience = c.chance.upTo(20 * time.Millisecond)
		}
		switch c.chance.below(8) {
		case 0, 1, 2, 3:
			c.commit(patience)
		case 4, 5:
			c.strongRead(c.someReader(), patience)
		case 6:
			c.parallelRead(c.someReader(), patience)
		case 7:
			c.eventualRead(c.someReader(), patience)
		}
	}
}

func (c *client) someReader() *host { return c.world.readers[c.chance.below(len(c.world.readers))] }
func (c *client) someWriter() *host { return c.world.writers[c.chance.below(len(c.world.writers))] }

// commit sends a random atomic, some tries long, and reports whether it was committed.
func (c *client) commit(patience time.Duration) bool {
	o := check.Operation{Client: c.index, Kind: check.Commit, Begin: time.Now(), ID: ulid.ULID(c.chance.id()), Atomic: c.randomAtomic()}
	request := writer.Request{ID: o.ID, Atomic: o.Atomic, Seen: c.seen}
	tries := 1 + c.chance.below(4)
	var unknown error
	for o.Tries < tries || errors.Is(o.Err, errNoLeader) && time.Since(o.Begin) < patience {
		o.Tries++
		request.Repeat = unknown != nil && !c.world.breaks.Repeat
		o.Result, o.Err = c.try(c.someWriter(), request, patience)
		if o.Err == nil || errors.Is(o.Err, kv.ErrInvalid) {
			unknown = nil
			break
		}
		if errors.Is(o.Err, kv.ErrUnknownOutcome) {
			unknown = o.Err
		}
		time.Sleep(c.chance.upTo(50 * time.Millisecond))
	}
	if unknown != nil {
		o.Err = unknown
	}
	o.End = time.Now()
	if o.Err == nil && o.Result.OK() {
		c.seen = max(c.seen, o.Result.Versionstamp.Position())
	}
	c.world.record(o)
	return o.Err == nil && o.Result.OK()
}

// try sends a request to a writer, over a network that may lose the answer. Both ends keep to the same deadline.
func (c *client) try(h *host, request writer.Request, patience time.Duration) (kv.CommitResult, error) {
	type answer struct {
		result kv.CommitResult
		err    error
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	time.Sleep(c.chance.upTo(2 * time.Millisecond))
	there, back := c.chance.upTo(time.Millisecond), c.chance.upTo(2*time.Millisecond)
	lost := c.world.fault(c.chance, "answers to clients lost", c.world.rate)
	p, q := h.leader()
	if q == nil || ctx.Err() != nil {
		return kv.CommitResult{}, errNoLeader
	}
	answers := make(chan answer, 1)
	go func() {
		h.gate(there)
		result, err := q.Commit(ctx, request)
		h.gate(back)
		time.Sleep(back)
		if !lost {
			answers <- answer{result, err}
		}
	}()
	silence := time.NewTimer(patience + 10*time.Millisecond)
	defer silence.Stop()
	select {
	case got := <-answers:
		return got.result, got.err
	case <-p.gone:
		return kv.CommitResult{}, errSilence
	case <-silence.C:
		return kv.CommitResult{}, errSilence
	}
}

// strongRead reads everything at a reader, by a read index of a writer that leads, and reports whether that worked.
func (c *client) strongRead(h *host, patience time.Duration) bool {
	o := check.Operation{Client: c.index, Kind: check.Strong, Begin: time.Now(), Range: everything}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	index, err := c.readIndex(ctx)
	if err != nil {
		return false
	}
	o.Now = index.Now
	at := index.Position
	c.world.record(check.Operation{Client: c.index, Kind: check.Index, Begin: o.Begin, End: time.Now(), Index: at, Now: index.Now})
	if c.world.breaks.Wait {
		at = 0
	}
	return c.read(ctx, h, at, o)
}

// parallelRead is a strong read too, but gets the read index while it reads, and hides what has expired by itself. Only if
// the reader turns out to be behind the index it reads again.
func (c *client) parallelRead(h *host, patience time.Duration) bool {
	o := check.Operation{Client: c.index, Kind: check.Strong, Begin: time.Now(), Range: everything}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	type answer struct {
		snapshot projection.Snapshot
		ok       bool
	}
	reader, answers := &client{world: c.world, chance: c.world.chance(fmt.Sprint("client ", c.index, " at ", time.Since(c.world.began)))}, make(chan answer, 1)
	go func() {
		snapshot, ok := reader.snapshot(ctx, h, 0, o.Range, 0)
		answers <- answer{snapshot, ok}
	}()
	index, err := c.readIndex(ctx)
	first := <-answers
	if err != nil || !first.ok {
		return false
	}
	o.Now, o.Snapshot = index.Now, first.snapshot
	if o.Snapshot.Chain.Applied < index.Position && !c.world.breaks.Behind {
		again, ok := c.snapshot(ctx, h, index.Position, o.Range, 0)
		if !ok {
			return false
		}
		o.Snapshot = again
	}
	hide(&o.Snapshot, index.Now)
	c.world.count("parallel reads")
	c.done(o)
	return true
}

// hide leaves out what has expired by now, as a read at that time does.
func hide(s *projection.Snapshot, now kv.Millis) {
	s.Entries[0] = slices.DeleteFunc(s.Entries[0], func(e kv.Entry) bool {
		expired := e.ExpireAt.Expired(now)
		if expired {
			s.Hidden = max(s.Hidden, e.ExpireAt)
		}
		return expired
	})
}

// readIndex asks writers until one leads.
func (c *client) readIndex(ctx context.Context) (writer.ReadIndex, error) {
	for ctx.Err() == nil {
		h := c.someWriter()
		time.Sleep(c.chance.upTo(2 * time.Millisecond))
		h.gate(c.chance.upTo(time.Millisecond))
		p, q := h.leader()
		if q == nil {
			time.Sleep(c.chance.upTo(30 * time.Millisecond))
			continue
		}
		index, err := q.ReadIndex(ctx)
		h.gate(c.chance.upTo(time.Millisecond))
		time.Sleep(c.chance.upTo(2 * time.Millisecond))
		if err == nil && p.link.usable(ctx) == nil {
			return index, nil
		}
	}
	return writer.ReadIndex{}, ctx.Err()
}

// eventualRead reads everything at a reader as it is, but nothing older than the client has seen.
func (c *client) eventualRead(h *host, patience time.Duration) bool {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	o := check.Operation{Client: c.index, Kind: check.Eventual, Begin: time.Now(), Range: everything, Now: kv.MillisOf(time.Now())}
	return c.read(ctx, h, c.seen, o)
}

func (c *client) read(ctx context.Context, h *host, at kv.Position, o check.Operation) (ok bool) {
	if o.Snapshot, ok = c.snapshot(ctx, h, at, o.Range, o.Now); ok {
		c.done(o)
	}
	return ok
}

// snapshot reads at a reader what it has once it has applied the record at that position.
func (c *client) snapshot(ctx context.Context, h *host, at kv.Position, r kv.Range, now kv.Millis) (s projection.Snapshot, ok bool) {
	h.gate(c.chance.upTo(time.Millisecond))
	p := h.running()
	if p == nil || p.projection.Wait(ctx, at) != nil {
		return s, false
	}
	h.gate(c.chance.upTo(time.Millisecond))
	s, err := p.projection.Read([]kv.Range{r}, now)
	if err != nil {
		return s, false
	}
	h.gate(c.chance.upTo(time.Millisecond))
	time.Sleep(c.chance.upTo(2 * time.Millisecond))
	return s, p.link.usable(ctx) == nil
}

// done records a read that has succeeded.
func (c *client) done(o check.Operation) {
	o.End = time.Now()
	c.seen = max(c.seen, o.Snapshot.Chain.Applied)
	c.known = map[kv.EncodedKey]kv.Versionstamp{}
	for _, e := range o.Snapshot.Entries[0] {
		c.known[e.Key] = e.Versionstamp
	}
	c.world.record(o)
}

// randomAtomic counts, and besides: compares and sets, sets for a while, deletes, sets a key with a versionstamp, or cannot
// be done; always on few keys.
func (c *client) randomAtomic() *kv.Atomic {
	k, counter := key("k", c.chance.below(4)), key("n", c.chance.below(3))
	value := kv.Value{Encoding: kv.EncodingBytes, Data: fmt.Append(nil, "of ", c.index, " ", c.chance.below(1000))}
	one := kv.Value{Encoding: kv.EncodingLE64, Data: []byte{1, 0, 0, 0, 0, 0, 0, 0}}
	a := &kv.Atomic{Mutations: []kv.Mutation{{Type: kv.MutationSum, Key: counter, Value: one}}}
	set := kv.Mutation{Type: kv.MutationSet, Key: k, Value: value}
	switch what, ttl := c.chance.below(12), kv.Millis(c.chance.below(6000)); {
	case c.index < 0: // commits always
	case what < 5:
		unchanged := kv.Check{Key: k}
		if stamp, ok := c.known[k]; ok {
			unchanged.Versionstamp = &stamp
		}
		if what < 2 {
			set.ExpireAt = kv.MillisOf(time.Now()) + ttl
		}
		a.Checks, a.Mutations = []kv.Check{unchanged}, append(a.Mutations, set)
	case what < 7:
		set.ExpireAt = kv.MillisOf(time.Now()) + ttl
		a.Mutations = append(a.Mutations, set)
	case what < 8:
		a.Mutations = append(a.Mutations, kv.Mutation{Type: kv.MutationDelete, Key: k})
	case what < 9:
		set.Type, set.ExpireAt = kv.MutationSetSuffix, kv.MillisOf(time.Now())+ttl
		a.Mutations = append(a.Mutations, set)
	case what < 10:
		a.Mutations = append(a.Mutations, set, kv.Mutation{Type: kv.MutationSum, Key: k, Value: one})
	}
	return a
}

func key(parts ...any) kv.EncodedKey { return kv.Key(parts).MustEncode() }
