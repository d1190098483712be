package queue

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/millpondkv/millpond/kv"
)

// A backlog is the messages that the queue of a restored database begins with, as lines of JSON. The last one counts them, so that
// what is cut off is noticed.
type backlogLine struct {
	Message *backlogMessage `json:"message,omitempty"`
	Count   *int            `json:"count,omitempty"`
}

type backlogMessage struct {
	ID          string    `json:"id"`
	Enqueued    kv.Millis `json:"enqueued"`
	Payload     []byte    `json:"payload"`
	Deadline    kv.Millis `json:"deadline,omitempty"`
	Undelivered [][]byte  `json:"keysIfUndelivered,omitempty"`
	Backoff     *[]uint32 `json:"backoff,omitempty"` // absent: the default
	Dead        bool      `json:"dead,omitempty"`
}

var errBacklog = errors.New("the messages that a queue begins with do not decode")

// WriteBacklog writes the messages that messages calls its argument with, and returns how many there are.
func WriteBacklog(w io.Writer, messages func(each func(kv.QueuedMessage) error) error) (n int, err error) {
	out := bufio.NewWriter(w)
	lines := json.NewEncoder(out)
	err = messages(func(m kv.QueuedMessage) error {
		n++
		line := backlogMessage{ID: m.ID, Enqueued: m.Enqueued, Payload: m.Payload, Deadline: m.Deadline, Dead: m.Dead}
		if m.BackoffSchedule != nil {
			line.Backoff = &m.BackoffSchedule
		}
		for _, key := range m.KeysIfUndelivered {
			line.Undelivered = append(line.Undelivered, []byte(key))
		}
		return lines.Encode(backlogLine{Message: &line})
	})
	if err == nil {
		err = lines.Encode(backlogLine{Count: &n})
	}
	if err == nil {
		err = out.Flush()
	}
	return n, err
}

// ReadBacklog calls each with what WriteBacklog has written.
func ReadBacklog(r io.Reader, each func(kv.QueuedMessage) error) error {
	lines := json.NewDecoder(r)
	for n := 0; ; n++ {
		var line backlogLine
		if err := lines.Decode(&line); err != nil {
			return fmt.Errorf("%w: %w", errBacklog, err)
		}
		if line.Count != nil && *line.Count == n {
			_, err := io.Copy(io.Discard, r) // which may compare a checksum at its end
			return err
		}
		if line.Message == nil {
			return fmt.Errorf("%w: there are %d", errBacklog, n)
		}
		if err := each(line.Message.queued()); err != nil {
			return err
		}
	}
}

func (b *backlogMessage) queued() kv.QueuedMessage {
	m := kv.QueuedMessage{ID: b.ID, Enqueued: b.Enqueued, Dead: b.Dead, Enqueue: kv.Enqueue{Payload: b.Payload, Deadline: b.Deadline}}
	if b.Backoff != nil {
		m.BackoffSchedule = *b.Backoff
	}
	for _, key := range b.Undelivered {
		m.KeysIfUndelivered = append(m.KeysIfUndelivered, kv.EncodedKey(key))
	}
	return m
}
