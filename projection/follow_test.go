package projection_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
)

// bentLog changes what its readers get.
type bentLog struct {
	events.Log
	bend func(events.Message) (events.Message, error)
}

func (l bentLog) Read(ctx context.Context, from kv.Position) (events.Reader, error) {
	r, err := l.Log.Read(ctx, from)
	return bentReader{r, l.bend}, err
}

type bentReader struct {
	events.Reader
	bend func(events.Message) (events.Message, error)
}

func (r bentReader) Next(ctx context.Context) (events.Message, error) {
	m, err := r.Reader.Next(ctx)
	if err != nil {
		return m, err
	}
	return r.bend(m)
}

// Whatever is wrong with the log stops the projection with an error that says so and where, at the record before; when the
// log is mended it goes on from there.
func TestDamageStops(t *testing.T) {
	h := randomHistory(t, 2, 100, 20)
	foreign := randomHistory(t, 3, 100, 20)
	broken := errors.New("the log does not answer")
	for name, test := range map[string]struct {
		at   kv.Position
		bend func(events.Message) (events.Message, error)
		want error
	}{
		"a record is missing":  {50, func(m events.Message) (events.Message, error) { m.Position++; return m, nil }, events.ErrGap},
		"a record comes again": {50, func(m events.Message) (events.Message, error) { m.Position--; return m, nil }, events.ErrGap},
		"a flipped bit":        {50, func(m events.Message) (events.Message, error) { m.Data[60] ^= 4; return m, nil }, events.ErrCorrupt},
		"nothing in it":        {50, func(m events.Message) (events.Message, error) { m.Data = nil; return m, nil }, events.ErrCorrupt},
		"another history":      {2, func(m events.Message) (events.Message, error) { return messageOf(foreign, 5), nil }, events.ErrDiverged},
		"the reader fails":     {50, func(m events.Message) (events.Message, error) { return m, broken }, broken},
	} {
		t.Run(name, func(t *testing.T) {
			bent := bentLog{&h.log, func(m events.Message) (events.Message, error) {
				if m.Position == test.at {
					return test.bend(m)
				}
				return m, nil
			}}
			p := newProjection(t, projection.Options{})
			err := p.CatchUp(t.Context(), bent, h.chain.Applied)
			if !errors.Is(err, test.want) {
				t.Fatalf("got %v; want %v", err, test.want)
			}
			var record *events.RecordError
			if test.want != broken && !errors.As(err, &record) {
				t.Errorf("got %v; want it to name the position", err)
			}
			if got, want := digestOf(t, p), digestOf(t, apply(t, h.records[:test.at-1], 10)); got != want {
				t.Errorf("stopped at %v; want %v", got, want)
			}
			if err := p.CatchUp(t.Context(), &h.log, h.chain.Applied); err != nil {
				t.Fatal(err)
			}
			if got, want := digestOf(t, p), digestOf(t, apply(t, h.records, 10)); got != want {
				t.Errorf("mended: %v; want %v", got, want)
			}
		})
	}
}

// messageOf returns a record of h as if it stood at position 2.
func messageOf(h *history, at int) events.Message {
	return events.Message{Position: 2, Data: h.records[at].Record.Encode()}
}

// Follow applies records as they come and wakes who waits for them. When its context ends nothing is left behind: synctest
// would find a goroutine.
func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := begin(t)
		p := projection.New(projection.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		followed := make(chan error, 1)
		go func() { followed <- p.Follow(ctx, &h.log) }()
		for at := kv.Position(1); at < 50; at++ {
			waited := make(chan error, 1)
			go func() { waited <- p.Wait(t.Context(), at+1) }()
			synctest.Wait()
			if got := p.Chain().Applied; got != at || len(waited) > 0 {
				t.Fatalf("applied %d, %d waiters returned; want %d and none", got, len(waited), at)
			}
			h.add(1)
			if err := <-waited; err != nil {
				t.Fatal(err)
			}
		}
		cancel()
		if err := <-followed; !errors.Is(err, context.Canceled) {
			t.Errorf("Follow: %v; want context.Canceled", err)
		}
		if err := p.Wait(ctx, 1000); !errors.Is(err, context.Canceled) {
			t.Errorf("Wait: %v; want context.Canceled", err)
		}
		if err := p.CatchUp(ctx, &h.log, 1000); !errors.Is(err, context.Canceled) {
			t.Errorf("CatchUp: %v; want context.Canceled", err)
		}
		if err := p.CatchUp(ctx, &h.log, 10); err != nil {
			t.Errorf("CatchUp to where it is: %v; want nil", err)
		}
		p.Close()
		time.Sleep(2 * time.Second) // BuntDB's own goroutine looks once a second whether it may end
	})
}
