package service

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/oklog/ulid/v2"
)

func reply(text string) func() []byte { return func() []byte { return []byte(text) } }

// answer returns the reply to a try, which decide makes if it is to be made.
func (t *tries) answer(id ulid.ULID, number uint32, decide func() []byte) []byte {
	mine, first := t.begin(id, number)
	if first {
		t.end(mine, decide())
	}
	<-mine.done
	return mine.reply
}

// A try that comes after the answer to a later one gets that answer; a later one is decided anew.
func TestLateTry(t *testing.T) {
	id := ulid.ULID{1}
	tries := newTries(time.Now)
	for _, step := range []struct {
		number       uint32
		decided, got string
	}{
		{2, "failed", "failed"},
		{1, "committed", "failed"},
		{2, "committed", "failed"},
		{3, "unknown", "unknown"},
		{1, "committed", "unknown"},
	} {
		if got := string(tries.answer(id, step.number, reply(step.decided))); got != step.got {
			t.Errorf("try %d: %s; want %s", step.number, got, step.got)
		}
	}
}

// Tries that come while one is being decided share its answer, and their number is remembered with it.
func TestTriesShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		id := ulid.ULID{1}
		tries := newTries(time.Now)
		decided := make(chan struct{})
		answers := make(chan string, 2)
		go func() {
			answers <- string(tries.answer(id, 1, func() []byte { <-decided; return []byte("failed") }))
		}()
		synctest.Wait()
		go func() { answers <- string(tries.answer(id, 3, reply("committed"))) }()
		synctest.Wait()
		close(decided)
		for range 2 {
			if got := <-answers; got != "failed" {
				t.Errorf("got %s, want failed", got)
			}
		}
		if got := string(tries.answer(id, 2, reply("committed"))); got != "failed" {
			t.Errorf("a late try: %s, want failed", got)
		}
	})
}

// A request that was sent once is forgotten when it is answered, the others when nothing can come late any more.
func TestTriesAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := newTries(time.Now)
		tries.answer(ulid.ULID{1}, 1, reply("a"))
		if n := len(tries.known); n != 0 {
			t.Errorf("%d requests are remembered after a single try", n)
		}
		tries.answer(ulid.ULID{2}, 2, reply("b"))
		tries.answer(ulid.ULID{2}, 3, reply("b"))
		<-time.After(triesKept + time.Second)
		tries.answer(ulid.ULID{3}, 2, reply("c"))
		if len(tries.known) != 1 || len(tries.expires) != 1 {
			t.Errorf("%d requests are remembered, %d answers; want one of each", len(tries.known), len(tries.expires))
		}
	})
}
