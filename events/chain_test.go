package events

import (
	"errors"
	"testing"

	"github.com/millpondkv/millpond/kv"
	"github.com/oklog/ulid/v2"
)

// history builds a log record by record and the chain that reads it.
type history struct {
	t     *testing.T
	chain Chain
}

func (h *history) accept(r *Record) (counts bool) {
	h.t.Helper()
	s, _ := Seal(h.chain.Applied+1, r)
	counts, err := h.chain.Accept(s)
	if err != nil {
		h.t.Fatal(err)
	}
	return counts
}

func (h *history) epoch() *Record {
	return &Record{Kind: KindEpoch, Epoch: h.chain.Epoch, Previous: h.chain.Hash, Time: h.chain.Time + 1, Writer: ulid.ULID{1}}
}

func (h *history) commits() *Record {
	return &Record{Kind: KindCommits, Epoch: h.chain.Epoch, Previous: h.chain.Hash, Time: h.chain.Time + 1}
}

// A record of an epoch that has ended changes nothing, whether or not it continues the chain.
func TestOlderEpochIsVoid(t *testing.T) {
	h := &history{t: t}
	h.accept(h.epoch())
	late := h.commits() // made, then delayed
	h.accept(h.epoch())
	before := h.chain
	if h.accept(late) {
		t.Error("a record of the ended epoch counts; want it void")
	}
	before.Applied++
	if h.chain != before {
		t.Errorf("the chain became %+v; want %+v", h.chain, before)
	}
	if !h.accept(h.commits()) {
		t.Error("a record of the current epoch after a void one is void; want it to count")
	}
}

// A writer that had not read to the end when it opened its epoch does not get to reign.
func TestEpochOffTheChainIsVoid(t *testing.T) {
	h := &history{t: t}
	h.accept(h.epoch())
	early := h.epoch()
	h.accept(h.commits())
	if h.accept(early) {
		t.Error("an epoch record that skips a record counts; want it void")
	}
	if h.chain.Epoch != 1 {
		t.Errorf("epoch = %d; want 1", h.chain.Epoch)
	}
}

// What cannot be judged stops the reader where it is.
func TestChainStops(t *testing.T) {
	at := func(p kv.Position, change func(*Record)) func(*history) Sealed {
		return func(h *history) Sealed {
			r := h.commits()
			change(r)
			s, _ := Seal(p, r)
			return s
		}
	}
	for name, test := range map[string]struct {
		next func(*history) Sealed
		want error
	}{
		"a position is missing":      {at(4, func(*Record) {}), ErrGap},
		"a position comes again":     {at(2, func(*Record) {}), ErrGap},
		"another hash, same epoch":   {at(3, func(r *Record) { r.Previous[0] ^= 1 }), ErrDiverged},
		"an epoch that was not read": {at(3, func(r *Record) { r.Epoch = 2 }), ErrDiverged},
	} {
		t.Run(name, func(t *testing.T) {
			h := &history{t: t}
			h.accept(h.epoch())
			h.accept(h.commits())
			before := h.chain
			if _, err := h.chain.Accept(test.next(h)); !errors.Is(err, test.want) {
				t.Errorf("got %v; want %v", err, test.want)
			}
			if h.chain != before {
				t.Errorf("the chain became %+v; want it unmoved at %+v", h.chain, before)
			}
		})
	}
}

// Commits before the first epoch have no sequencer that could have decided them.
func TestCommitsNeedAnEpoch(t *testing.T) {
	s, _ := Seal(1, &Record{Kind: KindCommits})
	if _, err := new(Chain).Accept(s); !errors.Is(err, ErrDiverged) {
		t.Errorf("got %v; want ErrDiverged", err)
	}
}

// Log time never goes back, even if a record says so.
func TestLogTimeNeverGoesBack(t *testing.T) {
	h := &history{t: t}
	h.accept(h.epoch())
	r := h.commits()
	r.Time = 500
	h.accept(r)
	r = h.commits()
	r.Time = 400
	h.accept(r)
	if h.chain.Time != 500 {
		t.Errorf("log time = %d; want 500", h.chain.Time)
	}
}

// A message that nobody appended under the fence takes up its position and changes nothing, not even if it is a copy of a record
// that was there before.
func TestForeignIsVoid(t *testing.T) {
	h := &history{t: t}
	old := h.epoch().Encode()
	h.accept(h.epoch())
	for _, data := range [][]byte{nil, []byte("no record"), old} {
		before := h.chain
		s, err := Open(Message{Position: before.Applied + 1, Data: data, Foreign: true})
		if err != nil {
			t.Fatal(err)
		}
		if counts, err := h.chain.Accept(s); counts || err != nil {
			t.Errorf("foreign %q: counts %v, %v; want it void", data, counts, err)
		}
		before.Applied++
		if h.chain != before {
			t.Errorf("the chain became %+v; want %+v", h.chain, before)
		}
	}
	if !h.accept(h.commits()) {
		t.Error("a record after foreign messages is void; want it to count")
	}
}

// What is foreign and would count is no stray message: the whole log is a copy without its headers, and must not be taken for
// empty.
func TestCopiedLogIsRefused(t *testing.T) {
	h := &history{t: t}
	data := h.epoch().Encode()
	s, err := Open(Message{Position: 1, Data: data, Foreign: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.chain.Accept(s); !errors.Is(err, ErrCopied) || !errors.Is(err, ErrDiverged) {
		t.Errorf("got %v; want ErrCopied", err)
	}
}
