package queue

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/millpondkv/millpond/kv"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The headers of a message in the queue's stream. Its data is the payload.
const (
	headerID          = "Millpond-Id"          // the commit's ULID and the message's index in the commit
	headerEnqueued    = "Millpond-Enqueued"    // log time of the commit, milliseconds
	headerDeadline    = "Millpond-Deadline"    // milliseconds; absent: at once
	headerBackoff     = "Millpond-Backoff"     // the schedule, with commas between; absent: the default
	headerUndelivered = "Millpond-Undelivered" // a key in base64; once for each
)

// JetStream's own headers that its client has no option for in a batch.
const (
	headerSchedule       = "Nats-Schedule"
	headerScheduleTarget = "Nats-Schedule-Target"
)

// noBackoff stands for an empty schedule: one attempt.
const noBackoff = "none"

// stored is a message as the stream has it.
type stored struct{ kv.QueuedMessage }

// message returns m for the stream: for listeners if it is due at the time now, and otherwise with a schedule.
func (m *stored) message(database string, now kv.Millis) *nats.Msg {
	msg := nats.NewMsg(readySubject(database))
	msg.Data = m.Payload
	h := msg.Header
	h.Set(headerID, m.ID)
	h.Set(headerEnqueued, strconv.FormatInt(int64(m.Enqueued), 10))
	if m.BackoffSchedule != nil {
		h.Set(headerBackoff, backoffText(m.BackoffSchedule))
	}
	for _, key := range m.KeysIfUndelivered {
		h.Add(headerUndelivered, base64.StdEncoding.EncodeToString([]byte(key)))
	}
	if m.Deadline != 0 {
		h.Set(headerDeadline, strconv.FormatInt(int64(m.Deadline), 10))
	}
	if m.Deadline > now {
		at := time.Now().Add(m.Deadline.Until(now)) // JetStream has a clock of its own
		h.Set(headerSchedule, "@at "+at.UTC().Format(time.RFC3339Nano))
		h.Set(headerScheduleTarget, msg.Subject)
		msg.Subject = subject(database, "later."+strings.ReplaceAll(m.ID, ".", "-"))
	}
	return msg
}

// dead returns m for the stream as a message that was given up. It goes away by itself after a while.
func (m *stored) dead(database string) *nats.Msg {
	buried := *m
	buried.Deadline = 0
	msg := buried.message(database, 0)
	msg.Subject = deadSubject(database)
	msg.Header.Set(jetstream.MsgTTLHeader, deadKept.String())
	return msg
}

func backoffText(schedule []uint32) string {
	if len(schedule) == 0 {
		return noBackoff
	}
	steps := make([]string, len(schedule))
	for i, ms := range schedule {
		steps[i] = strconv.FormatUint(uint64(ms), 10)
	}
	return strings.Join(steps, ",")
}

// parse reads what message has made. It fails on a message that somebody else has put into the stream.
func parse(h nats.Header, data []byte) (m stored, err error) {
	m.ID, m.Payload = h.Get(headerID), data
	if m.ID == "" {
		return m, fmt.Errorf("a message of the queue has no %s", headerID)
	}
	if m.Enqueued, err = parseMillis(h, headerEnqueued); err != nil {
		return m, err
	}
	if m.Deadline, err = parseMillis(h, headerDeadline); err != nil {
		return m, err
	}
	if text := h.Get(headerBackoff); text != "" {
		if m.BackoffSchedule, err = parseBackoff(text); err != nil {
			return m, err
		}
	}
	for _, text := range h.Values(headerUndelivered) {
		key, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return m, fmt.Errorf("read %s of a message: %w", headerUndelivered, err)
		}
		m.KeysIfUndelivered = append(m.KeysIfUndelivered, kv.EncodedKey(key))
	}
	return m, nil
}

func parseMillis(h nats.Header, name string) (kv.Millis, error) {
	text := h.Get(name)
	if text == "" {
		return 0, nil
	}
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read %s of a message: %w", name, err)
	}
	return kv.Millis(ms), nil
}

func parseBackoff(text string) ([]uint32, error) {
	schedule := []uint32{}
	if text == noBackoff {
		return schedule, nil
	}
	for step := range strings.SplitSeq(text, ",") {
		ms, err := strconv.ParseUint(step, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("read %s of a message: %w", headerBackoff, err)
		}
		schedule = append(schedule, uint32(ms))
	}
	return schedule, nil
}

// attempts is how often m is delivered until it is given up.
func (m *stored) attempts() int { return len(m.Schedule()) + 1 }
