package events

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/oklog/ulid/v2"

	"github.com/millpondkv/millpond/kv"
)

// writtenLog is a log that is made at random, and the commits that it shows.
type writtenLog struct {
	MemoryLog
	chain   Chain
	foreign map[kv.Position]bool
	first   kv.Position // what was before it is lost
	commits []kv.Commit
}

func (l *writtenLog) Bounds(ctx context.Context) (first, last kv.Position, err error) {
	_, last, err = l.MemoryLog.Bounds(ctx)
	return max(l.first, 1), last, err
}

func (l *writtenLog) Read(ctx context.Context, from kv.Position) (Reader, error) {
	r, err := l.MemoryLog.Read(ctx, from)
	return &writtenReader{r, l}, err
}

type writtenReader struct {
	Reader
	log *writtenLog
}

func (r *writtenReader) Next(ctx context.Context) (Message, error) {
	m, err := r.Reader.Next(ctx)
	m.Foreign = r.log.foreign[m.Position]
	return m, err
}

func (l *writtenLog) add(t *testing.T, r *Record, foreign bool) {
	t.Helper()
	s, data := Seal(l.chain.Applied+1, r)
	if foreign { // a copy of a record that was there before, or noise
		s.Foreign, s.Record, data = true, &Record{Kind: KindForeign}, []byte("noise")
		if s.Position%2 == 0 {
			data = slices.Clone(l.messages[0].Data)
		}
	}
	l.messages = append(l.messages, Message{Position: s.Position, Data: data})
	l.foreign[s.Position] = foreign
	counts, err := l.chain.Accept(s)
	if err != nil {
		t.Fatal(err)
	}
	if !counts {
		return
	}
	for i, c := range r.Commits {
		l.commits = append(l.commits, kv.Commit{Versionstamp: kv.NewVersionstamp(s.Position, uint16(i)), Time: l.chain.Time, Effects: c.Effects})
	}
}

// writeLog makes a log of records of all kinds: of commits with and without effects, of epochs, void and foreign ones.
func writeLog(t *testing.T, random *rand.Rand, records int) *writtenLog {
	l := &writtenLog{foreign: map[kv.Position]bool{}}
	epoch := func() *Record {
		return &Record{Kind: KindEpoch, Epoch: l.chain.Epoch, Previous: l.chain.Hash, Time: l.chain.Time, Writer: ulid.ULID{1}}
	}
	commits := func() *Record {
		r := &Record{Kind: KindCommits, Epoch: l.chain.Epoch, Previous: l.chain.Hash, Time: l.chain.Time + kv.Millis(random.IntN(3))}
		for range random.IntN(4) {
			var c Commit
			for range random.IntN(4) {
				e := Effect{Key: kv.Key{random.IntN(3), random.IntN(5)}.MustEncode(), Delete: random.IntN(3) == 0}
				if !e.Delete {
					e.Value = kv.Value{Encoding: kv.EncodingBytes, Data: bytes.Repeat([]byte{7}, 1+random.IntN(100_000))}
				}
				c.Effects = append(c.Effects, e)
			}
			r.Commits = append(r.Commits, c)
		}
		return r
	}
	l.add(t, epoch(), false)
	for range records {
		switch random.IntN(10) {
		case 0:
			late := commits()
			l.add(t, epoch(), false)
			l.add(t, late, false) // void
		case 1:
			l.add(t, commits(), true)
		default:
			l.add(t, commits(), false)
		}
	}
	return l
}

// wanted returns what a feed is to show.
func (l *writtenLog) wanted(f kv.Feed) (list []kv.Commit) {
	for _, c := range l.commits {
		var effects []kv.Effect
		for _, e := range c.Effects {
			if f.Start <= e.Key && e.Key < f.End {
				effects = append(effects, e)
			}
		}
		if c.Effects = effects; effects != nil && f.After.Before(c.Versionstamp) {
			list = append(list, c)
		}
	}
	return list
}

