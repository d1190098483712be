package kvconnect

import (
	"errors"
	"iter"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/millpondkv/millpond/kv"
)

// The field numbers of KV Connect's messages (datapath/datapath.proto).
const (
	readRanges = 1 // SnapshotRead

	rangeStart   = 1 // ReadRange
	rangeEnd     = 2
	rangeLimit   = 3
	rangeReverse = 4

	readOutputRanges    = 1 // SnapshotReadOutput
	readOutputStrong    = 4
	readOutputStatus    = 8
	rangeOutputValues   = 1 // ReadRangeOutput
	entryKey            = 1 // KvEntry
	entryValue          = 2
	entryEncoding       = 3
	entryVersionstamp   = 4
	entryExpireAt       = 15 // Millpond's own
	watchOutputStatus   = 1  // WatchOutput
	watchOutputKeys     = 2
	keyOutputChanged    = 1 // WatchKeyOutput
	keyOutputEntry      = 2
	watchKeys           = 1 // Watch
	watchKeyKey         = 1 // WatchKey
	statusReadSuccess   = 1 // SnapshotReadStatus
	statusWriteSuccess  = 1 // AtomicWriteStatus
	statusCheckFailure  = 2
	statusWriteDisabled = 5

	writeChecks    = 1 // AtomicWrite
	writeMutations = 2
	writeEnqueues  = 3

	checkKey          = 1 // Check
	checkVersionstamp = 2

	mutationKey      = 1 // Mutation
	mutationValue    = 2
	mutationType     = 3
	mutationExpireAt = 4
	mutationSumMin   = 5
	mutationSumMax   = 6
	mutationSumClamp = 7
	valueData        = 1 // KvValue
	valueEncoding    = 2

	enqueuePayload     = 1 // Enqueue
	enqueueDeadline    = 2
	enqueueUndelivered = 3
	enqueueBackoff     = 4

	writeOutputStatus       = 1 // AtomicWriteOutput
	writeOutputVersionstamp = 2
	writeOutputFailedChecks = 4
)

// field is one field of a message. Only one of bytes and number is set, by the wire type.
type field struct {
	num    protowire.Number
	typ    protowire.Type
	bytes  []byte // shares the message's array
	number uint64
}

func (f field) isBytes(num protowire.Number) bool {
	return f.num == num && f.typ == protowire.BytesType
}

func (f field) isNumber(num protowire.Number) bool {
	return f.num == num && f.typ == protowire.VarintType
}

// fields goes through the fields of message. What the loop does not know it leaves alone, as protobuf demands: fields of
// later versions, and known ones of another wire type. If message is not protobuf, the last step is an error.
func fields(message []byte) iter.Seq2[field, error] {
	return func(yield func(field, error) bool) {
		for len(message) > 0 {
			f, n, err := consumeField(message)
			if err != nil {
				yield(field{}, malformed(err))
				return
			}
			message = message[n:]
			if !yield(f, nil) {
				return
			}
		}
	}
}

// consumeField reads the first field of message and returns how many bytes it takes.
func consumeField(message []byte) (f field, n int, err error) {
	num, typ, n := protowire.ConsumeTag(message)
	if n < 0 {
		return f, 0, protowire.ParseError(n)
	}
	if num > protowire.MaxValidNumber {
		return f, 0, errFieldNumber
	}
	f.num, f.typ = num, typ
	m := 0
	switch message = message[n:]; typ {
	case protowire.BytesType:
		f.bytes, m = protowire.ConsumeBytes(message)
	case protowire.VarintType:
		f.number, m = protowire.ConsumeVarint(message)
	default:
		m = protowire.ConsumeFieldValue(num, typ, message)
	}
	if m < 0 {
		return f, 0, protowire.ParseError(m)
	}
	return f, n + m, nil
}

var errFieldNumber = errors.New("invalid field number")

func malformed(err error) error {
	return kv.Invalidf("the request protobuf is malformed: %v", err)
}

// count returns how many messages the fields 1, 2 and 3 have, at their index. It stops where message is not protobuf.
func count(message []byte) (counts [4]int) {
	for f, err := range fields(message) {
		if err == nil && f.typ == protowire.BytesType && int(f.num) < len(counts) {
			counts[f.num]++
		}
	}
	return counts
}
