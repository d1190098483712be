package wire

import (
	"encoding/binary"

	"github.com/millpondkv/millpond/internal/codec"
	"github.com/millpondkv/millpond/kv"
	"github.com/oklog/ulid/v2"
)

// CommitRequest asks a leader to decide an atomic. No try is exempt from being looked for among the recent commits, not even
// the first: NATS may deliver it after those that were sent later, and must not make a second commit of it then.
type CommitRequest struct {
	ID     ulid.ULID
	Try    uint32      // from 1
	Seen   kv.Position // the highest that the sender had seen before the first try
	Atomic *kv.Atomic
}

// MemberOverhead is what a member takes in a message beside its bytes, at most; and the message's own beginning.
const MemberOverhead = 2 * binary.MaxVarintLen32

// MaxRequests bounds the requests of one message.
const MaxRequests = 1 << 12

// Encode returns the request as a member of a message.
func (r *CommitRequest) Encode() []byte {
	b := append(make([]byte, 0, 64+len(r.Atomic.Checks)*16+r.Atomic.Size()), r.ID[:]...)
	b = binary.BigEndian.AppendUint32(b, r.Try)
	b = binary.BigEndian.AppendUint64(b, uint64(r.Seen))
	return appendAtomic(b, r.Atomic)
}

// DecodeCommit reads a member of DecodeCommits.
func DecodeCommit(member []byte) (*CommitRequest, error) {
	d := newDecoder(member)
	r := &CommitRequest{ID: ulid.ULID(d.Take(len(ulid.ULID{})))}
	r.Try, r.Seen, r.Atomic = d.Uint32(), kv.Position(d.Uint64()), d.atomic()
	d.Want(r.Try != 0)
	return r, d.end()
}

// EncodeCommits returns the message with the requests as they were encoded.
func EncodeCommits(members [][]byte) []byte {
	return appendMembers(begin(kindCommits, room(members)), members)
}

// DecodeCommits returns the requests of a message, each for DecodeCommit: one that is malformed is no reason to refuse the
// others.
func DecodeCommits(data []byte) (members [][]byte, err error) {
	d, err := decode(data, kindCommits)
	if err != nil {
		return nil, err
	}
	members = d.members()
	return members, d.end()
}

func room(members [][]byte) int {
	n := 2 * binary.MaxVarintLen32
	for _, m := range members {
		n += len(m) + binary.MaxVarintLen32
	}
	return n
}

func appendMembers(b []byte, members [][]byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(members)))
	for _, m := range members {
		b = codec.AppendBytes(b, m)
	}
	return b
}

func (d *decoder) members() [][]byte {
	members := make([][]byte, d.Count(1, MaxRequests))
	for i := range members {
		members[i] = d.Bytes()
	}
	d.Want(len(members) > 0)
	return members
}

// EncodeCommitReply returns what became of one atomic as a member of a reply.
func EncodeCommitReply(result kv.CommitResult, err error) []byte {
	if err != nil {
		return appendError(nil, err)
	}
	if result.OK() {
		return append(append(make([]byte, 0, 1+len(result.Versionstamp)), statusOK), result.Versionstamp[:]...)
	}
	b := binary.AppendUvarint([]byte{statusFailedChecks}, uint64(len(result.FailedChecks)))
	for _, i := range result.FailedChecks {
		b = binary.AppendUvarint(b, uint64(i))
	}
	return b
}

// DecodeCommitReply reads a member of DecodeCommitReplies, and returns the error that it carries; a reply that does not decode
// tells nothing about the outcome.
func DecodeCommitReply(member []byte) (result kv.CommitResult, err error) {
	d := newDecoder(member)
	var carried error
	switch d.Byte() {
	case statusOK:
		result.Versionstamp = kv.Versionstamp(d.Take(len(result.Versionstamp)))
	case statusFailedChecks:
		result.FailedChecks = make([]int, d.Count(1, kv.MaxChecks))
		d.Want(len(result.FailedChecks) > 0)
		for i := range result.FailedChecks {
			result.FailedChecks[i] = int(d.Uvarint(kv.MaxChecks - 1))
		}
	case statusError:
		carried = d.error()
	default:
		d.Bad = true
	}
	if err := d.end(); err != nil {
		return kv.CommitResult{}, unreadable(err)
	}
	return result, carried
}

// EncodeCommitReplies returns the reply to a message, with one member for each of its requests, in their order.
func EncodeCommitReplies(members [][]byte) []byte {
	return appendMembers(append(begin(kindCommitReplies, room(members)), statusOK), members)
}

// EncodeCommitRefusal returns the reply to a message that was refused as a whole.
func EncodeCommitRefusal(err error) []byte { return appendError(begin(kindCommitReplies, 64), err) }

// DecodeCommitReplies returns the replies to so many requests, each for DecodeCommitReply. If the message was refused as a
// whole, it returns that error; one that does not decode tells nothing about the outcomes.
func DecodeCommitReplies(data []byte, requests int) (members [][]byte, err error) {
	d, err := decode(data, kindCommitReplies)
	if err != nil {
		return nil, unreadable(err)
	}
	var carried error
	switch d.Byte() {
	case statusOK:
		members = d.members()
		d.Want(len(members) == requests)
	case statusError:
		carried = d.error()
	default:
		d.Bad = true
	}
	if err := d.end(); err != nil {
		return nil, unreadable(err)
	}
	return members, carried
}

func unreadable(err error) error {
	return kv.Errorf(kv.ErrUnknownOutcome, "the leader's answer cannot be read: %v", err)
}
