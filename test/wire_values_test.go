package test

import (
	"encoding/binary"
	"testing"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kv/v8"
	dp "github.com/millpondkv/millpond/kvconnect/datapath"
)

func key(parts ...any) []byte { return []byte(kv.Key(parts).MustEncode()) }

// js is a JavaScript value.
func js(value any) *dp.KvValue {
	data, err := v8.Encode(value)
	if err != nil {
		panic(err)
	}
	return &dp.KvValue{Data: data, Encoding: dp.ValueEncoding_VE_V8}
}

func u64(n uint64) *dp.KvValue {
	return &dp.KvValue{Data: binary.LittleEndian.AppendUint64(nil, n), Encoding: dp.ValueEncoding_VE_LE64}
}

func raw(data []byte) *dp.KvValue {
	return &dp.KvValue{Data: data, Encoding: dp.ValueEncoding_VE_BYTES}
}

func mutation(kind dp.MutationType, key []byte, value *dp.KvValue) *dp.Mutation {
	return &dp.Mutation{MutationType: kind, Key: key, Value: value}
}

func set(key []byte, value *dp.KvValue) *dp.Mutation {
	return mutation(dp.MutationType_M_SET, key, value)
}

func del(key []byte) *dp.Mutation { return mutation(dp.MutationType_M_DELETE, key, nil) }

func sum(key []byte, value *dp.KvValue) *dp.Mutation {
	return mutation(dp.MutationType_M_SUM, key, value)
}

// decode returns what a stored value is to a program in Go.
func decode(t testing.TB, e *dp.KvEntry) any {
	t.Helper()
	switch {
	case e == nil:
		return nil
	case e.Encoding == dp.ValueEncoding_VE_LE64:
		return binary.LittleEndian.Uint64(e.Value)
	case e.Encoding == dp.ValueEncoding_VE_BYTES:
		return e.Value
	}
	value, err := v8.Decode(e.Value)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// lastPart returns the last part of an entry's key, a number.
func lastPart(t testing.TB, e *dp.KvEntry) int {
	t.Helper()
	k, err := kv.EncodedKey(e.Key).Decode()
	if err != nil {
		t.Fatal(err)
	}
	return int(k[len(k)-1].(float64))
}
