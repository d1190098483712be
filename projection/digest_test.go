package projection_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
	"pgregory.net/rapid"
)

// asked is a digest that a goroutine waits for.
type asked struct {
	at   kv.Position
	hash events.Hash
	err  error
	done chan struct{}
}

func ask(ctx context.Context, p *projection.Projection, at kv.Position) *asked {
	a := &asked{at: at, done: make(chan struct{})}
	go func() {
		defer close(a.done)
		a.hash, a.err = p.DigestAt(ctx, at)
	}()
	return a
}

// Whatever the batches, and wherever a checkpoint was loaded, a projection has at each asked position the digest of a
// projection that stands there.
func TestDigestAt(t *testing.T) {
	h := randomHistory(t, 11, 120, 40)
	want := make([]events.Hash, len(h.records)+1)
	p := newProjection(t, projection.Options{})
	for at := range want {
		want[at] = digestOf(t, p).hash
		if at < len(h.records) {
			if err := p.Apply(h.records[at]); err != nil {
				t.Fatal(err)
			}
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		from := rapid.IntRange(0, len(h.records)).Draw(rt, "checkpoint")
		p := checkpoint(t, apply(t, h.records[:from], 1+from), projection.Options{})
		defer p.Close()
		var waiting []*asked
		for _, at := range rapid.SliceOfN(rapid.IntRange(from, len(h.records)), 1, 8).Draw(rt, "positions") {
			waiting = append(waiting, ask(t.Context(), p, kv.Position(at)))
		}
		projection.AwaitAsked(p, waitingBeyond(waiting, from))
		for rest := h.records[from:]; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(rt, "batch")
			if err := p.Apply(rest[:n]...); err != nil {
				rt.Fatal(err)
			}
			rest = rest[n:]
		}
		for _, a := range waiting {
			<-a.done
			// One for the place where the projection stood may have come too late: the goroutine may have begun late.
			if a.err != nil && !(a.at == kv.Position(from) && errors.Is(a.err, projection.ErrPassed)) {
				rt.Errorf("DigestAt(%d): %v", a.at, a.err)
			}
			if a.err == nil && a.hash != want[a.at] {
				rt.Errorf("from a checkpoint at %d, DigestAt(%d) is %x; want %x", from, a.at, a.hash[:4], want[a.at][:4])
			}
		}
	})
}

func waitingBeyond(waiting []*asked, at int) (n int) {
	for _, a := range waiting {
		if a.at > kv.Position(at) {
			n++
		}
	}
	return n
}

// A digest is right while a checkpoint is being taken and records go on being applied: each is of its own position. So is
// the checkpoint.
func TestDigestAtDuringCheckpoint(t *testing.T) {
	random := rand.New(rand.NewPCG(4, 4))
	h := begin(t)
	for i := range 6 { // enough for several pages
		var effects []events.Effect
		for j := range 500 {
			effects = append(effects, set(key("k", 500*i+j), "first", kv.Millis(random.IntN(2)*(1000+random.IntN(4000)))))
		}
		h.add(1000, commit(effects...))
	}
	p := apply(t, h.records, 3)
	start := len(h.records)
	for i := range 60 {
		h.add(kv.Millis(1000+50*i), randomCommits(random, kv.Millis(1000+50*i), 3000)...)
	}
	var digests []*asked
	for at := start + 1; at <= len(h.records); at += 3 {
		digests = append(digests, ask(t.Context(), p, kv.Position(at)))
	}
	projection.AwaitAsked(p, len(digests))
	rest := h.records[start:]
	step := func() {
		n := min(10, len(rest))
		if err := p.Apply(rest[:n]...); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	var file writer
	if _, err := p.WriteCheckpoint(between{t.Context(), step}, &file, "id"); err != nil {
		t.Fatal(err)
	}
	for len(rest) > 0 {
		step()
	}
	if got, want := digestOf(t, readBack(t, file, projection.Options{})), digestOf(t, apply(t, h.records[:start], 1)); got != want {
		t.Errorf("the checkpoint is %v; want %v", got, want)
	}
	for _, a := range digests {
		<-a.done
		if want := digestOf(t, apply(t, h.records[:a.at], 1)).hash; a.err != nil || a.hash != want {
			t.Errorf("DigestAt(%d) = %x, %v; want %x", a.at, a.hash[:4], a.err, want[:4])
		}
	}
}

type writer []byte

func (w *writer) Write(b []byte) (int, error) { *w = append(*w, b...); return len(b), nil }

// Who asks for a position that has passed, gives up, or asks a closed projection, is told so and waits for nothing.
func TestDigestAtErrors(t *testing.T) {
	h := randomHistory(t, 12, 20, 5)
	p := apply(t, h.records[:10], 3)
	if _, err := p.DigestAt(t.Context(), 9); !errors.Is(err, projection.ErrPassed) {
		t.Errorf("a position that has passed: %v; want ErrPassed", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	given := ask(ctx, p, 12)
	projection.AwaitAsked(p, 1)
	cancel()
	if <-given.done; !errors.Is(given.err, context.Canceled) {
		t.Errorf("given up: %v; want context.Canceled", given.err)
	}
	if err := p.Apply(h.records[10:]...); err != nil {
		t.Fatal(err)
	}
	for range 100 { // both the position and the end of the context are there: either may be seen
		if _, err := p.DigestAt(ctx, p.Chain().Applied); !errors.Is(err, context.Canceled) {
			t.Errorf("given up before: %v; want context.Canceled", err)
		}
	}
	if n := projection.Cuts(p); n != 0 {
		t.Errorf("%d cuts are left open; want none", n)
	}
	p.Close()
	if _, err := p.DigestAt(t.Context(), p.Chain().Applied+1); !errors.Is(err, projection.ErrClosed) {
		t.Errorf("after Close: %v; want ErrClosed", err)
	}
	if _, err := p.WriteCheckpoint(t.Context(), new(writer), "id"); !errors.Is(err, projection.ErrClosed) {
		t.Errorf("WriteCheckpoint after Close: %v; want ErrClosed", err)
	}
}

// Digests come, are given up, and go while records are applied: for the race detector.
func TestDigestAtRace(t *testing.T) {
	h := randomHistory(t, 13, 400, 300)
	p := newProjection(t, projection.Options{})
	var asking sync.WaitGroup
	for i := range 4 {
		asking.Go(func() {
			for at := i; at <= len(h.records); at += 7 {
				ctx, cancel := context.WithCancel(t.Context())
				if at%3 == 0 {
					cancel()
				}
				hash, err := p.DigestAt(ctx, kv.Position(at))
				cancel()
				if err != nil && !errors.Is(err, projection.ErrPassed) && !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
				if want := digestOf(t, apply(t, h.records[:at], 50)).hash; err == nil && hash != want {
					t.Error(fmt.Errorf("DigestAt(%d) = %x; want %x", at, hash[:4], want[:4]))
				}
			}
		})
	}
	for _, s := range h.records {
		if err := p.Apply(s); err != nil {
			t.Fatal(err)
		}
	}
	asking.Wait()
	if n := projection.Cuts(p); n != 0 {
		t.Errorf("%d cuts are left open; want none", n)
	}
}
