package test

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	dp "github.com/millpondkv/millpond/kvconnect/datapath"
)

// writer writes to one database until its server answers no more, and keeps what it knows. It is used by one goroutine
// while it runs, and by the test after that.
type writer struct {
	name     string
	w        *wire
	next     int          // the number of the next entry
	kept     map[int]bool // entries whose set was acknowledged
	gone     map[int]bool // entries whose delete was acknowledged
	unknown  map[int]bool // the entry that was written when the server went away: there whole, or not at all
	sums     uint64       // acknowledged sums of 1
	openSums uint64       // those without an answer
}

// load is several writers at work.
type load struct {
	writers []*writer
	acked   atomic.Int64 // commits
	done    sync.WaitGroup
}

// startLoad starts writers, which go on from where they were when they are started again.
func startLoad(t testing.TB, url string, writers []*writer) *load {
	l := &load{writers: writers}
	for _, w := range writers {
		w.w = dial(t, url)
		l.done.Go(func() {
			for w.step(t.Context(), &l.acked) == nil {
			}
		})
	}
	return l
}

func newWriters(n int) []*writer {
	writers := make([]*writer, n)
	for i := range writers {
		writers[i] = &writer{
			name: "go " + strconv.Itoa(i), kept: map[int]bool{}, gone: map[int]bool{}, unknown: map[int]bool{},
		}
	}
	return writers
}

// step commits a new entry in two keys together with a sum, sends an atomic that must fail, and deletes every third entry.
func (w *writer) step(ctx context.Context, acked *atomic.Int64) error {
	i := w.next
	w.next++
	entry, twin := key("load", w.name, i), key("twin", w.name, i)
	value := js(fmt.Sprintf("%s wrote %d", w.name, i))
	if err := w.w.tryCommit(ctx, set(entry, value), set(twin, value), sum(key("sum", w.name), u64(1))); err != nil {
		w.unknown[i] = true
		w.openSums++
		return err
	}
	w.kept[i] = true
	w.sums++
	acked.Add(1)

	var out dp.AtomicWriteOutput
	failing := &dp.AtomicWrite{Checks: []*dp.Check{{Key: entry}}, Mutations: []*dp.Mutation{set(key("never", w.name, i), value)}}
	if err := w.w.call(ctx, "atomic_write", failing, &out); err != nil {
		return err
	}
	if i%3 != 0 {
		return nil
	}
	delete(w.kept, i)
	if err := w.w.tryCommit(ctx, del(entry), del(twin)); err != nil {
		w.unknown[i] = true
		return err
	}
	w.gone[i] = true
	acked.Add(1)
	return nil
}

// verify holds what the database has against what the writer knows.
func (w *writer) verify(t *testing.T, database *wire) {
	t.Helper()
	found := map[int]bool{}
	for _, e := range database.list(key("load", w.name)) {
		i := lastPart(t, e)
		found[i] = true
		if got, want := decode(t, e), fmt.Sprintf("%s wrote %d", w.name, i); got != want {
			t.Errorf("entry %d of writer %s is %q", i, w.name, got)
		}
		if !w.kept[i] && !w.unknown[i] {
			t.Errorf("entry %d of writer %s is there; its delete was acknowledged: %v", i, w.name, w.gone[i])
		}
	}
	for i := range w.kept {
		if !found[i] {
			t.Errorf("entry %d of writer %s was acknowledged and is lost", i, w.name)
		}
	}
	twins := map[int]bool{}
	for _, e := range database.list(key("twin", w.name)) {
		twins[lastPart(t, e)] = true
	}
	for i := range w.next {
		if found[i] != twins[i] {
			t.Errorf("a commit of writer %s is there by half: entry %d %v, its twin %v", w.name, i, found[i], twins[i])
		}
	}
	if got, _ := decode(t, database.get(key("sum", w.name))).(uint64); got < w.sums || got > w.sums+w.openSums {
		t.Errorf("the sum of writer %s is %d; %d were acknowledged and %d had no answer", w.name, got, w.sums, w.openSums)
	}
}

// denoWriter is writer.ts at work. It goes through crashes of the server by itself.
type denoWriter struct {
	name    string
	program *background
	lines   []string
}

func startDenoWriter(ctx context.Context, t testing.TB, url, name string) *denoWriter {
	t.Helper()
	cmd := denoCommand(ctx, t, "clients/deno/writer.ts", url, name, "16")
	return &denoWriter{name: name, program: startProgram(t, cmd)}
}

// proceed waits until the writer has been told of n more commits.
func (d *denoWriter) proceed(ctx context.Context, n int) {
	d.program.t.Helper()
	for range n {
		d.lines = append(d.lines, d.program.line(ctx))
	}
}

// verify ends the writer and holds what the database has against what it was told.
func (d *denoWriter) verify(t *testing.T, url string) {
	t.Helper()
	d.lines = append(d.lines, d.program.stop()...)
	told := map[string]map[int]bool{"set": {}, "delete": {}, "brief": {}}
	for _, line := range d.lines {
		what, number, _ := strings.Cut(line, " ")
		i, err := strconv.Atoi(number)
		if err != nil {
			t.Fatalf("the writer printed %q", line)
		}
		told[what][i] = true
	}
	var left struct {
		Found []int
		Brief int
	}
	if err := json.Unmarshal([]byte(runDeno(t, "audit.ts", url, d.name)), &left); err != nil {
		t.Fatal(err)
	}
	found := map[int]bool{}
	for _, i := range left.Found {
		found[i] = true
		if told["delete"][i] {
			t.Errorf("entry %d of Deno's writer is there, and its delete was acknowledged", i)
		}
	}
	for i := range told["set"] {
		if !found[i] && i%3 != 0 { // every third is deleted, acknowledged or not
			t.Errorf("entry %d of Deno's writer was acknowledged and is lost", i)
		}
	}
	if len(told["brief"]) == 0 || left.Brief > 0 {
		t.Errorf("of %d brief entries %d are left, want none of some", len(told["brief"]), left.Brief)
	}
}
