package writer

import (
	"encoding/binary"
	"math/big"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kv/v8"
)

// combine returns the result of a sum, min or max on the stored value, or on none if the key is absent: then it is the
// operand. The sentences are denokv's (sqlite/backend.rs, sqlite/sum_operand.rs).
func combine(m *kv.Mutation, stored kv.Value, present bool) (kv.Value, error) {
	if m.Type == kv.MutationSum && m.Value.Encoding == kv.EncodingV8 {
		return sumV8(m, stored, present)
	}
	if m.Value.Encoding != kv.EncodingLE64 {
		return kv.Value{}, kv.Invalidf("Failed to perform '%s' mutation on a non-U64 operand", m.Type)
	}
	if !present {
		return m.Value, nil
	}
	if stored.Encoding != kv.EncodingLE64 {
		return kv.Value{}, kv.Invalidf("Failed to perform '%s' mutation on a non-U64 value in the database", m.Type)
	}
	a, b := binary.LittleEndian.Uint64(stored.Data), binary.LittleEndian.Uint64(m.Value.Data)
	switch m.Type {
	case kv.MutationSum:
		return le64(a + b), nil // modulo 2^64
	case kv.MutationMin:
		return le64(min(a, b)), nil
	}
	return le64(max(a, b)), nil
}

func le64(n uint64) kv.Value {
	return kv.Value{Encoding: kv.EncodingLE64, Data: binary.LittleEndian.AppendUint64(nil, n)}
}

// sumV8 adds a number to a number or a bigint to a bigint, within the mutation's bounds. As in denokv the bounds do not
// apply when the key is absent, and a KvU64 takes a bigint of its range and stays one.
func sumV8(m *kv.Mutation, stored kv.Value, present bool) (kv.Value, error) {
	operand, err := v8.DecodeNumeric(m.Value.Data)
	if err != nil {
		return kv.Value{}, kv.Invalidf("Some of the parameters are not valid V8 values")
	}
	low, high, err := bounds(m, operand)
	if err != nil {
		return kv.Value{}, err
	}
	if !present {
		return encode(operand)
	}
	if stored.Encoding == kv.EncodingLE64 {
		return sumU64(m, stored, operand)
	}
	current, err := v8.DecodeNumeric(stored.Data)
	if err != nil || stored.Encoding != kv.EncodingV8 {
		return kv.Value{}, kv.Invalidf("unsupported value type")
	}
	if isBigint(current) != isBigint(operand) {
		return kv.Value{}, kv.Invalidf("Cannot sum %s with %s", typeName(current), typeName(operand))
	}
	result := add(current, operand)
	tooLow, tooHigh := low != nil && less(result, *low), high != nil && less(*high, result)
	switch {
	case (tooLow || tooHigh) && !m.SumClamp:
		return kv.Value{}, kv.Invalidf("The result of a Sum operation would exceed its range limit")
	case tooHigh, tooLow && high != nil && less(*high, *low): // the upper one wins if they contradict each other
		result = *high
	case tooLow:
		result = *low
	}
	return encode(result)
}

func bounds(m *kv.Mutation, operand v8.Numeric) (low, high *v8.Numeric, err error) {
	for _, bound := range []struct {
		data   []byte
		parsed **v8.Numeric
	}{{m.SumMin, &low}, {m.SumMax, &high}} {
		if len(bound.data) == 0 {
			continue
		}
		n, err := v8.DecodeNumeric(bound.data)
		if err != nil {
			return nil, nil, kv.Invalidf("Some of the parameters are not valid V8 values")
		}
		*bound.parsed = &n
	}
	if low != nil && isBigint(*low) != isBigint(operand) || high != nil && isBigint(*high) != isBigint(operand) {
		return nil, nil, kv.Invalidf("Min/max parameters have different types than the operand")
	}
	return low, high, nil
}

func sumU64(m *kv.Mutation, stored kv.Value, operand v8.Numeric) (kv.Value, error) {
	bounded := len(m.SumMin) > 0 || len(m.SumMax) > 0 || m.SumClamp
	if !isBigint(operand) || !operand.Bigint.IsUint64() || bounded {
		return kv.Value{}, kv.Invalidf("Cannot sum KvU64 with %s", typeName(operand))
	}
	return le64(binary.LittleEndian.Uint64(stored.Data) + operand.Bigint.Uint64()), nil
}

func encode(n v8.Numeric) (kv.Value, error) {
	var plain any = n.Number
	if isBigint(n) {
		plain = n.Bigint
	}
	data, err := v8.Encode(plain)
	if err != nil {
		return kv.Value{}, err
	}
	if len(data) > kv.MaxValueSize {
		return kv.Value{}, kv.Invalidf("the result is %d bytes and exceeds the value size limit of %d", len(data), kv.MaxValueSize)
	}
	return kv.Value{Encoding: kv.EncodingV8, Data: data}, nil
}

func isBigint(n v8.Numeric) bool { return n.Bigint != nil }

func typeName(n v8.Numeric) string {
	if isBigint(n) {
		return "BigInt"
	}
	return "Number"
}

// add and less take two of one type.
func add(a, b v8.Numeric) v8.Numeric {
	if isBigint(a) {
		return v8.Numeric{Bigint: new(big.Int).Add(a.Bigint, b.Bigint)}
	}
	return v8.Numeric{Number: a.Number + b.Number}
}

func less(a, b v8.Numeric) bool {
	if isBigint(a) {
		return a.Bigint.Cmp(b.Bigint) < 0
	}
	return a.Number < b.Number
}
