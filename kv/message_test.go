package kv_test

import (
	"testing"

	"github.com/millpondkv/millpond/kv"
)

// What was due long before a queue began is kept for people to decide, and what was due too long before is not.
func TestDoubt(t *testing.T) {
	const now, minute = kv.Millis(100 * 24 * 3_600_000), kv.Millis(60_000)
	for name, c := range map[string]struct {
		enqueued, deadline kv.Millis
		kept, dead         bool
	}{
		"just now":                  {now, 0, true, false},
		"ten minutes ago":           {now - 10*minute, 0, true, false},
		"more than ten":             {now - 10*minute - 1, 0, true, true},
		"delayed until now":         {now - 1000*minute, now, true, false},
		"delayed until tomorrow":    {now - 1000*minute, now + 1440*minute, true, false},
		"thirty days ago":           {now - kv.MaxQueueDelay, 0, true, true},
		"longer ago":                {now - kv.MaxQueueDelay - 1, 0, false, true},
		"after that, in log time":   {now + minute, 0, true, false},
		"delayed, and due long ago": {now - 3000*minute, now - 2000*minute, true, true},
	} {
		m := kv.QueuedMessage{Enqueued: c.enqueued, Enqueue: kv.Enqueue{Deadline: c.deadline}}
		if kept := m.Doubt(now); kept != c.kept || m.Dead != c.dead {
			t.Errorf("%s: kept %v, dead %v; want %v, %v", name, kept, m.Dead, c.kept, c.dead)
		}
	}
}
