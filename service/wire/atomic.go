package wire

import (
	"encoding/binary"
	"math"

	"github.com/millpondkv/millpond/internal/codec"
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
		b = codec.AppendEnqueue(b, &a.Enqueues[i])
	}
	return b
}

func appendCheck(b []byte, c *kv.Check) []byte {
	b = codec.AppendBytes(b, c.Key)
	if c.Versionstamp == nil {
		return append(b, 0)
	}
	return append(append(b, 1), c.Versionstamp[:]...)
}

func appendMutation(b []byte, m *kv.Mutation) []byte {
	flags := flagsOf(m)
	b = codec.AppendBytes(append(b, byte(m.Type), flags), m.Key)
	if flags&hasValue != 0 {
		b = codec.AppendBytes(append(b, byte(m.Value.Encoding)), m.Value.Data)
	}
	if flags&hasExpiry != 0 {
		b = binary.AppendUvarint(b, uint64(m.ExpireAt))
	}
	if flags&hasSumMin != 0 {
		b = codec.AppendBytes(b, m.SumMin)
	}
	if flags&hasSumMax != 0 {
		b = codec.AppendBytes(b, m.SumMax)
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

func (d *decoder) atomic() *kv.Atomic {
	a := &kv.Atomic{}
	if n := d.Count(2, kv.MaxChecks); n > 0 {
		a.Checks = make([]kv.Check, n)
	}
	for i := range a.Checks {
		a.Checks[i] = d.check()
	}
	if n := d.Count(3, kv.MaxMutations); n > 0 {
		a.Mutations = make([]kv.Mutation, n)
	}
	for i := range a.Mutations {
		a.Mutations[i] = d.mutation()
	}
	if n := d.Count(4, kv.MaxMutations); n > 0 {
		a.Enqueues = make([]kv.Enqueue, n)
	}
	for i := range a.Enqueues {
		a.Enqueues[i] = d.Enqueue()
	}
	return a
}

func (d *decoder) check() (c kv.Check) {
	c.Key = d.Key()
	switch d.Byte() {
	case 0:
	case 1:
		stamp := kv.Versionstamp(d.Take(len(kv.Versionstamp{})))
		c.Versionstamp = &stamp
	default:
		d.Bad = true
	}
	return c
}

func (d *decoder) mutation() (m kv.Mutation) {
	m.Type = kv.MutationType(d.Byte())
	flags := d.Byte()
	d.Want(flags < 2*sumClamps)
	m.Key = d.Key()
	if flags&hasValue != 0 {
		m.Value = kv.Value{Encoding: kv.Encoding(d.Byte()), Data: d.Bytes()}
		d.Want(m.Value.Encoding != 0)
	}
	if flags&hasExpiry != 0 {
		m.ExpireAt = kv.Millis(d.Uvarint(math.MaxInt64))
		d.Want(m.ExpireAt != 0)
	}
	if flags&hasSumMin != 0 {
		m.SumMin = d.Bytes()
		d.Want(len(m.SumMin) > 0)
	}
	if flags&hasSumMax != 0 {
		m.SumMax = d.Bytes()
		d.Want(len(m.SumMax) > 0)
	}
	m.SumClamp = flags&sumClamps != 0
	return m
}
