package wire

import (
	"encoding/binary"
	"math"
	"slices"
	"time"

	"github.com/millpondkv/millpond/internal/codec"
	"github.com/millpondkv/millpond/kv"
	"github.com/oklog/ulid/v2"
)

// QueueMethod is what a reader is asked to do with a database's queue.
type QueueMethod byte

const (
	QueueReceive   QueueMethod = 1
	QueueAck       QueueMethod = 2
	QueueNack      QueueMethod = 3
	QueueExtend    QueueMethod = 4
	QueueStats     QueueMethod = 5
	QueuePeek      QueueMethod = 6
	QueueRetryDead QueueMethod = 7
)

// QueueRequest asks a reader for something of a database's queue. What its method does not need is zero.
type QueueRequest struct {
	Method   QueueMethod
	ID       ulid.ULID       // of a receive, by which its client can leave it
	Most     int             // messages
	Wait     time.Duration   // for the first message; whole milliseconds
	State    kv.MessageState // of messages to look at
	Receipts []string
}

// The bounds of what is decoded, to be told that it is too much.
const (
	mostMessages = 1 << 16
	mostReceipts = 1 << 16
	mostWait     = 24 * 60 * 60 * 1000 // milliseconds
)

// states are those of messages, by their number in a request.
var states = []kv.MessageState{"", kv.MessageDue, kv.MessageScheduled, kv.MessageDead}

// Encode returns the message. A state that there is none of goes as none.
func (r *QueueRequest) Encode() []byte {
	n := 64
	for _, receipt := range r.Receipts {
		n += len(receipt) + 2
	}
	b := append(append(begin(kindQueue, n), byte(r.Method)), r.ID[:]...)
	b = binary.AppendUvarint(b, uint64(min(max(r.Most, 0), mostMessages)))
	b = binary.AppendUvarint(b, uint64(r.Wait.Milliseconds()))
	b = append(b, byte(max(slices.Index(states, r.State), 0)))
	b = binary.AppendUvarint(b, uint64(len(r.Receipts)))
	for _, receipt := range r.Receipts {
		b = codec.AppendBytes(b, receipt)
	}
	return b
}

// DecodeQueueRequest reads the message. How many messages and receipts there are need not be allowed.
func DecodeQueueRequest(data []byte) (r QueueRequest, err error) {
	d, err := decode(data, kindQueue)
	if err != nil {
		return r, err
	}
	r.Method, r.ID = QueueMethod(d.Byte()), ulid.ULID(d.Take(len(r.ID)))
	r.Most = int(d.Uvarint(mostMessages))
	r.Wait = time.Duration(d.Uvarint(mostWait)) * time.Millisecond
	state := int(d.Byte())
	d.Want(state < len(states) && r.Method >= QueueReceive && r.Method <= QueueRetryDead)
	r.State = states[state%len(states)]
	if n := d.Count(1, mostReceipts); n > 0 {
		r.Receipts = make([]string, n)
	}
	for i := range r.Receipts {
		r.Receipts[i] = string(d.Bytes())
	}
	return r, d.end()
}

// QueueReply is the answer. What its method does not tell is zero.
type QueueReply struct {
	Messages []kv.Message
	AckWait  time.Duration // how long a listener may say nothing of them; whole milliseconds
	Stats    kv.QueueStats // the age is in whole milliseconds
	Peeked   []kv.PeekedMessage
	Retried  int
}

// EncodeQueueReply returns the body of the answer, or of the error, which goes into Split.
func EncodeQueueReply(r *QueueReply, err error) []byte {
	if err != nil {
		return appendError(nil, err)
	}
	n := 64
	for i := range r.Messages {
		n += 64 + len(r.Messages[i].ID) + len(r.Messages[i].Payload) + len(r.Messages[i].Receipt)
	}
	b := binary.AppendUvarint(append(make([]byte, 0, n), statusOK), uint64(r.AckWait.Milliseconds()))
	b = binary.AppendUvarint(b, uint64(len(r.Messages)))
	for _, m := range r.Messages {
		b = codec.AppendBytes(codec.AppendBytes(b, m.ID), m.Payload)
		b = codec.AppendBytes(binary.AppendUvarint(b, uint64(m.Attempt)), m.Receipt)
	}
	for _, number := range []uint64{r.Stats.Waiting, r.Stats.Scheduled, r.Stats.InFlight, r.Stats.Dead, uint64(r.Stats.OldestAge.Milliseconds())} {
		b = binary.AppendUvarint(b, number)
	}
	b = binary.AppendUvarint(b, uint64(len(r.Peeked)))
	for _, m := range r.Peeked {
		b = codec.AppendBytes(codec.AppendBytes(b, m.ID), m.Payload)
		b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(m.Enqueued)), uint64(m.Deadline))
	}
	return binary.AppendUvarint(b, uint64(r.Retried))
}

// DecodeQueueReply reads the body, or returns the error that it carries. The payloads share the memory of body.
func DecodeQueueReply(body []byte) (r QueueReply, err error) {
	d := newDecoder(body)
	var carried error
	switch d.Byte() {
	case statusOK:
		r = d.queueReply()
	case statusError:
		carried = d.error()
	default:
		d.Bad = true
	}
	if err := d.end(); err != nil {
		return QueueReply{}, err
	}
	return r, carried
}

func (d *decoder) queueReply() (r QueueReply) {
	r.AckWait = d.millis()
	if n := d.Count(4, mostMessages); n > 0 {
		r.Messages = make([]kv.Message, n)
	}
	for i := range r.Messages {
		r.Messages[i] = kv.Message{ID: string(d.Bytes()), Payload: d.Bytes(), Attempt: int(d.Uvarint(math.MaxInt32)), Receipt: string(d.Bytes())}
	}
	for _, number := range []*uint64{&r.Stats.Waiting, &r.Stats.Scheduled, &r.Stats.InFlight, &r.Stats.Dead} {
		*number = d.Uvarint(math.MaxUint64)
	}
	r.Stats.OldestAge = d.millis()
	if n := d.Count(4, mostMessages); n > 0 {
		r.Peeked = make([]kv.PeekedMessage, n)
	}
	for i := range r.Peeked {
		r.Peeked[i] = kv.PeekedMessage{
			ID: string(d.Bytes()), Payload: d.Bytes(), Enqueued: kv.Millis(d.Uvarint(math.MaxInt64)), Deadline: kv.Millis(d.Uvarint(math.MaxInt64)),
		}
	}
	r.Retried = int(d.Uvarint(math.MaxInt32))
	return r
}

func (d *decoder) millis() time.Duration {
	return time.Duration(d.Uvarint(math.MaxInt64/uint64(time.Millisecond))) * time.Millisecond
}

// EncodeLeave returns the message by which a client leaves the receive with that id.
func EncodeLeave(id ulid.ULID) []byte { return append(begin(kindLeave, len(id)), id[:]...) }

// DecodeLeave reads the message.
func DecodeLeave(data []byte) (id ulid.ULID, err error) {
	d, err := decode(data, kindLeave)
	if err != nil {
		return id, err
	}
	id = ulid.ULID(d.Take(len(id)))
	return id, d.end()
}
