package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/service/wire"
)

// journal is what was committed, by those who did it.
type journal struct {
	mu      sync.Mutex
	commits map[kv.Versionstamp][]string
}

// write commits at random below two prefixes, until so many are done.
func (j *journal) write(t *testing.T, db *DB, random *rand.Rand, commits int) {
	for range commits {
		a, effects := db.Atomic(), map[string]string{}
		for range 1 + random.IntN(5) {
			key := kv.Key{random.IntN(2), random.IntN(6)}
			if random.IntN(4) == 0 {
				a.Delete(key)
				effects[key.String()] = ""
				continue
			}
			value := fmt.Sprint(random.Int())
			a.Set(key, Bytes([]byte(value)))
			effects[key.String()] = value
		}
		v, err := a.Commit(t.Context())
		if err != nil {
			t.Error(err)
			return
		}
		var lines []string
		for key, value := range effects {
			lines = append(lines, key+value)
		}
		slices.Sort(lines)
		j.mu.Lock()
		j.commits[v] = lines
		j.mu.Unlock()
	}
}

// below returns what a feed of keys that begin so shows.
func (j *journal) below(prefix string) (list []string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for v, lines := range j.commits {
		lines := slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return line[:len(prefix)] != prefix })
		if len(lines) > 0 {
			list = append(list, fmt.Sprint(v, lines))
		}
	}
	slices.Sort(list)
	return list
}

func shownCommit(c RawCommit) string {
	var lines []string
	for _, e := range c.Entries {
		lines = append(lines, e.Key.String()+string(e.Value.Data))
	}
	slices.Sort(lines)
	return fmt.Sprint(c.Versionstamp, lines)
}

// Whatever happens to readers, to connections and to the program that follows a feed, it has every commit in the end: once, whole,
// in order.
func TestNATSFeedLosesNothing(t *testing.T) {
	const writers, commits = 3, 400
	for name, test := range map[string]struct {
		prefix kv.Key
		starts string
	}{"all keys": {nil, "["}, "a prefix": {kv.Key{1}, "[1,"}} {
		t.Run(name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(7, 7))
			r := newNATSRig(t)
			lose := []func(){r.mortalReader(), r.mortalReader()}
			r.writer()
			db, following := r.open(), r.open()
			j := &journal{commits: map[kv.Versionstamp][]string{}}
			var working sync.WaitGroup
			for i := range writers {
				working.Go(func() { j.write(t, db, rand.New(rand.NewPCG(uint64(i), 1)), commits/writers) })
			}
			following.transport.(*natsTransport).silence = time.Second // of a reader that is lost
			written := make(chan struct{})
			go func() { working.Wait(); close(written) }()

			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			var got []string
			var last kv.Versionstamp
			done := func() bool {
				select {
				case <-written:
					return len(got) >= len(j.below(test.starts))
				default:
					return false
				}
			}
			for !done() {
				for c, err := range following.Changes(ctx, ChangesOptions{After: last, Prefix: test.prefix}) {
					if err != nil {
						t.Fatalf("after %d commits: %v", len(got), err)
					}
					got, last = append(got, shownCommit(c)), c.Versionstamp
					switch random.IntN(40) {
					case 0:
						if err := following.transport.(*natsTransport).conn.ForceReconnect(); err != nil {
							t.Error(err)
						}
					case 1:
						if random.IntN(3) == 0 {
							lose[0]()
							lose = []func(){lose[1], r.mortalReader()}
						}
					}
					if random.IntN(20) == 0 || done() {
						break // it begins anew from its note
					}
				}
			}
			if want := j.below(test.starts); !reflect.DeepEqual(got, want) {
				t.Error("commits (-want +got):\n" + cmp.Diff(want, got))
			}
		})
	}
}

// A copy that a watch by prefix keeps is what a list shows, whatever happens to readers and connections.
func TestNATSWatchPrefixKeepsCopy(t *testing.T) {
	r := newNATSRig(t)
	stop := r.reader()
	r.writer()
	db, following := r.open(), r.open()
	j := &journal{commits: map[kv.Versionstamp][]string{}}
	j.write(t, db, rand.New(rand.NewPCG(5, 5)), 50)
	written := make(chan struct{})
	go func() {
		defer close(written)
		j.write(t, db, rand.New(rand.NewPCG(6, 6)), 300)
		mustSet(t, db, kv.Key{1, "end"}, "end")
	}()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	held, steps := map[string]RawEntry{}, 0
	for entries, err := range following.WatchPrefix(ctx, kv.Key{1}) {
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.Exists() {
				held[e.Key.String()] = e
			} else {
				delete(held, e.Key.String())
			}
		}
		if steps++; steps == 5 {
			r.reader()
			stop()
			following.transport.(*natsTransport).conn.ForceReconnect()
		}
		if _, ended := held[kv.Key{1, "end"}.String()]; ended {
			break
		}
	}
	<-written
	want := map[string]RawEntry{}
	for e, err := range db.List(ctx, Selector{Prefix: kv.Key{1}}) {
		if err != nil {
			t.Fatal(err)
		}
		want[e.Key.String()] = e
	}
	if diff := cmp.Diff(want, held); diff != "" {
		t.Error("the copy (-want +got):\n" + diff)
	}
}

