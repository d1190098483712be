// Package sim runs writers and readers over a simulated log in virtual time, lets everything go wrong that can, and holds
// what clients saw to what the log says.
//
// Everything is decided by one seed: run a [World] in a bubble of testing/synctest, then [check.Check] its history.
package sim

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/test/check"
)

// Breaks takes guards out, one at a time, so that tests can see that it is noticed.
type Breaks struct {
	Fence      bool // the log takes whatever is appended
	Kept       bool // the log acks a record that it does not keep
	Contiguity bool // readers take a record for the next one wherever it stands
	Epoch      bool // readers take void records for ones that count
	Wait       bool // a strong read does not wait for the read index
	Proof      bool // a writer answers without proof that it leads, though it is not alone
	Lease      bool // the lease is longer than standbys wait
	Repeat     bool // a client that sends a request again does not say so
	Trim       bool // the log is trimmed though no checkpoint has what was there
	Clock      bool // all writers but one take the lease of the one before for shorter than it is
}

// How long a world lasts, in virtual time.
const (
	faultsLast = 25 * time.Second // from the beginning
	healsIn    = 15 * time.Second // after the last fault has ended, and everything works
)

// mostOperations bounds what a client does: what the check takes.
const mostOperations = 60

// World is one run.
type World struct {
	seed     uint64
	breaks   Breaks
	log      *Log
	hosts    []*host
	readers  []*host // some of the hosts
	writers  []*host // the others
	standbys bool    // writers stand by until there is no leader; otherwise they fight
	lease    time.Duration
	rate     int           // each thing goes wrong one time in so many; 0: nothing does
	idle     time.Duration // how long a client may wait before it does something
	trims    bool          // the log is trimmed behind checkpoints that all processes find
	skew     time.Duration // the writers' clocks are at most so far from the true time
	began    time.Time

	mu      sync.Mutex
	ended   bool
	counts  map[string]int
	history check.History
	bucket  []kept // in the order of their positions
}

// NewWorld returns the world of a seed.
func NewWorld(seed uint64, b Breaks) *World {
	w := &World{seed: seed, breaks: b, log: newLog(b), counts: map[string]int{}, began: time.Now()}
	c := w.chance("world")
	w.rate = []int{0, 10, 20, 20, 40, 100}[c.below(6)]
	w.idle = []time.Duration{200 * time.Millisecond, 700 * time.Millisecond, 1200 * time.Millisecond}[c.below(3)]
	w.standbys = !c.once(3)
	if w.standbys && !c.once(3) {
		w.lease = 1500 * time.Millisecond
	}
	if b.Proof {
		w.standbys, w.lease = false, 0
	}
	if b.Lease {
		w.standbys, w.lease = true, time.Minute
	}
	if b.Clock {
		w.standbys, w.lease = true, 1500*time.Millisecond
	}
	if c.once(3) || b.Clock {
		w.skew = 3 * time.Second
	}
	for i := range 2 + c.below(2) {
		h := &host{world: w, name: fmt.Sprint("writer ", i), writes: true}
		if w.skew > 0 {
			h.skew = kv.Millis((c.upTo(2*w.skew) - w.skew).Milliseconds())
		}
		w.writers = append(w.writers, h)
	}
	for i := range 1 + c.below(2) {
		w.readers = append(w.readers, &host{world: w, name: fmt.Sprint("reader ", i)})
	}
	w.trims = !c.once(3) || b.Trim
	w.hosts = slices.Concat(w.writers, w.readers)
	return w
}

func (w *World) chance(actor string) *chance { return newChance(w.seed, actor) }

// fault reports whether this is to go wrong, one time in oneIn, and counts it.
func (w *World) fault(c *chance, kind string, oneIn int) bool {
	if !c.once(oneIn) || w.rate == 0 || time.Since(w.began) > faultsLast {
		return false
	}
	w.count(kind)
	return true
}

func (w *World) count(kind string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts[kind]++
}

func (w *World) over() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ended
}

// Run lets the world happen and returns its history. It must be called in a bubble of testing/synctest.
func (w *World) Run() *check.History {
	var machines, clients sync.WaitGroup
	for _, h := range w.hosts {
		machines.Go(h.run)
	}
	for i := range 5 {
		c := &client{world: w, chance: w.chance(fmt.Sprint("client ", i)), index: i}
		clients.Go(c.run)
	}
	w.spoil()
	clients.Wait()
	w.prove()
	w.mu.Lock()
	w.ended = true
	w.mu.Unlock()
	w.settleDown()
	for _, h := range w.hosts {
		if p := h.running(); p != nil {
			w.end(p)
		}
	}
	machines.Wait()
	time.Sleep(10 * time.Second) // for what is still on its way, and BuntDB's own goroutines
	w.history.Skew = kv.Millis(w.skew.Milliseconds())
	w.history.Log, w.history.Counts = w.log.all(), maps.Clone(w.counts)
	return &w.history
}

