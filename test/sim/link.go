package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
)

// link is the log as a process sees it, over a network that loses, repeats, delays and reorders. It ends with the process.
type link struct {
	world   *World
	host    *host
	name    string
	gone    <-chan struct{} // closed when the process has crashed: nothing gets out any more
	appends *chance
	bounds  *chance
	readers atomic.Int64
}

var (
	errNetwork = errors.New("the network has lost it")
	// A process that has crashed is to stop whatever it does: as it does on a damaged log.
	errGone = fmt.Errorf("the process has crashed: %w", events.ErrCorrupt)
)

func (w *World) newLink(h *host, life string, gone <-chan struct{}) *link {
	return &link{world: w, host: h, name: life, gone: gone, appends: w.chance(life + " appends"), bounds: w.chance(life + " bounds")}
}

// fate is what becomes of an append on its way.
type fate struct {
	there, back  time.Duration
	copies       int // that arrive: 0, 1 or 2
	second       time.Duration
	answerLost   bool
	disconnected bool // the caller learns at once that there will be no answer
	leak         bool // see Log.append
}

func (l *link) fateOf() fate {
	w, c := l.world, l.appends
	f := fate{there: c.upTo(4 * time.Millisecond), back: c.upTo(4 * time.Millisecond), copies: 1, second: c.upTo(20 * time.Millisecond)}
	f.disconnected = c.once(2)
	f.leak = c.once(2) && w.rate > 0
	late := c.upTo(4 * time.Second)
	switch {
	case w.fault(c, "appends lost", w.rate):
		f.copies, f.answerLost = 0, true
	case w.fault(c, "answers of appends lost", w.rate):
		f.answerLost = true
	case w.fault(c, "appends late", w.rate):
		f.there, f.answerLost = late, f.disconnected
	case w.fault(c, "answers of appends late", w.rate):
		f.back = late
	case w.fault(c, "appends twice", w.rate):
		f.copies = 2
	}
	return f
}

func (l *link) Append(ctx context.Context, a events.Append) (kv.Position, error) {
	type answer struct {
		at  kv.Position
		err error
	}
	l.host.gate(l.appends.upTo(time.Millisecond))
	if err := l.usable(ctx); err != nil {
		return 0, err
	}
	f := l.fateOf()
	if l.host.isCut() {
		f.copies, f.answerLost = 0, true
	}
	answers := make(chan answer, 2)
	a.Data = slices.Clone(a.Data)
	for i := range f.copies {
		time.AfterFunc(f.there+time.Duration(i)*f.second, func() {
			at, err := l.world.log.append(a, f.leak)
			if !f.answerLost && !l.host.isCut() {
				time.AfterFunc(f.back, func() { answers <- answer{at, err} })
			}
		})
	}
	var lost <-chan time.Time
	if f.answerLost && f.disconnected {
		lost = time.After(f.there%(5*time.Millisecond) + f.back + 5*time.Millisecond)
	}
	defer l.host.gate(f.back)
	select {
	case got := <-answers:
		return got.at, got.err
	case <-lost:
		return 0, errNetwork
	case <-ctx.Done():
	case <-l.gone:
	}
	return 0, l.usable(ctx)
}

// usable fails if the process is no more or its caller has given up.
func (l *link) usable(ctx context.Context) error {
	select {
	case <-l.gone:
		return errGone
	default:
		return ctx.Err()
	}
}

func (l *link) Bounds(ctx context.Context) (first, last kv.Position, err error) {
	l.host.gate(l.bounds.upTo(time.Millisecond))
	if err := l.rest(ctx, l.bounds.upTo(2*time.Millisecond)); err != nil {
		return 0, 0, err
	}
	last = l.world.log.last()
	behind := kv.Position(l.bounds.below(4))
	switch {
	case l.host.isCut() || l.world.fault(l.bounds, "bounds failed", l.world.rate):
		return 0, 0, errNetwork
	case l.world.fault(l.bounds, "bounds stale", l.world.rate):
		last -= min(last, behind)
	}
	return l.world.log.begins(), last, nil
}

// rest sleeps, unless the process ends meanwhile.
func (l *link) rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-l.gone:
	}
	return l.usable(ctx)
}

func (l *link) Read(ctx context.Context, from kv.Position) (events.Reader, error) {
	if err := l.usable(ctx); err != nil {
		return nil, err
	}
	c := l.world.chance(fmt.Sprint(l.name, " reader ", l.readers.Add(1)))
	r := &reader{link: l, chance: c, next: max(from, 1)}
	if b := l.world.breaks; (b.Contiguity || b.Epoch) && !l.host.writes {
		return &credulous{reader: r, breaks: b, chain: l.host.running().projection.Chain()}, nil
	}
	return r, nil
}

// reader delivers the log's messages, and now and then not as it should: twice, one too few, out of order, damaged or
// late; or it fails.
type reader struct {
	link   *link
	chance *chance
	next   kv.Position
}

func (r *reader) Close() {}

func (r *reader) Next(ctx context.Context) (events.Message, error) {
	m, err := r.await(ctx, r.next)
	if err != nil {
		return m, err
	}
	r.next = m.Position
	w, c := r.link.world, r.chance
	delay := c.upTo(2 * time.Millisecond)
	if w.fault(c, "deliveries late", 2*w.rate) {
		delay += c.upTo(3 * time.Second)
	}
	if err := r.link.rest(ctx, delay); err != nil {
		return m, err
	}
	r.link.host.gate(delay)
	if err := r.link.usable(ctx); err != nil {
		return m, err
	}
	damage := 20 * w.rate
	if !r.link.host.writes { // a reader that notices it reads again; a writer starts again
		damage = 4 * w.rate
	}
	place := c.below(8 * len(m.Data))
	switch {
	case w.fault(c, "readers failed", 2*w.rate):
		return m, errNetwork
	case w.fault(c, "deliveries left out", damage):
		r.next++ // and goes on
		if m, err = r.await(ctx, r.next); err != nil {
			return m, err
		}
	case r.next > 1 && w.fault(c, "deliveries twice", damage):
		m, _ = w.log.at(r.next - 1)
		return m, nil
	case w.fault(c, "deliveries out of order", damage):
		if later, grown := w.log.at(r.next + 1); grown == nil {
			return later, nil
		}
	case w.fault(c, "bits flipped", damage):
		m.Data[place/8] ^= 1 << (place % 8)
	}
	r.next++
	return m, nil
}

// await blocks until the log has a message at p, and the network lets it through.
func (r *reader) await(ctx context.Context, p kv.Position) (events.Message, error) {
	for {
		if err := r.link.usable(ctx); err != nil {
			return events.Message{}, err
		}
		m, grown := r.link.world.log.at(p)
		if wait := r.link.host.untilMended(); wait > 0 {
			if err := r.link.rest(ctx, wait); err != nil {
				return m, err
			}
			continue
		}
		if grown == nil {
			return m, nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
		case <-r.link.gone:
		}
	}
}
