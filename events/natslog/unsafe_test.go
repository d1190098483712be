package natslog

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// A stream as Millpond makes it is safe, and every setting that is not is named in a sentence of its own.
func TestUnsafeSettings(t *testing.T) {
	made := func() jetstream.StreamConfig { return streamConfig("orders", Config{Replicas: 3}) }
	if found := unsafeSettings("orders", made()); len(found) > 0 {
		t.Errorf("a stream that was just made: %q", found)
	}
	for want, change := range map[string]func(*jetstream.StreamConfig){
		"one replica":             func(c *jetstream.StreamConfig) { c.Replicas = 1 },
		"2 replicas":              func(c *jetstream.StreamConfig) { c.Replicas = 2 },
		"kept in memory":          func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage },
		"persist_mode":            func(c *jetstream.StreamConfig) { c.PersistMode = jetstream.AsyncPersistMode },
		"retention Interest":      func(c *jetstream.StreamConfig) { c.Retention = jetstream.InterestPolicy },
		"max_msgs)":               func(c *jetstream.StreamConfig) { c.MaxMsgs = 1000 },
		"max_bytes":               func(c *jetstream.StreamConfig) { c.MaxBytes = 1 << 30 },
		"max_age":                 func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour },
		"max_msgs_per_subject":    func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 1 },
		"max_msg_size":            func(c *jetstream.StreamConfig) { c.MaxMsgSize = 1000 },
		"discard old":             func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardOld },
		"deny_delete":             func(c *jetstream.StreamConfig) { c.DenyDelete = false },
		"allow_rollup_hdrs":       func(c *jetstream.StreamConfig) { c.AllowRollup = true },
		"allow_msg_ttl":           func(c *jetstream.StreamConfig) { c.AllowMsgTTL = true },
		"takes the subjects":      func(c *jetstream.StreamConfig) { c.Subjects = append(c.Subjects, "other") },
		"subject_transform":       func(c *jetstream.StreamConfig) { c.SubjectTransform = &jetstream.SubjectTransformConfig{} },
		"mirror":                  func(c *jetstream.StreamConfig) { c.Mirror = &jetstream.StreamSource{Name: "other"} },
		"sources":                 func(c *jetstream.StreamConfig) { c.Sources = []*jetstream.StreamSource{{Name: "other"}} },
		"republish":               func(c *jetstream.StreamConfig) { c.RePublish = &jetstream.RePublish{} },
		"allow_msg_counter":       func(c *jetstream.StreamConfig) { c.AllowMsgCounter = true },
		"allow_msg_schedules":     func(c *jetstream.StreamConfig) { c.AllowMsgSchedules = true },
		"compressed (S2":          func(c *jetstream.StreamConfig) { c.Compression = jetstream.S2Compression },
		"no_ack":                  func(c *jetstream.StreamConfig) { c.NoAck = true },
		"sealed":                  func(c *jetstream.StreamConfig) { c.Sealed = true },
		"the database \"orders\"": func(c *jetstream.StreamConfig) { c.Replicas = 1 },
	} {
		c := made()
		change(&c)
		found := unsafeSettings("orders", c)
		if len(found) != 1 || !strings.Contains(found[0], want) || !strings.Contains(found[0], ";") {
			t.Errorf("got %q; want one sentence with %q that says what to do", found, want)
		}
	}
}

// The limit that a NATS server has by default is enough for a record; a lower one is not.
func TestUnsafePayload(t *testing.T) {
	if got := UnsafePayload(1 << 20); got != "" {
		t.Errorf("1 MiB: %q", got)
	}
	if got := UnsafePayload(900_000); !strings.Contains(got, "max_payload") {
		t.Errorf("900,000: %q; want a sentence about max_payload", got)
	}
}
