package kvtest

import (
	"math"
	"math/big"

	"github.com/millpondkv/millpond/kv"
)

const outOfRange = "The result of a Sum operation would exceed its range limit"

var sumRules = []rule{
	{"SumWrapsAround", func(s *session) {
		k := s.key("k")
		s.commit(sum(k, uint64(5)))
		s.want(k, uint64(5))
		s.commit(sum(k, uint64(math.MaxUint64)))
		s.want(k, uint64(4))
	}},
	{"MinMax", func(s *session) {
		low, high := s.key("low"), s.key("high")
		for _, n := range []uint64{5, 3, 1 << 63, 4} {
			s.commit(combineWith(kv.MutationMin, low, n), combineWith(kv.MutationMax, high, n))
		}
		s.want(low, uint64(3))
		s.want(high, uint64(1<<63))
	}},
	{"U64OperandsNeedU64Values", func(s *session) {
		for name, v := range map[string]any{"number": 1, "bigint": big64(1), "text": "1", "bytes": make([]byte, 8)} {
			k := s.key(name)
			s.commit(set(k, v))
			s.refuse("Failed to perform 'sum' mutation on a non-U64 value in the database", sum(k, uint64(1)))
			s.refuse("Failed to perform 'min' mutation on a non-U64 value in the database", combineWith(kv.MutationMin, k, uint64(1)))
			s.refuse("Failed to perform 'max' mutation on a non-U64 value in the database", combineWith(kv.MutationMax, k, uint64(1)))
			s.want(k, v)
		}
	}},
	{"SumOfNumbers", func(s *session) {
		k := s.key("k")
		s.commit(sum(k, 1))
		s.commit(sum(k, 0.5))
		s.want(k, 1.5)
		s.commit(sum(k, -3))
		s.want(k, -1.5)
		s.commit(sum(k, math.NaN()))
		s.want(k, math.NaN())
		s.commit(set(k, math.MaxFloat64), sum(k, math.MaxFloat64))
		s.want(k, math.Inf(1))
	}},
	{"SumOfBigints", func(s *session) {
		k := s.key("k")
		s.commit(sum(k, big64(-5)))
		s.commit(sum(k, big64(2)))
		s.want(k, big64(-3))
		huge := new(big.Int).Lsh(big64(1), 80)
		s.commit(set(k, huge), sum(k, big64(-1)))
		s.want(k, new(big.Int).Sub(huge, big64(1)))
	}},
	{"SumReadsEveryFormOfANumber", func(s *session) { // int32, uint32, double; formats 15 and 16
		k := s.key("k")
		for _, data := range []string{"\xff\x0fI\x01", "\xff\x10U\x0a", "\xff\x0fN\x00\x00\x00\x00\x00\x00\x00\x40"} { // -1, 10, 2
			s.commit(sum(k, kv.Value{Encoding: kv.EncodingV8, Data: []byte(data)}))
		}
		s.want(k, 11)
		b := s.key("b")
		s.commit(sum(b, kv.Value{Encoding: kv.EncodingV8, Data: []byte("\xff\x10Z\x11\x05\x00\x00\x00\x00\x00\x00\x00")}))
		s.commit(sum(b, kv.Value{Encoding: kv.EncodingV8, Data: []byte("\xff\x10Z\x00")}))
		s.want(b, big64(-5))
	}},
	{"KvU64TakesBigints", func(s *session) {
		k := s.key("k")
		s.commit(set(k, uint64(7)), sum(k, big64(1)))
		s.want(k, uint64(8))
		s.commit(sum(k, new(big.Int).SetUint64(math.MaxUint64)))
		s.want(k, uint64(7))
		s.refuse("Cannot sum KvU64 with BigInt", sum(k, big64(-1)))
		s.refuse("Cannot sum KvU64 with BigInt", sum(k, new(big.Int).Lsh(big64(1), 64)))
		s.refuse("Cannot sum KvU64 with BigInt", sumWithin(k, big64(1), nil, big64(100), false))
		s.refuse("Cannot sum KvU64 with BigInt", sumWithin(k, big64(1), nil, nil, true))
		s.want(k, uint64(7))
	}},
	{"SumNeedsTwoOfAKind", func(s *session) {
		n, b, u, text, raw := s.key("number"), s.key("bigint"), s.key("u64"), s.key("text"), s.key("bytes")
		s.commit(set(n, 1), set(b, big64(1)), set(u, uint64(1)), set(text, "1"), set(raw, []byte{1}))
		s.refuse("Cannot sum Number with BigInt", sum(n, big64(1)))
		s.refuse("Cannot sum BigInt with Number", sum(b, 1))
		s.refuse("Cannot sum KvU64 with Number", sum(u, 1))
		s.refuse("unsupported value type", sum(text, 1))
		s.refuse("unsupported value type", sum(raw, big64(1)))
	}},
	{"SumNeedsNumbers", func(s *session) {
		for name, v := range map[string]any{
			"text": "1", "null": kv.Value{Encoding: kv.EncodingV8, Data: []byte("\xff\x0f0")},
			"true":    kv.Value{Encoding: kv.EncodingV8, Data: []byte("\xff\x0fT")},
			"object":  kv.Value{Encoding: kv.EncodingV8, Data: []byte("\xff\x0fo{\x00")},
			"boxed":   kv.Value{Encoding: kv.EncodingV8, Data: []byte("\xff\x0fn\x00\x00\x00\x00\x00\x00\x00\x40")},
			"cut off": kv.Value{Encoding: kv.EncodingV8, Data: []byte("\xff\x0fN\x00")},
		} {
			s.refuse("Some of the parameters are not valid V8 values", sum(s.key(name), v))
			k := s.key("stored " + name)
			s.commit(set(k, v))
			s.refuse("unsupported value type", sum(k, 1))
			s.refuse("Some of the parameters are not valid V8 values", sum(k, v))
		}
		// What cannot be stored can be an operand still.
		s.refuse("Some of the parameters are not valid V8 values", sum(s.key("nothing"), kv.Value{Encoding: kv.EncodingV8}))
		m := sum(s.key("k"), 1)
		m.SumMin = []byte("\xff\x0f0")
		s.refuse("Some of the parameters are not valid V8 values", m)
	}},
	{"SumWithinBounds", func(s *session) {
		n, b := s.key("number"), s.key("bigint")
		s.commit(set(n, 5), set(b, big64(5)))
		s.commit(sumWithin(n, 1, 6, 6, false), sumWithin(b, big64(1), big64(6), big64(6), false))
		s.want(n, 6)
		s.want(b, big64(6))
		s.refuse(outOfRange, sumWithin(n, 1, nil, 6.5, false))
		s.refuse(outOfRange, sumWithin(n, -1, 5.5, nil, false))
		s.refuse(outOfRange, sumWithin(b, big64(1), nil, big64(6), false))
		s.refuse(outOfRange, sumWithin(b, big64(-1), big64(6), nil, false))
		s.commit(sumWithin(n, 1, nil, 6.5, true), sumWithin(b, big64(-9), big64(-1), big64(9), true))
		s.want(n, 6.5)
		s.want(b, big64(-1))
		s.refuse("Min/max parameters have different types than the operand", sumWithin(n, 1, big64(0), nil, false))
		s.refuse("Min/max parameters have different types than the operand", sumWithin(b, big64(1), nil, 9, true))
	}},
	{"BoundsDoNotApplyToTheFirst", func(s *session) { // as in denokv
		k := s.key("k")
		s.commit(sumWithin(k, 10, 0, 5, false))
		s.want(k, 10)
		s.commit(sumWithin(k, 10, 0, 5, true))
		s.want(k, 5)
	}},
	{"SumsHaveTheLimitOfValues", func(s *session) {
		k := s.key("k")
		n := new(big.Int).Lsh(big64(1), 65528*8)
		n.Sub(n, big64(1)) // 65528 bytes of ones: 65534 in V8's format
		s.commit(set(k, n))
		s.refuse("exceeds the value size limit", sum(k, big64(1)))
		s.commit(sum(k, big64(-1)))
		s.want(k, n.Sub(n, big64(1)))
	}},
}
