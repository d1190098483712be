package service

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/writer"
	"github.com/oklog/ulid/v2"
)

// commitRequest asks a leader to decide an atomic. No try is exempt from being looked for among the recent commits, not even
// the first: NATS may deliver it after those that were sent later, and must not make a second commit of it then.
type commitRequest struct {
	id     ulid.ULID
	try    uint32      // from 1
	seen   kv.Position // the highest that the sender had seen before the first try
	atomic *kv.Atomic
}

func (r *commitRequest) encode() []byte {
	b := append(begin(kindCommit), r.id[:]...)
	b = binary.BigEndian.AppendUint32(b, r.try)
	b = binary.BigEndian.AppendUint64(b, uint64(r.seen))
	return appendAtomic(b, r.atomic)
}

func decodeCommit(data []byte) (*commitRequest, error) {
	d, err := decode(data, kindCommit)
	if err != nil {
		return nil, err
	}
	r := &commitRequest{id: ulid.ULID(d.take(len(ulid.ULID{})))}
	r.try, r.seen, r.atomic = d.uint32(), kv.Position(d.uint64()), d.atomic()
	d.bad = d.bad || r.try == 0
	return r, d.end()
}

// The first byte of a reply says how it went.
const (
	statusOK           = 0
	statusFailedChecks = 1
	statusError        = 2 // the kind of error and a sentence follow
)

// errorKinds are the errors that cross the network, by their number in a message.
var errorKinds = []error{kv.ErrInvalid, kv.ErrUnavailable, kv.ErrUnknownOutcome, kv.ErrWritesDisabled, kv.ErrNoDatabase}

// appendError writes an error. One that is not meant for users does not show its text, and its outcome is unknown.
func appendError(b []byte, err error) []byte {
	number, sentence := 2, "the leader failed in a way that it did not expect; its log says how"
	for i, kind := range errorKinds {
		if errors.Is(err, kind) {
			number, sentence = i, kind.Error()
		}
	}
	var user *kv.Error
	if errors.As(err, &user) {
		sentence = user.Message
	}
	return appendBytes(append(b, statusError, byte(number)), sentence)
}

func (d *decoder) error() error {
	number, sentence := int(d.byte()), d.bytes()
	if number >= len(errorKinds) {
		d.bad = true
		return nil
	}
	return kv.Errorf(errorKinds[number], "%s", sentence)
}

// encodeCommitReply writes what became of an atomic.
func encodeCommitReply(result kv.CommitResult, err error) []byte {
	b := begin(kindCommitReply)
	if err != nil {
		return appendError(b, err)
	}
	if result.OK() {
		return append(append(b, statusOK), result.Versionstamp[:]...)
	}
	b = binary.AppendUvarint(append(b, statusFailedChecks), uint64(len(result.FailedChecks)))
	for _, i := range result.FailedChecks {
		b = binary.AppendUvarint(b, uint64(i))
	}
	return b
}

// decodeCommitReply returns the reply, or the error that it carries; a reply that does not decode tells nothing about the
// outcome.
func decodeCommitReply(data []byte) (result kv.CommitResult, err error) {
	d, err := decode(data, kindCommitReply)
	if err != nil {
		return result, unreadable(err)
	}
	var carried error
	switch d.byte() {
	case statusOK:
		result.Versionstamp = kv.Versionstamp(d.take(len(result.Versionstamp)))
	case statusFailedChecks:
		result.FailedChecks = make([]int, d.count(1, kv.MaxChecks))
		d.bad = d.bad || len(result.FailedChecks) == 0
		for i := range result.FailedChecks {
			result.FailedChecks[i] = int(d.uvarint(kv.MaxChecks - 1))
		}
	case statusError:
		carried = d.error()
	default:
		d.bad = true
	}
	if err := d.end(); err != nil {
		return kv.CommitResult{}, unreadable(err)
	}
	return result, carried
}

func unreadable(err error) error {
	return kv.Errorf(kv.ErrUnknownOutcome, "the leader's answer cannot be read: %v", err)
}

// encodeIndexReply writes a read index.
func encodeIndexReply(index writer.ReadIndex, err error) []byte {
	b := begin(kindIndexReply)
	if err != nil {
		return appendError(b, err)
	}
	b = binary.BigEndian.AppendUint64(append(b, statusOK), uint64(index.Position))
	return binary.BigEndian.AppendUint64(b, uint64(index.Now))
}

func decodeIndexReply(data []byte) (index writer.ReadIndex, err error) {
	d, err := decode(data, kindIndexReply)
	if err != nil {
		return index, err
	}
	var carried error
	switch d.byte() {
	case statusOK:
		index = writer.ReadIndex{Position: kv.Position(d.uint64()), Now: kv.Millis(d.uint64())}
		d.bad = d.bad || index.Position == 0 || index.Now < 0
	case statusError:
		carried = d.error()
	default:
		d.bad = true
	}
	if err := d.end(); err != nil {
		return writer.ReadIndex{}, err
	}
	return index, carried
}

// Heartbeat is what a leader says of itself.
type Heartbeat struct {
	writer.Heartbeat
	Position kv.Position // the last that it has applied
	Process  string      // its name, for people
}

// maxName bounds the name of a process, in bytes.
const maxName = 256

func (h *Heartbeat) encode() []byte {
	b := append(begin(kindHeartbeat), h.Writer[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(h.Epoch))
	b = binary.BigEndian.AppendUint64(b, uint64(h.Position))
	return appendBytes(b, h.Process[:min(len(h.Process), maxName)])
}

func decodeHeartbeat(data []byte) (h Heartbeat, err error) {
	d, err := decode(data, kindHeartbeat)
	if err != nil {
		return h, err
	}
	h.Writer = ulid.ULID(d.take(len(h.Writer)))
	h.Epoch, h.Position = kv.Position(d.uint64()), kv.Position(d.uint64())
	h.Process = string(d.take(int(d.uvarint(maxName))))
	d.bad = d.bad || h.Epoch > math.MaxInt64 || h.Position > math.MaxInt64
	return h, d.end()
}
