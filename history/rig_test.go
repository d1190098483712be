package history_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/history"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kv/kvtest"
	"github.com/millpondkv/millpond/projection"
	"github.com/oklog/ulid/v2"
)

const id = "0b6c8f0e-5d0f-4c59-8f2e-3f6c0f9f7a10"

// past is a log that a test makes by the model, with all states that it has been through.
type past struct {
	t        *testing.T
	random   *rand.Rand
	messages []events.Message
	sealed   []events.Sealed
	chain    events.Chain
	now      kv.Millis
	model    *kvtest.Model
	states   []state // after each commit, and after each record
	changes  map[kv.EncodedKey][]kv.Version
	first    kv.Position // of the log: what comes before was trimmed
	kept     []history.Checkpoint
}

// state is what the model held just after at.
type state struct {
	at      kv.Versionstamp
	time    kv.Millis
	entries []kv.Entry // that were live at the time
}

func newPast(t *testing.T, seed uint64) *past {
	p := &past{t: t, random: rand.New(rand.NewPCG(seed, 0)), now: 1000, model: kvtest.New(), changes: map[kv.EncodedKey][]kv.Version{}, first: 1}
	p.states = []state{{at: kv.NewVersionstamp(0, 65535)}}
	p.epoch()
	return p
}

// randomPast has n messages: records of random atomics, epochs, void records, and foreign messages.
func randomPast(t *testing.T, seed uint64, n int) *past {
	p := newPast(t, seed)
	old := p.chain
	for range n {
		p.now += kv.Millis(p.random.IntN(30))
		switch p.random.IntN(12) {
		case 0:
			old = p.chain
			p.epoch()
		case 1:
			if old.Epoch != p.chain.Epoch {
				void := &events.Record{Kind: events.KindCommits, Epoch: old.Epoch, Previous: old.Hash, Time: p.now + 10_000}
				void.Commits = []events.Commit{{Effects: []events.Effect{{Key: kv.Key{"void"}.MustEncode(), Value: kv.Value{Encoding: kv.EncodingBytes}}}}}
				p.add(void)
			}
		case 2:
			p.append(events.Message{Position: p.chain.Applied + 1, Data: []byte("of somebody else"), Foreign: true})
		default:
			p.commits(p.random.IntN(4))
		}
	}
	return p
}

func (p *past) epoch() {
	p.add(&events.Record{Kind: events.KindEpoch, Epoch: p.chain.Epoch, Previous: p.chain.Hash, Time: p.now, Writer: ulid.ULID{1}})
}

func (p *past) add(r *events.Record) {
	p.append(events.Message{Position: p.chain.Applied + 1, Data: r.Encode()})
}

func (p *past) append(m events.Message) {
	p.t.Helper()
	s, err := events.Open(m)
	if err == nil {
		_, err = p.chain.Accept(s)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	p.messages, p.sealed = append(p.messages, m), append(p.sealed, s)
	p.note(kv.NewVersionstamp(m.Position, 65535))
}

func (p *past) note(at kv.Versionstamp) {
	p.states = append(p.states, state{at, p.chain.Time, p.model.Entries(p.chain.Time)})
}

// commits adds a record of so many atomics that the model decides.
func (p *past) commits(n int) {
	r := &events.Record{Kind: events.KindCommits, Epoch: p.chain.Epoch, Previous: p.chain.Hash, Time: p.now}
	at, reached := p.chain.Applied+1, p.chain
	p.chain.Time = p.now
	for range n {
		v := kv.NewVersionstamp(at, uint16(len(r.Commits)))
		before := p.model.Entries(p.now)
		result, err := p.model.Commit(kvtest.RandomAtomic(p.random, p.model, p.now), p.now, v)
		if err != nil || !result.OK() {
			continue
		}
		r.Commits = append(r.Commits, events.Commit{Effects: p.effects(before, p.model.Entries(p.now), v)})
		p.note(v)
	}
	p.chain = reached
	p.add(r)
}

// effects are what a commit has done, by what was there before and after it.
func (p *past) effects(before, after []kv.Entry, v kv.Versionstamp) (effects []events.Effect) {
	left := map[kv.EncodedKey]bool{}
	for _, e := range after {
		left[e.Key] = true
		if e.Versionstamp == v {
			effects = append(effects, events.Effect{Key: e.Key, Value: e.Value, ExpireAt: e.ExpireAt})
			p.changed(e.Key, kv.Version{Versionstamp: v, Time: p.now, State: kv.VersionSet, Value: e.Value, ExpireAt: e.ExpireAt})
		}
	}
	for _, e := range before {
		if !left[e.Key] {
			effects = append(effects, events.Effect{Key: e.Key, Delete: true})
			p.changed(e.Key, kv.Version{Versionstamp: v, Time: p.now, State: kv.VersionDeleted})
		}
	}
	return effects
}

// changed notes what has become of a key, and before that if its value had expired.
func (p *past) changed(key kv.EncodedKey, v kv.Version) {
	p.changes[key] = append(expired(p.changes[key], v.Time), v)
}

func expired(list []kv.Version, now kv.Millis) []kv.Version {
	if n := len(list); n > 0 && list[n-1].State == kv.VersionSet && list[n-1].ExpireAt != 0 && list[n-1].ExpireAt <= now {
		list = append(list[:n:n], kv.Version{Versionstamp: list[n-1].Versionstamp, Time: list[n-1].ExpireAt, State: kv.VersionExpired})
	}
	return list
}

// checkpoint keeps a checkpoint at a position.
func (p *past) checkpoint(at kv.Position) {
	p.t.Helper()
	state := projection.New(projection.Options{})
	defer state.Close()
	if err := state.Apply(p.sealed[:at]...); err != nil {
		p.t.Fatal(err)
	}
	var file bytes.Buffer
	chain, err := state.WriteCheckpoint(p.t.Context(), &file, id)
	if err != nil {
		p.t.Fatal(err)
	}
	p.kept = append(p.kept, history.Checkpoint{Position: at, Time: chain.Time, Open: func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(file.Bytes())), nil
	}})
}