// A feed shows the commits of its range whole, in order and once, from wherever it begins, and also if it is begun anew at any
// time from where it was.
func TestFeed(t *testing.T) {
	for seed := range uint64(30) {
		random := rand.New(rand.NewPCG(seed, 1))
		log := writeLog(t, random, 60)
		for _, r := range []kv.Feed{{End: "\xff"}, {Start: kv.Key{1}.MustEncode() + "\x00", End: kv.Key{1}.MustEncode() + "\xff"}} {
			for range 10 {
				want := r
				if i := random.IntN(len(log.commits) + 1); i < len(log.commits) {
					want.After = log.commits[i].Versionstamp
				}
				var got []kv.Commit
				f, from := NewFeed(log, want), want
				for end := kv.EndOf(log.chain.Counted); from.After.Before(end); {
					c, err := f.Next(t.Context())
					if err != nil {
						t.Fatalf("seed %d, after %s: %v", seed, from.After, err)
					}
					got, from.After = append(got, c.Commits...), c.Through
					if random.IntN(3) == 0 {
						f.Close()
						f = NewFeed(log, from)
					}
					if random.IntN(5) == 0 {
						f.Close() // as after an error
					}
				}
				f.Close()
				if !reflect.DeepEqual(got, log.wanted(want)) {
					t.Fatalf("seed %d, after %s (-want +got):\n%s", seed, want.After, cmp.Diff(stamps(log.wanted(want)), stamps(got)))
				}
			}
		}
	}
}

func stamps(commits []kv.Commit) (list []string) {
	for _, c := range commits {
		list = append(list, fmt.Sprintf("%s at %d: %d effects, %d bytes", c.Versionstamp, c.Time, len(c.Effects), c.Size()))
	}
	return list
}

// A feed that is at the end waits, and one that gives up waiting loses nothing.
func TestFeedWaits(t *testing.T) {
	log := writeLog(t, rand.New(rand.NewPCG(1, 2)), 10)
	f := NewFeed(log, kv.Feed{After: kv.EndOf(log.chain.Counted), End: "\xff"})
	defer f.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 2 {
		if _, err := f.Next(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want that the context has ended", err)
		}
	}
	effect := Effect{Key: kv.Key{1}.MustEncode(), Delete: true}
	record := &Record{Kind: KindCommits, Epoch: log.chain.Epoch, Previous: log.chain.Hash, Time: log.chain.Time, Commits: []Commit{{Effects: []Effect{effect}}}}
	last := log.chain
	log.epoch = last.Epoch
	if _, err := log.Append(t.Context(), Append{Kind: KindCommits, Data: record.Encode(), Last: last.Applied, Epoch: last.Epoch}); err != nil {
		t.Fatal(err)
	}
	var got kv.Changes
	for len(got.Commits) == 0 {
		var err error
		if got, err = f.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	want := []kv.Commit{{Versionstamp: kv.NewVersionstamp(last.Applied+1, 0), Time: last.Time, Effects: []Effect{effect}}}
	if diff := cmp.Diff(want, got.Commits); diff != "" {
		t.Error("commits (-want +got):\n" + diff)
	}
}

// A place that the log does not have any more, and a versionstamp that names no commit, are told from each other and from damage.
func TestFeedErrors(t *testing.T) {
	log := writeLog(t, rand.New(rand.NewPCG(3, 4)), 40)
	void := func(want string) kv.Position {
		for p, chain := kv.Position(1), (Chain{}); ; p++ {
			m := log.messages[p-1]
			m.Foreign = log.foreign[p]
			s, err := Open(m)
			if err != nil {
				t.Fatal(err)
			}
			counts, err := chain.Accept(s)
			if err != nil {
				t.Fatal(err)
			}
			if !counts && fmt.Sprint(m.Foreign) == want {
				return p
			}
		}
	}
	for name, test := range map[string]struct {
		after kv.Versionstamp
		first kv.Position
		want  error
	}{
		"from a beginning that is lost": {kv.Versionstamp{}, 2, kv.ErrGone},
		"from a place that is lost":     {log.commits[0].Versionstamp, log.commits[0].Versionstamp.Position() + 1, kv.ErrGone},
		"from a void record":            {kv.NewVersionstamp(void("false"), 0), 1, kv.ErrInvalid},
		"from a foreign message":        {kv.NewVersionstamp(void("true"), 0), 1, kv.ErrInvalid},
		"from an epoch record":          {kv.NewVersionstamp(1, 0), 1, kv.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			log.first = test.first
			f := NewFeed(log, kv.Feed{After: test.after, End: "\xff"})
			defer f.Close()
			var err error
			for range 100 {
				var c kv.Changes
				if c, err = f.Next(t.Context()); err != nil {
					break
				}
				if len(c.Commits) > 0 && test.want == kv.ErrGone {
					t.Fatalf("it shows %v", c.Commits)
				}
			}
			if !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}
