package queue_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/queue"
)

var backlog = []kv.QueuedMessage{
	{ID: "a.0", Enqueued: 1, Enqueue: kv.Enqueue{Payload: []byte("\xff\x0f")}},
	{ID: "a.1", Enqueued: 1, Dead: true, Enqueue: kv.Enqueue{Payload: []byte{}, BackoffSchedule: []uint32{}}},
	{ID: "b.0", Enqueued: 2, Enqueue: kv.Enqueue{Payload: []byte("later"), Deadline: kv.MaxMillis, BackoffSchedule: []uint32{1, 2}, KeysIfUndelivered: []kv.EncodedKey{"\x02\xff\x00"}}},
}

func listOf(messages []kv.QueuedMessage) func(func(kv.QueuedMessage) error) error {
	return func(each func(kv.QueuedMessage) error) error {
		for _, m := range messages {
			if err := each(m); err != nil {
				return err
			}
		}
		return nil
	}
}

// A backlog is read as it was written, and one that is cut off anywhere is not taken for whole.
func TestBacklog(t *testing.T) {
	var written bytes.Buffer
	if n, err := queue.WriteBacklog(&written, listOf(backlog)); n != len(backlog) || err != nil {
		t.Fatal(n, err)
	}
	read := func(data []byte) (got []kv.QueuedMessage, err error) {
		err = queue.ReadBacklog(bytes.NewReader(data), func(m kv.QueuedMessage) error { got = append(got, m); return nil })
		return got, err
	}
	got, err := read(written.Bytes())
	if diff := cmp.Diff(backlog, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for end := range written.Len() - 1 {
		if _, err := read(written.Bytes()[:end]); err == nil {
			t.Errorf("cut off at %d of %d, it is taken for whole", end, written.Len())
		}
	}
}

// The queue of a restored database has the messages that it begins with once, then those of the log, whatever feeder is stopped
// whenever.
func TestFeedBacklog(t *testing.T) {
	_, _, config := newQueue(t)
	log := &source{t: t}
	log.epoch()
	config.Begins = log.chain
	const many = 1700 // several steps of a feeder
	var before []kv.QueuedMessage
	var want []string
	for i := range many {
		text := fmt.Sprintf("before %04d", i)
		before = append(before, kv.QueuedMessage{ID: fmt.Sprintf("x.%d", i), Enqueued: 1, Enqueue: kv.Enqueue{Payload: payload(text)}})
		want = append(want, string(payload(text)))
	}
	log.commit(config.Now(), texts("after %d", 1))
	want = append(want, string(payload("after 0")))
	stopped := errors.New("stopped")
	for at := range 5 { // each feeder is stopped a step further
		config.Backlog = func(_ context.Context, each func(kv.QueuedMessage) error) error {
			for i, m := range before {
				if i == at*400 {
					return stopped
				}
				if err := each(m); err != nil {
					return err
				}
			}
			return nil
		}
		err := queue.New(config).FeedThrough(t.Context(), log, 1, true, log.chain.Applied)
		if !errors.Is(err, stopped) {
			t.Fatalf("%v; want it to be stopped", err)
		}
	}
	config.Backlog = func(_ context.Context, each func(kv.QueuedMessage) error) error { return listOf(before)(each) }
	q := queue.New(config)
	for range 2 {
		if err := q.FeedThrough(t.Context(), log, 1, true, log.chain.Applied); err != nil {
			t.Fatal(err)
		}
	}
	var left []string
	if err := q.Left(t.Context(), func(m kv.QueuedMessage) error { left = append(left, string(m.Payload)); return nil }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, left); diff != "" {
		t.Errorf("what is left in the queue (-want +got):\n%.2000s", diff)
	}
	if diff := cmp.Diff(want, take(t, q, len(want))); diff != "" {
		t.Errorf("messages (-want +got):\n%.2000s", diff)
	}
}
