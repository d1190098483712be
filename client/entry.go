package client

import (
	"encoding/binary"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kv/v8"
)

// Entry is what a read returns. V is the type of its value; reads of a DB return a RawEntry.
type Entry[V any] struct {
	Key          kv.Key
	Value        V
	Versionstamp kv.Versionstamp // zero: the key is absent
	ExpireAt     kv.Millis       // 0: never, or not known; see DB.TellsExpiry
}

// RawEntry is an entry whose value is as it is stored.
type RawEntry = Entry[kv.Value]

// Exists reports whether the key is present.
func (e Entry[V]) Exists() bool { return !e.Versionstamp.IsZero() }

func (e Entry[V]) condition() (kv.Key, *kv.Versionstamp) {
	if !e.Exists() {
		return e.Key, nil
	}
	return e.Key, &e.Versionstamp
}

// Condition is what an atomic can check: an Entry, which holds while its key has not changed since it was read (or is still
// absent), or the result of Absent or At.
type Condition interface {
	condition() (kv.Key, *kv.Versionstamp)
}

type condition struct {
	key          kv.Key
	versionstamp *kv.Versionstamp
}

func (c condition) condition() (kv.Key, *kv.Versionstamp) { return c.key, c.versionstamp }

// Absent holds while the key is absent.
func Absent(key kv.Key) Condition { return condition{key, nil} }

// At holds while the key was last written by the commit at v. No key is at the zero versionstamp.
func At(key kv.Key, v kv.Versionstamp) Condition { return condition{key, &v} }

// V8 returns v as a JavaScript value, whatever the codec; see v8.Marshal for what can be encoded and for the errors.
func V8(v any) (kv.Value, error) {
	data, err := v8.Marshal(v)
	return kv.Value{Encoding: kv.EncodingV8, Data: data}, err
}

// Bytes returns b as a Uint8Array. It keeps b, which must not change any more.
func Bytes(b []byte) kv.Value { return kv.Value{Encoding: kv.EncodingBytes, Data: b} }

// U64 returns n as a Deno.KvU64, the value of Sum, Min and Max.
func U64(n uint64) kv.Value {
	return kv.Value{Encoding: kv.EncodingLE64, Data: binary.LittleEndian.AppendUint64(nil, n)}
}

// fromKV decodes the key of an entry that a transport has returned.
func fromKV(e kv.Entry) (RawEntry, error) {
	key, err := e.Key.Decode()
	if err != nil {
		return RawEntry{}, &failure{message: "the server sent the key " + e.Key.String() + ", which is none", cause: err}
	}
	return RawEntry{Key: key, Value: e.Value, Versionstamp: e.Versionstamp, ExpireAt: e.ExpireAt}, nil
}
