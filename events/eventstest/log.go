// Package eventstest has the contract of events.Log as tests, which every implementation passes.
package eventstest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
)

// TestLog runs the suite. open returns a new, empty log.
func TestLog(t *testing.T, open func(t *testing.T) events.Log) {
	for name, test := range map[string]func(*testing.T, context.Context, events.Log){
		"an empty log has no messages":                testEmpty,
		"messages are read in order, byte for byte":   testReadBack,
		"a reader waits for messages to come":         testReaderWaits,
		"a reader starts where it is told to":         testReadFrom,
		"a wrong last position is refused":            testFencedByPosition,
		"an old epoch is refused":                     testFencedByEpoch,
		"of many appends at one position one is kept": testRace,
		"the largest record fits":                     testLargest,
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			test(t, ctx, open(t))
		})
	}
}

func testEmpty(t *testing.T, ctx context.Context, log events.Log) {
	first, last, err := log.Bounds(ctx)
	if err != nil || last+1 != first {
		t.Errorf("Bounds() = %d, %d, %v; want last to be first-1", first, last, err)
	}
	r, err := log.Read(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	soon, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	if m, err := r.Next(soon); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Next() = %v, %v; want it to wait", m, err)
	}
}

func testReadBack(t *testing.T, ctx context.Context, log events.Log) {
	var want [][]byte
	for i := range 50 {
		want = append(want, fmt.Appendf(nil, "record %d", i))
		mustAppend(t, ctx, log, kindOf(i), kv.Position(i), 1, want[i])
	}
	if first, last, err := log.Bounds(ctx); first != 1 || last != 50 || err != nil {
		t.Errorf("Bounds() = %d, %d, %v; want 1, 50", first, last, err)
	}
	expect(t, ctx, log, 1, want)
}

func testReaderWaits(t *testing.T, ctx context.Context, log events.Log) {
	r, err := log.Read(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for i := range 20 {
		data := fmt.Appendf(nil, "record %d", i)
		mustAppend(t, ctx, log, kindOf(i), kv.Position(i), 1, data)
		m, err := r.Next(ctx)
		if err != nil || m.Position != kv.Position(i+1) || !bytes.Equal(m.Data, data) {
			t.Fatalf("Next() = %d %q, %v; want %d %q", m.Position, m.Data, err, i+1, data)
		}
	}
}

func testReadFrom(t *testing.T, ctx context.Context, log events.Log) {
	var all [][]byte
	for i := range 10 {
		all = append(all, fmt.Appendf(nil, "record %d", i))
		mustAppend(t, ctx, log, kindOf(i), kv.Position(i), 1, all[i])
	}
	expect(t, ctx, log, 7, all[6:])
}

func testFencedByPosition(t *testing.T, ctx context.Context, log events.Log) {
	mustAppend(t, ctx, log, events.KindEpoch, 0, 0, []byte("epoch"))
	mustAppend(t, ctx, log, events.KindCommits, 1, 1, []byte("first"))
	for _, last := range []kv.Position{0, 1, 3, 9} {
		_, err := log.Append(ctx, events.Append{Kind: events.KindCommits, Data: []byte("wrong"), Last: last, Epoch: 1})
		if !errors.Is(err, events.ErrFenced) {
			t.Errorf("Append after %d when the log ends at 2: %v; want ErrFenced", last, err)
		}
	}
	expect(t, ctx, log, 1, [][]byte{[]byte("epoch"), []byte("first")})
}

func testFencedByEpoch(t *testing.T, ctx context.Context, log events.Log) {
	mustAppend(t, ctx, log, events.KindEpoch, 0, 0, []byte("epoch 1"))
	mustAppend(t, ctx, log, events.KindEpoch, 1, 1, []byte("epoch 2"))
	_, err := log.Append(ctx, events.Append{Kind: events.KindCommits, Data: []byte("zombie"), Last: 2, Epoch: 1})
	if !errors.Is(err, events.ErrFenced) {
		t.Errorf("Append in epoch 1 after epoch 2 began: %v; want ErrFenced", err)
	}
	mustAppend(t, ctx, log, events.KindCommits, 2, 2, []byte("successor"))
	expect(t, ctx, log, 1, [][]byte{[]byte("epoch 1"), []byte("epoch 2"), []byte("successor")})
}

func testRace(t *testing.T, ctx context.Context, log events.Log) {
	mustAppend(t, ctx, log, events.KindEpoch, 0, 0, []byte("epoch"))
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for i := range 8 {
		wg.Go(func() {
			_, err := log.Append(ctx, events.Append{Kind: events.KindCommits, Data: fmt.Append(nil, i), Last: 1, Epoch: 1})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
			} else if !errors.Is(err, events.ErrFenced) {
				t.Errorf("Append: %v; want ErrFenced", err)
			}
		})
	}
	wg.Wait()
	if _, last, err := log.Bounds(ctx); won != 1 || last != 2 || err != nil {
		t.Errorf("%d appends succeeded and the log ends at %d (%v); want 1 and 2", won, last, err)
	}
}

func testLargest(t *testing.T, ctx context.Context, log events.Log) {
	data := bytes.Repeat([]byte{0xa5}, events.MaxRecordSize)
	mustAppend(t, ctx, log, events.KindEpoch, 0, 0, data)
	expect(t, ctx, log, 1, [][]byte{data})
}

// kindOf makes the first record an epoch, as a log begins.
func kindOf(i int) events.Kind {
	if i == 0 {
		return events.KindEpoch
	}
	return events.KindCommits
}

func mustAppend(t *testing.T, ctx context.Context, log events.Log, kind events.Kind, last, epoch kv.Position, data []byte) {
	t.Helper()
	p, err := log.Append(ctx, events.Append{Kind: kind, Data: data, Last: last, Epoch: epoch})
	if err != nil || p != last+1 {
		t.Fatalf("Append after %d = %d, %v; want %d", last, p, err, last+1)
	}
}

func expect(t *testing.T, ctx context.Context, log events.Log, from kv.Position, want [][]byte) {
	t.Helper()
	r, err := log.Read(ctx, from)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for i, data := range want {
		m, err := r.Next(ctx)
		if err != nil || m.Position != from+kv.Position(i) || !bytes.Equal(m.Data, data) {
			t.Fatalf("message %d = %d %.20q, %v; want %d %.20q", i, m.Position, m.Data, err, from+kv.Position(i), data)
		}
	}
}
