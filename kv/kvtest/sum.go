package kvtest

import (
	"encoding/binary"
	"math/big"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kv/v8"
)

// number is an operand or a result of a sum.
type number interface {
	name() string
	value() kv.Value
}

type (
	double float64
	bigint struct{ *big.Int }
	kvU64  uint64
)

func (double) name() string { return "Number" }
func (bigint) name() string { return "BigInt" }
func (kvU64) name() string  { return "KvU64" }

func (n double) value() kv.Value { return v8Value(float64(n)) }
func (n bigint) value() kv.Value { return v8Value(n.Int) }
func (n kvU64) value() kv.Value  { return u64(uint64(n)) }

func v8Value(v any) kv.Value {
	data, err := v8.Encode(v)
	if err != nil {
		panic(err) // numbers, bigints and the strings of this package's tests always encode
	}
	return kv.Value{Encoding: kv.EncodingV8, Data: data}
}

// sumV8 adds a V8 number or bigint to the stored value. On an absent key the result is the operand: as in denokv, the
// bounds do not apply to it.
func sumV8(m kv.Mutation, stored kv.Value, present bool) (kv.Value, error) {
	operand, ok := parseNumber(m.Value)
	low, lowOK := parseBound(m.SumMin)
	high, highOK := parseBound(m.SumMax)
	if !ok || !lowOK || !highOK {
		return kv.Value{}, kv.Invalidf("Some of the parameters are not valid V8 values")
	}
	if low != nil && low.name() != operand.name() || high != nil && high.name() != operand.name() {
		return kv.Value{}, kv.Invalidf("Min/max parameters have different types than the operand")
	}
	if !present {
		return operand.value(), nil
	}
	current, ok := parseNumber(stored)
	if !ok {
		return kv.Value{}, kv.Invalidf("unsupported value type")
	}
	bounded := low != nil || high != nil || m.SumClamp
	result, ok := add(current, operand, bounded)
	if !ok {
		return kv.Value{}, kv.Invalidf("Cannot sum %s with %s", current.name(), operand.name())
	}
	if low != nil && less(result, low) || high != nil && less(high, result) {
		if !m.SumClamp {
			return kv.Value{}, kv.Invalidf("The result of a Sum operation would exceed its range limit")
		}
		result = clamp(result, low, high)
	}
	value := result.value()
	if n := len(value.Data); n > kv.MaxValueSize {
		return kv.Value{}, kv.Invalidf("the value is %d bytes and exceeds the value size limit of %d", n, kv.MaxValueSize)
	}
	return value, nil
}

func parseNumber(v kv.Value) (number, bool) {
	switch v.Encoding {
	case kv.EncodingLE64:
		return kvU64(binary.LittleEndian.Uint64(v.Data)), true
	case kv.EncodingV8:
		return parseV8(v.Data)
	}
	return nil, false
}

func parseV8(data []byte) (number, bool) {
	v, err := v8.Decode(data)
	if err != nil {
		return nil, false
	}
	switch v := v.(type) {
	case float64:
		return double(v), true
	case *big.Int:
		return bigint{v}, true
	}
	return nil, false
}

// parseBound returns nil for no bound.
func parseBound(data []byte) (number, bool) {
	if len(data) == 0 {
		return nil, true
	}
	return parseV8(data)
}

// add returns false if the two cannot be added. A KvU64 takes a bigint of its range, as long as there are no bounds, and
// stays a KvU64, modulo 2^64: counters of programs that were written before V8 sums.
func add(current, operand number, bounded bool) (number, bool) {
	switch c := current.(type) {
	case double:
		o, ok := operand.(double)
		return c + o, ok
	case bigint:
		if o, ok := operand.(bigint); ok {
			return bigint{new(big.Int).Add(c.Int, o.Int)}, true
		}
	case kvU64:
		if o, ok := operand.(bigint); ok && o.IsUint64() && !bounded {
			return c + kvU64(o.Uint64()), true
		}
	}
	return nil, false
}

// less compares two numbers of one type. NaN is neither less nor more than anything, so no bound stops it.
func less(a, b number) bool {
	if a, ok := a.(double); ok {
		return a < b.(double)
	}
	return a.(bigint).Cmp(b.(bigint).Int) < 0
}

// clamp returns the bound that n is beyond. Should the bounds contradict each other, the upper one wins.
func clamp(n, low, high number) number {
	if low != nil && less(n, low) {
		n = low
	}
	if high != nil && less(high, n) {
		n = high
	}
	return n
}