// Who takes longer for a commit than a reader waits for a sign of life keeps the feed, and the reader sends no more than one piece
// ahead.
func TestNATSFeedSlow(t *testing.T) {
	r := newNATSRig(t)
	stop := r.reader() // to be found, and no more
	db := r.open()
	stop()
	conn, said := r.dial(), make(chan wire.Watching, 100)
	if _, err := conn.Subscribe("the.reader", func(m *nats.Msg) {
		w, err := wire.DecodeWatching(m.Data)
		if err != nil {
			t.Error(err)
		}
		said <- w
	}); err != nil {
		t.Fatal(err)
	}
	asked := make(chan *nats.Msg, 100)
	if _, err := conn.QueueSubscribe(wire.FeedSubject("default"), wire.Readers, func(m *nats.Msg) { asked <- m }); err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	shown, more := make(chan kv.Versionstamp), make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for c, err := range db.Changes(ctx, ChangesOptions{}) {
			if err != nil {
				return
			}
			shown <- c.Versionstamp
			<-more
		}
	}()
	request := <-asked
	send := func(p wire.Piece) {
		t.Helper()
		if err := conn.PublishRequest(request.Reply, "the.reader", p.Encode()); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(want wire.Watching) {
		t.Helper()
		select {
		case got := <-said:
			if got != want {
				t.Fatalf("the client said %+v, want %+v", got, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("the client does not say %+v", want)
		}
	}
	piece := func(n uint64) wire.Piece {
		v := kv.NewVersionstamp(kv.Position(n), 0)
		effects := []kv.Effect{{Key: kv.Key{1}.MustEncode(), Delete: true}}
		return wire.Piece{Number: n, Changes: kv.Changes{Through: v, Commits: []kv.Commit{{Versionstamp: v, Effects: effects}}}}
	}
	send(piece(1))
	expect(wire.Watching{Number: 1, Holds: true})
	expect(wire.Watching{Number: 1}) // it is being shown
	<-shown
	send(piece(2))
	for range 3 {
		expect(wire.Watching{Number: 2, Holds: true})
		send(wire.Piece{Number: 2, Alive: true})
	}
	expect(wire.Watching{Number: 2, Holds: true})
	send(piece(2)) // again: nothing is shown twice
	expect(wire.Watching{Number: 2, Holds: true})
	send(piece(3)) // too early: it does not take the place of the second
	expect(wire.Watching{Number: 2, Holds: true})
	more <- struct{}{}
	if v := <-shown; v.Position() != 2 {
		t.Errorf("the commit at %v was shown", v)
	}
	expect(wire.Watching{Number: 2})
	more <- struct{}{}
	again := piece(3)
	again.Commits[0].Versionstamp = kv.NewVersionstamp(2, 0) // a reader that goes wrong
	send(again)
	expect(wire.Watching{Number: 3, Holds: true})
	expect(wire.Watching{Number: 3, Leaves: true})
	if next, err := wire.DecodeFeed((<-asked).Data); err != nil || next.After != kv.NewVersionstamp(2, 0) {
		t.Errorf("another reader is asked for %+v, %v; want what comes after 2", next, err)
	}
	cancel()
	<-ended
}

// After Close nothing is left of feeds, here and at the readers. (The log's server keeps a reader's consumer for a while.)
func TestNATSFeedLeavesNothing(t *testing.T) {
	other, r := startNATS(t)
	r.awaitFeeder(other) // once a writer leads and feeds the queue, it starts nothing more
	mustSet(t, other, kv.Key{"p", 1}, "y")
	before := feeds()
	db, err := Open(t.Context(), r.url)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range db.Changes(t.Context(), ChangesOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		if feeds() == before {
			t.Error("no goroutine of a feed is found while there is one")
		}
		break
	}
	for _, err := range db.WatchPrefix(t.Context(), kv.Key{"p"}) {
		if err != nil {
			t.Fatal(err)
		}
		break
	}
	db.Close()
	for deadline := time.Now().Add(20 * time.Second); feeds() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines of feeds are left; %d were there before", feeds(), before)
		}
	}
}

// feeds returns how many goroutines have to do with feeds, of clients and readers.
func feeds() (n int) {
	stacks := make([]byte, 1<<22)
	for stack := range strings.SplitSeq(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
		if strings.Contains(stack, "nats_feed.go:") || strings.Contains(stack, "serve_feed.go:") {
			n++
		}
	}
	return n
}

// A log that has lost its beginning says so, and a feed from what it still has goes on.
func TestNATSFeedGone(t *testing.T) {
	db, r := startNATS(t)
	mustSet(t, db, kv.Key{"a"}, "lost")
	kept := mustSet(t, db, kv.Key{"a"}, "kept")
	last := mustSet(t, db, kv.Key{"a"}, "last")
	js, err := jetstream.New(r.dial())
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "millpond_default")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context(), jetstream.WithPurgeSequence(uint64(kept.Position()))); err != nil {
		t.Fatal(err)
	}
	for c, err := range db.Changes(t.Context(), ChangesOptions{}) {
		if !errors.Is(err, kv.ErrGone) {
			t.Errorf("from the beginning: %v, %v; want ErrGone", c, err)
			break
		}
	}
	for c, err := range db.Changes(t.Context(), ChangesOptions{After: kept}) {
		if err != nil || c.Versionstamp != last {
			t.Errorf("got %v, %v; want the commit at %v", c, err, last)
		}
		break
	}
}
