package kvconnect

import (
	"bytes"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/millpondkv/millpond/kv"
)

// decodeAtomicWrite reads an AtomicWrite. V8 values come out in a form that Deno and Node read, whichever of them wrote.
func decodeAtomicWrite(body []byte) (*kv.Atomic, error) {
	n := count(body)
	if err := kv.ValidateCounts(n[writeChecks], n[writeMutations]+n[writeEnqueues]); err != nil {
		return nil, err
	}
	a := new(kv.Atomic)
	a.Checks = make([]kv.Check, 0, n[writeChecks])
	a.Mutations = make([]kv.Mutation, 0, n[writeMutations])
	a.Enqueues = make([]kv.Enqueue, 0, n[writeEnqueues])
	for f, err := range fields(body) {
		switch {
		case err != nil:
			return nil, err
		case f.isBytes(writeChecks):
			c, err := decodeCheck(f.bytes)
			if err != nil {
				return nil, at("check", len(a.Checks), err)
			}
			a.Checks = append(a.Checks, c)
		case f.isBytes(writeMutations):
			m, err := decodeMutation(f.bytes)
			if err != nil {
				return nil, at("mutation", len(a.Mutations), err)
			}
			a.Mutations = append(a.Mutations, m)
		case f.isBytes(writeEnqueues):
			e, err := decodeEnqueue(f.bytes)
			if err != nil {
				return nil, at("enqueue", len(a.Enqueues), err)
			}
			a.Enqueues = append(a.Enqueues, e)
		}
	}
	makePortable(a)
	unshare(a, body)
	return a, nil
}

// smallBody is what a body may take in memory, in bytes, while its atomic waits, however little of it counts.
const smallBody = 1024

// unshare copies what shares the body's array if most of the body is something else, such as fields that nobody knows: the
// atomic waits in a queue that counts only what is in it, and would hold the whole body there.
func unshare(a *kv.Atomic, body []byte) {
	if cap(body) <= max(smallBody, 2*a.Size()) {
		return
	}
	for i := range a.Mutations {
		m := &a.Mutations[i]
		m.Value.Data, m.SumMin, m.SumMax = bytes.Clone(m.Value.Data), bytes.Clone(m.SumMin), bytes.Clone(m.SumMax)
	}
	for i := range a.Enqueues {
		a.Enqueues[i].Payload = bytes.Clone(a.Enqueues[i].Payload)
	}
}

func decodeCheck(message []byte) (c kv.Check, err error) {
	var versionstamp []byte
	for f, err := range fields(message) {
		switch {
		case err != nil:
			return c, err
		case f.isBytes(checkKey):
			c.Key = kv.EncodedKey(f.bytes)
		case f.isBytes(checkVersionstamp):
			versionstamp = f.bytes
		}
	}
	switch n := len(versionstamp); n {
	case 0: // the key must be absent
	case len(kv.Versionstamp{}):
		c.Versionstamp = new(kv.Versionstamp(versionstamp))
	default:
		return c, kv.Invalidf("the versionstamp is %d bytes; it must be 10, or none if the key must be absent", n)
	}
	return c, nil
}

// wireMutation has what a Mutation says before it is clear what of it counts.
type wireMutation struct {
	kv.Mutation          // without Type and ExpireAt
	kind, encoding int32 // of an enum: any number
	hasValue       bool
	expireAt       int64
}

func decodeMutation(message []byte) (kv.Mutation, error) {
	var m wireMutation
	for f, err := range fields(message) {
		switch {
		case err != nil:
			return kv.Mutation{}, err
		case f.isBytes(mutationKey):
			m.Key = kv.EncodedKey(f.bytes)
		case f.isBytes(mutationValue):
			if err := m.decodeValue(f.bytes); err != nil {
				return kv.Mutation{}, err
			}
		case f.isNumber(mutationType):
			m.kind = int32(f.number)
		case f.isNumber(mutationExpireAt):
			m.expireAt = int64(f.number)
		case f.isBytes(mutationSumMin):
			m.SumMin = f.bytes
		case f.isBytes(mutationSumMax):
			m.SumMax = f.bytes
		case f.isNumber(mutationSumClamp):
			m.SumClamp = protowire.DecodeBool(f.number)
		}
	}
	return m.mutation()
}

func (m *wireMutation) decodeValue(message []byte) error {
	m.hasValue = true
	for f, err := range fields(message) {
		switch {
		case err != nil:
			return err
		case f.isBytes(valueData):
			m.Value.Data = f.bytes
		case f.isNumber(valueEncoding):
			m.encoding = int32(f.number)
		}
	}
	return nil
}

// mutation returns m as package kv has it. What does not belong to its type is ignored, as in denokv: the value of a
// delete, and an expiry anywhere but in the two sets.
func (m *wireMutation) mutation() (kv.Mutation, error) {
	if m.kind < 0 || m.kind > math.MaxUint8 {
		return kv.Mutation{}, kv.Invalidf("the mutation type %d is unknown", m.kind)
	}
	if m.encoding < 0 || m.encoding > math.MaxUint8 {
		return kv.Mutation{}, kv.Invalidf("the value encoding %d is unknown", m.encoding)
	}
	m.Type, m.Value.Encoding = kv.MutationType(m.kind), kv.Encoding(m.encoding)
	switch m.Type {
	case kv.MutationDelete:
		m.Value = kv.Value{}
		return m.Mutation, nil
	case kv.MutationSet, kv.MutationSetSuffix:
		if m.expireAt != noExpiry {
			m.ExpireAt = kv.Millis(m.expireAt)
		}
		fallthrough
	case kv.MutationSum, kv.MutationMin, kv.MutationMax:
		if !m.hasValue {
			return kv.Mutation{}, kv.Invalidf("a %s needs a value", m.Type)
		}
	}
	return m.Mutation, nil
}

// noExpiry is what some clients send for a key that never expires, instead of 0.
const noExpiry = -1

func decodeEnqueue(message []byte) (e kv.Enqueue, err error) {
	for f, err := range fields(message) {
		switch {
		case err != nil:
			return e, err
		case f.isBytes(enqueuePayload):
			e.Payload = f.bytes
		case f.isNumber(enqueueDeadline):
			e.Deadline = kv.Millis(f.number)
		case f.isBytes(enqueueUndelivered):
			e.KeysIfUndelivered = append(e.KeysIfUndelivered, kv.EncodedKey(f.bytes))
		case f.isNumber(enqueueBackoff):
			e.BackoffSchedule = append(e.BackoffSchedule, uint32(f.number))
		case f.isBytes(enqueueBackoff): // packed, as every known client sends it
			if e.BackoffSchedule == nil { // protobuf leaves out an empty list: whoever sends one means it
				e.BackoffSchedule = []uint32{}
			}
			if e.BackoffSchedule, err = appendPacked(e.BackoffSchedule, f.bytes); err != nil {
				return e, err
			}
		}
	}
	return e, nil
}

func appendPacked(to []uint32, packed []byte) ([]uint32, error) {
	for len(packed) > 0 {
		v, n := protowire.ConsumeVarint(packed)
		if n < 0 {
			return nil, malformed(protowire.ParseError(n))
		}
		to, packed = append(to, uint32(v)), packed[n:]
	}
	return to, nil
}
