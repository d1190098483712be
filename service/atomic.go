package service

import (
	"encoding/binary"
	"math"

	"github.com/millpondkv/millpond/kv"
)

// The flags of a mutation say which of its fields follow.
const (
	hasValue  = 1
	hasExpiry = 2
	hasSumMin = 4
	hasSumMax = 8
	sumClamps = 16
)

func appendAtomic(b []byte, a *kv.Atomic) []byte {
	b = binary.AppendUvarint(b, uint64(len(a.Checks)))
	for i := range a.Checks {
		b = appendCheck(b, &a.Checks[i])
	}
	b = binary.AppendUvarint(b, uint64(len(a.Mutations)))
	for i := range a.Mutations {
		b = appendMutation(b, &a.Mutations[i])
	}
	b = binary.AppendUvarint(b, uint64(len(a.Enqueues)))
	for i := range a.Enqueues {
		b = appendEnqueue(b, &a.Enqueues[i])
	}
	return b
}

func appendCheck(b []byte, c *kv.Check) []byte {
	b = appendBytes(b, c.Key)
	if c.Versionstamp == nil {
		return append(b, 0)
	}
	return append(append(b, 1), c.Versionstamp[:]...)
}

func appendMutation(b []byte, m *kv.Mutation) []byte {
	flags := flagsOf(m)
	b = appendBytes(append(b, byte(m.Type), flags), m.Key)
	if flags&hasValue != 0 {
		b = appendBytes(append(b, byte(m.Value.Encoding)), m.Value.Data)
	}
	if flags&hasExpiry != 0 {
		b = binary.AppendUvarint(b, uint64(m.ExpireAt))
	}
	if flags&hasSumMin != 0 {
		b = appendBytes(b, m.SumMin)
	}
	if flags&hasSumMax != 0 {
		b = appendBytes(b, m.SumMax)
	}
	return b
}

func flagsOf(m *kv.Mutation) (flags byte) {
	if m.Value.Encoding != 0 {
		flags |= hasValue
	}
	if m.ExpireAt != 0 {
		flags |= hasExpiry
	}
	if len(m.SumMin) > 0 {
		flags |= hasSumMin
	}
	if len(m.SumMax) > 0 {
		flags |= hasSumMax
	}
	if m.SumClamp {
		flags |= sumClamps
	}
	return flags
}

func appendEnqueue(b []byte, q *kv.Enqueue) []byte {
	b = appendBytes(b, q.Payload)
	b = binary.AppendUvarint(b, uint64(q.Deadline))
	b = binary.AppendUvarint(b, uint64(len(q.KeysIfUndelivered)))
	for _, key := range q.KeysIfUndelivered {
		b = appendBytes(b, key)
	}
	if q.BackoffSchedule == nil { // the default, told apart from no retries at all
		return binary.AppendUvarint(b, 0)
	}
	b = binary.AppendUvarint(b, uint64(len(q.BackoffSchedule))+1)
	for _, ms := range q.BackoffSchedule {
		b = binary.AppendUvarint(b, uint64(ms))
	}
	return b
}

func (d *decoder) atomic() *kv.Atomic {
	a := &kv.Atomic{}
	if n := d.count(2, kv.MaxChecks); n > 0 {
		a.Checks = make([]kv.Check, n)
	}
	for i := range a.Checks {
		a.Checks[i] = d.check()
	}
	if n := d.count(3, kv.MaxMutations); n > 0 {
		a.Mutations = make([]kv.Mutation, n)
	}
	for i := range a.Mutations {
		a.Mutations[i] = d.mutation()
	}
	if n := d.count(4, kv.MaxMutations); n > 0 {
		a.Enqueues = make([]kv.Enqueue, n)
	}
	for i := range a.Enqueues {
		a.Enqueues[i] = d.enqueue()
	}
	return a
}

func (d *decoder) check() (c kv.Check) {
	c.Key = kv.EncodedKey(d.bytes())
	switch d.byte() {
	case 0:
	case 1:
		stamp := kv.Versionstamp(d.take(len(kv.Versionstamp{})))
		c.Versionstamp = &stamp
	default:
		d.bad = true
	}
	return c
}

func (d *decoder) mutation() (m kv.Mutation) {
	m.Type = kv.MutationType(d.byte())
	flags := d.byte()
	d.bad = d.bad || flags >= 2*sumClamps
	m.Key = kv.EncodedKey(d.bytes())
	if flags&hasValue != 0 {
		m.Value = kv.Value{Encoding: kv.Encoding(d.byte()), Data: d.bytes()}
		d.bad = d.bad || m.Value.Encoding == 0
	}
	if flags&hasExpiry != 0 {
		m.ExpireAt = kv.Millis(d.uvarint(math.MaxInt64))
		d.bad = d.bad || m.ExpireAt == 0
	}
	if flags&hasSumMin != 0 {
		m.SumMin = d.bytes()
		d.bad = d.bad || len(m.SumMin) == 0
	}
	if flags&hasSumMax != 0 {
		m.SumMax = d.bytes()
		d.bad = d.bad || len(m.SumMax) == 0
	}
	m.SumClamp = flags&sumClamps != 0
	return m
}

func (d *decoder) enqueue() (q kv.Enqueue) {
	q.Payload = d.bytes()
	q.Deadline = kv.Millis(d.uvarint(math.MaxInt64))
	if n := d.count(1, kv.MaxUndeliveredKeys); n > 0 {
		q.KeysIfUndelivered = make([]kv.EncodedKey, n)
	}
	for i := range q.KeysIfUndelivered {
		q.KeysIfUndelivered[i] = kv.EncodedKey(d.bytes())
	}
	if n := d.uvarint(kv.MaxBackoffSteps + 1); n > 0 {
		q.BackoffSchedule = make([]uint32, n-1)
		for i := range q.BackoffSchedule {
			q.BackoffSchedule[i] = uint32(d.uvarint(math.MaxUint32))
		}
	}
	return q
}