func (p *past) database() *history.Database {
	return &history.Database{ID: id, Log: log{p}, Checkpoints: p, Slots: history.NewSlots(), Logger: slog.New(slog.DiscardHandler)}
}

// List implements history.Checkpoints.
func (p *past) List(context.Context) ([]history.Checkpoint, error) { return p.kept, nil }

// log is the messages from first on.
type log struct{ *past }

func (l log) Bounds(context.Context) (first, last kv.Position, err error) {
	return l.first, kv.Position(len(l.messages)), nil
}

func (l log) Read(_ context.Context, from kv.Position) (events.Reader, error) {
	return &logReader{l, max(from, l.first)}, nil
}

type logReader struct {
	log  log
	next kv.Position
}

func (r *logReader) Next(ctx context.Context) (events.Message, error) {
	if int(r.next) > len(r.log.messages) {
		<-ctx.Done()
		return events.Message{}, ctx.Err()
	}
	r.next++
	return r.log.messages[r.next-2], nil
}

func (r *logReader) Close() {}

// readAll returns all parts of an answer as one.
func readAll(t *testing.T, r *history.Read) (all kv.HistoryPart, err error) {
	t.Helper()
	for first := true; ; first = false {
		part, err := r.Next(t.Context())
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		if part.Len() == 0 && !first {
			t.Error("a part has nothing in it")
		}
		if first {
			all.From, all.To = part.From, part.To
		} else if part.From != all.From || part.To != all.To {
			t.Errorf("the moments are %v and %v, and were %v and %v", part.From, part.To, all.From, all.To)
		}
		all.Entries = append(all.Entries, part.Entries...)
		all.Versions = append(all.Versions, part.Versions...)
		all.Differences = append(all.Differences, part.Differences...)
	}
}

// ask answers a question that must have an answer. With a few bytes at a time it takes many passes.
func (p *past) ask(want kv.HistoryRead, now kv.Millis, most int) kv.HistoryPart {
	p.t.Helper()
	r, err := p.database().Read(want, kv.Position(len(p.messages)), now)
	if err != nil {
		p.t.Fatalf("%+v: %v", want, err)
	}
	history.SetMost(r, most)
	all, err := readAll(p.t, r)
	if err != nil {
		p.t.Fatalf("%+v: %v", want, err)
	}
	return all
}

// fails asks a question that must fail.
func (p *past) fails(kind error, want kv.HistoryRead) string {
	p.t.Helper()
	r, err := p.database().Read(want, kv.Position(len(p.messages)), p.now)
	if err == nil {
		_, err = readAll(p.t, r)
	}
	if !errors.Is(err, kind) {
		p.t.Errorf("%+v: %v, want %v", want, err, kind)
	}
	return fmt.Sprint(err)
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if reflect.DeepEqual(got, want) { // much faster
		return
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}
