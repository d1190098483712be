package sim

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
	"github.com/millpondkv/millpond/test/check"
	"github.com/millpondkv/millpond/writer"
	"github.com/oklog/ulid/v2"
)

// host is a machine that runs a writer or a reader, one life after the other.
type host struct {
	world  *World
	name   string
	writes bool
	skew   kv.Millis // its clock is so far ahead of the true time

	mu     sync.Mutex
	paused time.Time // until when nothing gets in or out of the process
	cut    time.Time // until when the log cannot be reached
	disk   []byte    // the last checkpoint; nil if there is none
	life   *process  // nil while none runs
	lives  int
}

// gate blocks while the process is paused, and a moment longer: so those that it holds go on in an order that the seed
// decides. What the process did in that time, it has done before or after.
func (h *host) gate(moment time.Duration) {
	for {
		h.mu.Lock()
		wait := time.Until(h.paused)
		h.mu.Unlock()
		if wait <= 0 {
			return
		}
		time.Sleep(wait + moment)
	}
}

func (h *host) isCut() bool { return h.untilMended() > 0 }

func (h *host) untilMended() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Until(h.cut)
}

func (h *host) running() *process {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.life
}

func (h *host) leader() (*process, *writer.Sequencer) {
	if p := h.running(); p != nil {
		return p, p.sequencer.Load()
	}
	return nil, nil
}

// run starts process after process until the world's end, each on what the disk has, or on nothing.
func (h *host) run() {
	c := h.world.chance(h.name)
	for !h.world.over() {
		p := h.start(c.once(3))
		<-p.ended
		h.mu.Lock()
		h.life = nil
		h.mu.Unlock()
		p.projection.Close()
		time.Sleep(c.upTo(time.Second))
	}
}

// process is one life of a host's program.
type process struct {
	host       *host
	link       *link
	projection *projection.Projection
	chance     *chance
	bucket     *chance
	sequencer  atomic.Pointer[writer.Sequencer] // of a writer, while it leads or tries to
	stop       context.CancelFunc               // asks for a graceful end
	crash      func()
	gone       chan struct{} // closed by a crash
	ended      chan struct{} // closed when nothing of it is left
}

// start begins a life.
func (h *host) start(empty bool) *process {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lives++
	name := fmt.Sprint(h.name, " life ", h.lives)
	p := &process{host: h, chance: h.world.chance(name), gone: make(chan struct{}), ended: make(chan struct{})}
	p.bucket = h.world.chance(name + " bucket")
	options := projection.Options{Checkpoint: p.checkpoint}
	p.projection = projection.New(options)
	if h.disk != nil && !empty {
		p.projection.Close()
		var err error
		if p.projection, _, err = projection.ReadCheckpoint(bytes.NewReader(h.disk), options); err != nil {
			panic(err) // the disk is not at fault here
		}
	}
	p.link = h.world.newLink(h, name, p.gone)
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	p.crash = sync.OnceFunc(func() { close(p.gone); stop() })
	h.life = p
	var parts sync.WaitGroup
	parts.Go(func() {
		defer stop()
		switch {
		case !h.writes:
			p.follow(ctx)
		case h.world.standbys:
			p.standBy(ctx)
		default:
			p.fight(ctx)
		}
	})
	parts.Go(func() { p.takeCheckpoints(ctx) })
	go func() { parts.Wait(); close(p.ended) }()
	return p
}

// follow is the work of a reader: it reads on where it was, whatever a delivery was like.
func (p *process) follow(ctx context.Context) {
	for ctx.Err() == nil {
		p.projection.Follow(ctx, p.link)
		p.link.rest(ctx, 20*time.Millisecond)
	}
}

// standBy is the work of a writer as it is meant to be.
func (p *process) standBy(ctx context.Context) {
	standby := writer.NewStandby(writer.StandbyConfig{Config: p.config(), Silence: 2 * time.Second})
	standby.Run(ctx, func(reign context.Context, q *writer.Sequencer) {
		p.sequencer.Store(q)
		<-reign.Done()
		p.sequencer.CompareAndSwap(q, nil)
	})
}

// fight is the work of a writer that takes the lead whenever it can: it is slow, and safe all the same.
func (p *process) fight(ctx context.Context) {
	c := p.config()
	c.Exclusive = p.host.world.breaks.Proof
	q := writer.New(c)
	defer context.AfterFunc(ctx, q.Close)()
	p.sequencer.Store(q)
	defer p.sequencer.Store(nil)
	q.Run(context.WithoutCancel(ctx))
}

func (p *process) config() writer.Config {
	w := p.host.world
	lease := w.lease
	if w.breaks.Clock && p.host != w.writers[0] {
		lease = 0
	}
	return writer.Config{
		Log: p.link, Projection: p.projection, Logger: slog.New(slog.DiscardHandler), Metrics: p, Lease: lease,
		NewID: func() ulid.ULID { return ulid.ULID(p.chance.id()) },
		Now:   func() kv.Millis { return kv.MillisOf(time.Now()) + p.host.skew },
	}
}

// takeCheckpoints writes one now and then, and notes the state's digest.
func (p *process) takeCheckpoints(ctx context.Context) {
	c := p.host.world.chance(p.link.name + " checkpoints")
	for p.link.rest(ctx, time.Second+c.upTo(20*time.Second)) == nil {
		digest, file, err := check.DigestOf(p.link.name, p.projection)
		if err != nil || p.link.usable(ctx) != nil {
			return
		}
		p.host.mu.Lock()
		p.host.disk = file
		p.host.mu.Unlock()
		p.host.world.note(digest)
		if p.host.writes && p.host.world.trims && !p.host.isCut() {
			p.host.world.keep(digest.Chain.Applied, file)
		}
	}
}

// Appended, UnknownOutcome, EpochBegun and Conflict are points between two steps of a sequencer, where a process may be
// paused or crash; they hold no lock.
func (p *process) Appended(int, int, time.Duration) { p.stumble("after an ack") }
func (p *process) UnknownOutcome() {
	p.host.world.count("unknown outcomes of records")
	p.stumble("after a failed append")
}
func (p *process) EpochBegun() { p.host.world.count("takeovers"); p.stumble("after a takeover") }
func (p *process) Conflict()   {}

func (p *process) stumble(where string) {
	w := p.host.world
	d, moment := p.chance.upTo(6*time.Second), p.chance.upTo(time.Millisecond)
	switch {
	case p.link.usable(context.Background()) != nil: // it has crashed already
	case w.fault(p.chance, "crashes "+where, 8*w.rate):
		p.crash()
	case w.fault(p.chance, "pauses "+where, 2*w.rate):
		p.host.pause(d)
		p.host.gate(moment)
	}
}

func (h *host) pause(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.paused = time.Now().Add(d)
}

func (h *host) cutOff(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cut = time.Now().Add(d)
}
