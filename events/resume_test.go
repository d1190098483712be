package events_test

import (
	"context"
	"errors"
	"testing"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
)

// fragile is a log whose readers are lost after some messages each: as many as its list says.
type fragile struct {
	lasting []int
	opened  []kv.Position // from where
	cause   error
}

func (f *fragile) Read(_ context.Context, from kv.Position) (events.Reader, error) {
	f.opened = append(f.opened, from)
	return &fragileReader{log: f, next: from, left: f.lasting[len(f.opened)-1]}, nil
}

type fragileReader struct {
	log  *fragile
	next kv.Position
	left int
}

func (r *fragileReader) Next(context.Context) (events.Message, error) {
	if r.left--; r.left < 0 {
		return events.Message{}, r.log.cause
	}
	r.next++
	return events.Message{Position: r.next - 1}, nil
}

func (r *fragileReader) Close() {}

func TestResumeGoesOnWithAnotherReader(t *testing.T) {
	lost := errors.New("lost")
	log := &fragile{lasting: []int{0, 2, 0, 1, 0, 0}, cause: lost}
	reader := events.Resume(log, 5)
	for want := kv.Position(5); want < 8; want++ {
		if m, err := reader.Next(t.Context()); err != nil || m.Position != want {
			t.Fatalf("Next = position %d, %v; want %d", m.Position, err, want)
		}
	}
	if _, err := reader.Next(t.Context()); !errors.Is(err, lost) {
		t.Errorf("Next = %v after three losses in a row, want %v", err, lost)
	}
}

func TestResumeDoesNotPassOverAGap(t *testing.T) {
	log := &fragile{lasting: []int{0, 1}, cause: events.ErrGap}
	if _, err := events.Resume(log, 1).Next(t.Context()); !errors.Is(err, events.ErrGap) || len(log.opened) != 1 {
		t.Errorf("Next = %v after %d readers, want ErrGap of the first", err, len(log.opened))
	}
}

func TestResumeEndsWithItsContext(t *testing.T) {
	log := &fragile{lasting: []int{0, 1}, cause: errors.New("lost")}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := events.Resume(log, 1).Next(ctx); err == nil || len(log.opened) != 1 {
		t.Errorf("Next = %v after %d readers, want an error of the first", err, len(log.opened))
	}
}