// end stops a process, which must not take long now.
func (w *World) end(p *process) {
	p.stop()
	select {
	case <-p.ended:
	case <-time.After(healsIn):
		w.violate(fmt.Sprintf("%s does not stop", p.link.name))
		p.crash()
	}
}

// spoil does to hosts what can happen to one, until faultsLast.
func (w *World) spoil() {
	c := w.chance("spoil")
	for time.Since(w.began) < faultsLast {
		time.Sleep(c.upTo(5 * time.Second))
		h, d, what := w.hosts[c.below(len(w.hosts))], c.upTo(6*time.Second), c.below(4)
		kind, copyOf := events.Kind(1+c.below(2)), c.below(100)
		if w.fault(c, "foreign messages", min(w.rate, 8)) {
			w.log.intrude(kind, copyOf)
		}
		p := h.running()
		if w.rate == 0 || p == nil || time.Since(w.began) >= faultsLast {
			continue
		}
		switch what {
		case 0:
			w.count("crashes")
			p.crash()
		case 1:
			w.count("stops")
			p.stop()
		case 2:
			w.count("pauses")
			h.pause(d)
		case 3:
			w.count("partitions")
			h.cutOff(d)
		}
	}
	time.Sleep(7 * time.Second) // pauses, partitions and late appends have ended
}

// prove commits and reads through every reader, which must work in time now.
func (w *World) prove() {
	c := &client{world: w, chance: w.chance("prover"), index: -1}
	began := time.Now()
	for !c.commit(healsIn) && time.Since(began) < healsIn {
	}
	w.violateAfter(began, "a write")
	for _, h := range w.readers {
		for !c.strongRead(h, healsIn) && time.Since(began) < healsIn {
		}
		w.violateAfter(began, "a strong read at "+h.name)
	}
}

func (w *World) violateAfter(began time.Time, what string) {
	if d := time.Since(began); d >= healsIn {
		w.violate(fmt.Sprintf("%s took %v after the last fault", what, d))
	}
}

// settleDown lets every process that follows the log read to its end, and notes the states of all.
func (w *World) settleDown() {
	for _, h := range w.hosts {
		p := h.running()
		if p == nil { // it has ended just now
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), healsIn)
		follows := p.sequencer.Load() == nil // who leads, or thinks so, reads on when it has something to write
		if err := p.projection.Wait(ctx, w.log.last()); err != nil && follows {
			w.violate(fmt.Sprintf("%s does not reach the end of the log: %v", p.link.name, err))
		}
		cancel()
		if digest, _, err := check.DigestOf(p.link.name, p.projection); err == nil {
			w.note(digest)
		}
	}
}

func (w *World) violate(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.history.Violations = append(w.history.Violations, what)
}

func (w *World) note(d check.Digest) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.history.Digests = append(w.history.Digests, d)
}

func (w *World) record(o check.Operation) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.history.Operations = append(w.history.Operations, o)
}

// credulous is a reader that makes records acceptable which are not: what a projection without the apply rule would take.
type credulous struct {
	*reader
	breaks Breaks
	chain  events.Chain
}

func (r *credulous) Next(ctx context.Context) (events.Message, error) {
	m, err := r.reader.Next(ctx)
	if err != nil {
		return m, err
	}
	s, err := events.Open(m)
	if err != nil {
		return m, nil
	}
	if m.Foreign {
		r.chain.Accept(s)
		return m, nil
	}
	if r.breaks.Contiguity {
		s.Position = r.chain.Applied + 1
		if s.Record.Epoch == r.chain.Epoch {
			s.Record.Previous = r.chain.Hash
		}
	}
	if r.breaks.Epoch && s.Record.Epoch < r.chain.Epoch && s.Record.Kind == events.KindCommits {
		s.Record.Epoch, s.Record.Previous = r.chain.Epoch, r.chain.Hash
	}
	s, data := events.Seal(s.Position, s.Record)
	r.chain.Accept(s)
	return events.Message{Position: s.Position, Data: data}, nil
}
