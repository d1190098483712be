package kv

import "strconv"

// Encoding says how to read the bytes of a value. The numbers are those of KV Connect and of the log.
type Encoding uint8

const (
	EncodingV8    Encoding = 1 // V8's structured clone format: every JavaScript value but the two below
	EncodingLE64  Encoding = 2 // Deno.KvU64: 8 bytes, little-endian
	EncodingBytes Encoding = 3 // Uint8Array: the bytes as they are
)

func (e Encoding) String() string {
	switch e {
	case EncodingV8:
		return "V8"
	case EncodingLE64:
		return "LE64"
	case EncodingBytes:
		return "bytes"
	}
	return "encoding " + strconv.Itoa(int(e))
}

// Value is a stored value. Data is shared between readers and never modified.
type Value struct {
	Encoding Encoding
	Data     []byte
}

// Entry is what a read returns. An entry with a zero versionstamp says that its key is absent.
type Entry struct {
	Key          EncodedKey
	Value        Value
	Versionstamp Versionstamp
	ExpireAt     Millis // 0: never
}

// Exists reports whether the key is present.
func (e Entry) Exists() bool { return !e.Versionstamp.IsZero() }

// Range asks for the entries with Start <= key < End, in order of keys, or from the largest down if Reverse.
type Range struct {
	Start, End EncodedKey
	Limit      int // at least 1
	Reverse    bool
	KeysOnly   bool // the entries come without values, if that can be; KV Connect cannot
}

// Check holds when the key's versionstamp is the given one, or, with a nil versionstamp, when the key is absent. (The
// versionstamp of all zeros is a given one: no key has it, so such a check never holds.)
type Check struct {
	Key          EncodedKey
	Versionstamp *Versionstamp
}

// MutationType says what a mutation does. The numbers are those of KV Connect.
type MutationType uint8

const (
	MutationSet       MutationType = 1
	MutationDelete    MutationType = 2
	MutationSum       MutationType = 3
	MutationMax       MutationType = 4
	MutationMin       MutationType = 5
	MutationSetSuffix MutationType = 9 // set at Key followed by the commit's versionstamp as a string part
)

func (t MutationType) String() string {
	switch t {
	case MutationSet:
		return "set"
	case MutationDelete:
		return "delete"
	case MutationSum:
		return "sum"
	case MutationMax:
		return "max"
	case MutationMin:
		return "min"
	case MutationSetSuffix:
		return "set with a versionstamp suffix"
	}
	return "mutation type " + strconv.Itoa(int(t))
}

// Mutation is one change that an atomic asks for.
type Mutation struct {
	Type     MutationType
	Key      EncodedKey
	Value    Value  // the new value, or the operand; none for a delete
	ExpireAt Millis // of the two sets; 0: never
	// The bounds of a sum of V8 values, themselves V8 values; nil: unbounded. Without SumClamp a result beyond them is
	// an error, with it the result is the bound.
	SumMin, SumMax []byte
	SumClamp       bool
}

// Enqueue is a message to be delivered once the atomic has committed.
type Enqueue struct {
	Payload           []byte // a V8 value
	Deadline          Millis // not delivered before this time; 0: at once
	KeysIfUndelivered []EncodedKey
	BackoffSchedule   []uint32 // milliseconds before each retry; nil: the default schedule
}

// Atomic is a request: if every check holds, all mutations happen in their order and all enqueues, as one commit;
// otherwise nothing does. An atomic without checks commits always, one without mutations too, with a versionstamp of
// its own.
type Atomic struct {
	Checks    []Check
	Mutations []Mutation
	Enqueues  []Enqueue
}

// CommitResult is the answer to an atomic. Either it was committed at Versionstamp, or FailedChecks has the indexes of
// all checks that did not hold, ascending.
type CommitResult struct {
	Versionstamp Versionstamp
	FailedChecks []int
}

// OK reports whether the atomic was committed.
func (r CommitResult) OK() bool { return len(r.FailedChecks) == 0 }
