package queue

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/millpondkv/millpond/kv"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/oklog/ulid/v2"
)

// receipt names one delivery of a message: what JetStream needs to know of it. So any process can settle it.
type receipt struct {
	stream, consumer uint64 // sequences
	delivered        uint64 // how often, this time included
	sent             int64  // nanoseconds since the Unix epoch
}

func (r receipt) String() string {
	return fmt.Sprintf("%d-%d-%d-%d", r.stream, r.consumer, r.delivered, r.sent)
}

// parseReceipt fails with kv.ErrInvalid.
func parseReceipt(text string) (r receipt, err error) {
	parts := strings.Split(text, "-")
	if len(parts) == 4 {
		var numbers [4]uint64
		for i, part := range parts {
			if numbers[i], err = strconv.ParseUint(part, 10, 63); err != nil {
				break
			}
		}
		r = receipt{stream: numbers[0], consumer: numbers[1], delivered: numbers[2], sent: int64(numbers[3])}
	}
	if len(parts) != 4 || err != nil || r.stream == 0 || r.delivered == 0 {
		return receipt{}, kv.Invalidf("%.80q is not a receipt; send the one that the message came with", text)
	}
	return r, nil
}

// subject is where JetStream listens for what becomes of the delivery.
func (r receipt) subject(database string) string {
	return fmt.Sprintf("$JS.ACK.%s.%s.%d.%d.%d.%d.0", streamName(database), listenConsumer, r.delivered, r.stream, r.consumer, r.sent)
}

// Settle says what has become of messages. It returns once that is kept as safely as the messages are. Of several receipts
// some may have been settled when it fails, and all may be sent again. A message that is not there any more, because it
// was handled or given up, is no error.
func (q *Queue) Settle(ctx context.Context, v kv.Verdict, receipts []string) error {
	parsed := make([]receipt, len(receipts))
	for i, text := range receipts {
		var err error
		if parsed[i], err = parseReceipt(text); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	failed := make([]error, len(parsed))
	var asked sync.WaitGroup
	for i, r := range parsed {
		asked.Go(func() { failed[i] = q.settle(ctx, v, r) })
	}
	asked.Wait()
	for _, err := range failed {
		if err == nil || errors.Is(err, kv.ErrUnavailable) || errors.Is(err, kv.ErrInvalid) {
			continue
		}
		return q.unavailable(string(v)+" a message", err)
	}
	return errors.Join(failed...)
}

func (q *Queue) settle(ctx context.Context, v kv.Verdict, r receipt) error {
	switch v {
	case kv.VerdictAck:
		return q.say(ctx, r, "+ACK")
	case kv.VerdictExtend:
		return q.say(ctx, r, "+WPI")
	case kv.VerdictNack:
		return q.nack(ctx, r)
	}
	return kv.Invalidf("%.20q is not what can become of a message", string(v))
}

// nack has the message delivered again when its schedule says so, or gives it up.
func (q *Queue) nack(ctx context.Context, r receipt) error {
	if err := q.open(ctx); err != nil {
		return err
	}
	m, err := q.stream.GetMsg(ctx, r.stream)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	content, err := parse(m.Header, m.Data)
	if err != nil {
		return err
	}
	schedule := content.Schedule()
	if int(r.delivered) > len(schedule) {
		return q.bury(ctx, r, content)
	}
	delay := time.Duration(schedule[r.delivered-1]) * time.Millisecond
	return q.say(ctx, r, fmt.Sprintf(`-NAK {"delay": %d}`, delay.Nanoseconds()))
}

// say tells JetStream what has become of a delivery, and waits until it has noted that.
func (q *Queue) say(ctx context.Context, r receipt, what string) error {
	_, err := q.c.Conn.RequestWithContext(ctx, r.subject(q.c.Database), []byte(what))
	if err != nil {
		return fmt.Errorf("tell JetStream %.4s: %w", what, err)
	}
	return nil
}

// bury gives a message up: its keys are written, then it is kept among the dead, then it is taken out of the queue. After a
// crash in between it is delivered, and given up, once more; its keys are written once, unless that comes minutes later.
func (q *Queue) bury(ctx context.Context, r receipt, m stored) error {
	if len(m.KeysIfUndelivered) > 0 {
		a := &kv.Atomic{}
		for _, key := range m.KeysIfUndelivered {
			a.Mutations = append(a.Mutations, kv.Mutation{Type: kv.MutationSet, Key: key, Value: kv.Value{Encoding: kv.EncodingV8, Data: m.Payload}})
		}
		if _, err := q.c.Commit(ctx, burialID(m.ID, r.stream), a); err != nil {
			return fmt.Errorf("write the keys of a message that is given up: %w", err)
		}
	}
	// Two burials of the same message are one: after a crash, or by two processes.
	id := jetstream.WithMsgID("dead " + m.ID + " " + strconv.FormatUint(r.stream, 10))
	_, err := q.c.JS.PublishMsg(ctx, m.dead(q.c.Database), id)
	if err != nil {
		return fmt.Errorf("keep a message among the dead: %w", err)
	}
	return q.say(ctx, r, "+ACK")
}

// burialID is the same for each try to give a message up, and another one once the message was put back.
func burialID(message string, sequence uint64) ulid.ULID {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", message, sequence))
	return ulid.ULID(sum[:16])
}
