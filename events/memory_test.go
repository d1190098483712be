package events_test

import (
	"testing"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/events/eventstest"
)

func TestMemoryLog(t *testing.T) {
	eventstest.TestLog(t, func(*testing.T) events.Log { return &events.MemoryLog{} })
}
