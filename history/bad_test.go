package history_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/history"
	"github.com/millpondkv/millpond/kv"
)

// A moment from before the history that is kept says where that begins; one that cannot be says why.
func TestBadMoments(t *testing.T) {
	p := randomPast(t, 1, 60)
	p.checkpoint(20)
	p.first = 15
	oldest := kv.Moment{Versionstamp: kv.NewVersionstamp(20, 65535), Time: p.kept[0].Time}
	for _, m := range []kv.Moment{{Time: oldest.Time - 1}, {Versionstamp: kv.NewVersionstamp(20, 0)}, {Versionstamp: kv.NewVersionstamp(3, 0)}} {
		read := all
		read.To = m
		for _, kind := range []kv.HistoryKind{kv.HistoryEntries, kv.HistoryVersions, kv.HistoryDifferences} {
			read.Kind, read.Keys = kind, []kv.EncodedKey{"\x02a\x00"}
			want := "the history that is kept of this database begins at " + oldest.String() + "; " + m.String() + " lies before that"
			if got := p.fails(kv.ErrGone, read); got != want {
				t.Errorf("%q, want %q", got, want)
			}
		}
	}
	void := p.sealed[len(p.sealed)-1].Position + 1
	p.append(events.Message{Position: void, Data: []byte("x"), Foreign: true})
	for _, test := range []struct {
		moment kv.Moment
		want   string
	}{
		{kv.Moment{Versionstamp: kv.NewVersionstamp(void+1, 0)}, "its log ends at position"},
		{kv.Moment{Versionstamp: kv.NewVersionstamp(void, 0)}, "names no commit"},
		{kv.Moment{Versionstamp: kv.NewVersionstamp(30, 999)}, "names no commit"},
		{kv.Moment{Time: p.now + 3_600_000}, "lies in the future"},
	} {
		read := all
		read.To = test.moment
		if got := p.fails(kv.ErrInvalid, read); !strings.Contains(got, test.want) {
			t.Errorf("%v: %q, want %q", test.moment, got, test.want)
		}
	}
	p.kept = nil
	if got := p.fails(kv.ErrGone, all); !strings.Contains(got, "no history is kept") {
		t.Error(got)
	}
}

// A damaged, lost or exchanged record is an error, wherever it is; nothing is answered over it.
func TestDamagedLog(t *testing.T) {
	for at := range 40 {
		p := randomPast(t, 2, 60)
		m := &p.messages[at]
		if m.Foreign {
			continue
		}
		whole := m.Data
		m.Data = bytes.Clone(whole)
		m.Data[len(whole)/2] ^= 1
		p.fails(events.ErrCorrupt, all)
		m.Data = whole
		p.messages = append(p.messages[:at:at], p.messages[at+1:]...)
		p.fails(events.ErrGap, all)
	}
}

// A checkpoint that is damaged, cut off, of another database, or gone is passed over for the one before it. Without any there is an error.
func TestDamagedCheckpoints(t *testing.T) {
	for name, damage := range map[string]func([]byte) (io.Reader, error){
		"flipped": func(b []byte) (io.Reader, error) { b[len(b)-30] ^= 1; return bytes.NewReader(b), nil },
		"cut":     func(b []byte) (io.Reader, error) { return bytes.NewReader(b[:len(b)-20]), nil },
		"exchanged": func(b []byte) (io.Reader, error) {
			return bytes.NewReader(bytes.Replace(b, []byte(id), []byte("other"), 1)), nil
		},
		"gone":   func([]byte) (io.Reader, error) { return nil, errors.New("gone") },
		"broken": func(b []byte) (io.Reader, error) { return io.MultiReader(bytes.NewReader(b[:60]), broken{}), nil },
	} {
		t.Run(name, func(t *testing.T) {
			p := randomPast(t, 3, 60)
			p.checkpoint(10)
			p.checkpoint(40)
			p.first = 11
			want := p.ask(all, p.now, 1<<20)
			for i := len(p.kept) - 1; i >= 0; i-- {
				open := p.kept[i].Open
				p.kept[i].Open = func(ctx context.Context) (io.ReadCloser, error) {
					in, _ := open(ctx)
					whole, _ := io.ReadAll(in)
					r, err := damage(whole)
					return io.NopCloser(r), err
				}
				if i > 0 {
					same(t, "from the one before", p.ask(all, p.now, 1<<20), want)
				}
			}
			r, err := p.database().Read(all, kv.Position(len(p.messages)), p.now)
			if err == nil {
				_, err = r.Next(t.Context())
			}
			if err == nil {
				t.Error("there is an answer without a base")
			}
		})
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("broken") }

// A log that is trimmed while it is read asks for another try.
func TestTrimmedMeanwhile(t *testing.T) {
	p := randomPast(t, 4, 60)
	d := p.database()
	d.Checkpoints = trimming{p}
	r, err := d.Read(all, kv.Position(len(p.messages)), p.now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Next(t.Context()); !errors.Is(err, kv.ErrUnavailable) {
		t.Errorf("%v, want ErrUnavailable", err)
	}
}

// trimming trims the log when the first checkpoint is opened.
type trimming struct{ p *past }

func (c trimming) List(context.Context) ([]history.Checkpoint, error) {
	c.p.kept = nil
	c.p.checkpoint(5)
	open := c.p.kept[0].Open
	c.p.kept[0].Open = func(ctx context.Context) (io.ReadCloser, error) {
		c.p.first = 30
		return open(ctx)
	}
	return c.p.kept, nil
}

// Who waits for a slot, or for the log, leaves when it is not wanted any more.
func TestLeaves(t *testing.T) {
	p := randomPast(t, 5, 20)
	d := p.database()
	for range cap(d.Slots) {
		d.Slots <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, kind := range []kv.HistoryKind{kv.HistoryEntries, kv.HistoryVersions} {
		r, err := d.Read(kv.HistoryRead{Kind: kind, Keys: []kv.EncodedKey{"\x02a\x00"}}, kv.Position(len(p.messages)), p.now)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Next(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("waiting for a slot: %v", err)
		}
	}
	for range cap(d.Slots) {
		<-d.Slots
	}
	ctx, cancel = context.WithCancel(t.Context())
	r, err := d.Read(all, kv.Position(len(p.messages))+1, p.now) // a record that does not come
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { _, err := r.Next(ctx); done <- err }()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) || len(d.Slots) > 0 {
		t.Errorf("waiting for the log: %v, with %d slots taken", err, len(d.Slots))
	}
}

// What cannot be asked is refused in a sentence.
func TestInvalidReads(t *testing.T) {
	p := randomPast(t, 6, 5)
	for _, read := range []kv.HistoryRead{
		{}, {Kind: 4}, {Kind: kv.HistoryVersions}, {Kind: kv.HistoryVersions, Keys: []kv.EncodedKey{"\x02a\x00", "\x02b\x00"}},
		{Kind: kv.HistoryEntries, Limit: -1}, {Kind: kv.HistoryEntries, Start: "b", End: "a"}, {Kind: kv.HistoryEntries, Keys: []kv.EncodedKey{"x"}},
		{Kind: kv.HistoryEntries, Keys: make([]kv.EncodedKey, kv.MaxHistoryKeys+1)}, {Kind: kv.HistoryEntries, To: kv.Moment{Time: -1}},
		{Kind: kv.HistoryEntries, To: kv.Moment{Time: kv.MaxMillis + 1}},
	} {
		if text := p.fails(kv.ErrInvalid, read); text == "" {
			t.Errorf("%+v: no sentence", read)
		}
	}
}
