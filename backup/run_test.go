package backup_test

import (
	"testing"
	"time"

	"github.com/millpondkv/millpond/backup"
	"github.com/millpondkv/millpond/events"
)

// Small segments are merged when they are many, even if they have next to nothing.
func TestManySmallSegments(t *testing.T) {
	const messages = 1200
	h, a := newHistory(t, 61), archive(t, newMemory())
	config := backup.RunConfig{Every: time.Hour, Bytes: 1, Merge: 1 << 30, Retry: time.Millisecond}
	follow(t, a, sourceOf(h.log), config)
	h.reign(1)
	for range messages {
		h.log.inject(events.Message{Foreign: true})
	}
	follow(t, a, sourceOf(h.log), config)
	catalog, err := a.Catalog(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := len(catalog.Lines[0].Segments); got > messages/2 {
		t.Errorf("%d segments are left of more than %d", got, messages)
	}
	mustVerify(t, a)
}
