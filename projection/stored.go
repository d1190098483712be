package projection

import (
	"encoding/binary"
	"strings"
	"unsafe"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
)

// A stored value is: versionstamp (10), encoding (1), expiry in milliseconds (8, big-endian) if the encoding has the flag
// hasExpiry, the value's bytes.
const (
	storedHeader = 11
	hasExpiry    = 0x80
)

// encodeStored returns the key and the stored value of an effect, in memory of their own: one piece for both.
func encodeStored(e *events.Effect, stamp kv.Versionstamp) (key, stored string) {
	var b strings.Builder
	size := len(e.Key) + storedHeader + len(e.Value.Data)
	if e.ExpireAt != 0 {
		size += 8
	}
	b.Grow(size)
	b.WriteString(string(e.Key))
	b.Write(stamp[:])
	if e.ExpireAt == 0 {
		b.WriteByte(byte(e.Value.Encoding))
	} else {
		b.WriteByte(byte(e.Value.Encoding) | hasExpiry)
		var at [8]byte
		binary.BigEndian.PutUint64(at[:], uint64(e.ExpireAt))
		b.Write(at[:])
	}
	b.Write(e.Value.Data)
	both := b.String()
	return both[:len(e.Key)], both[len(e.Key):]
}

// storedExpiry returns when a stored value expires; 0: never.
func storedExpiry(stored string) kv.Millis {
	if stored[storedHeader-1]&hasExpiry == 0 {
		return 0
	}
	return kv.Millis(binary.BigEndian.Uint64(bytesOf(stored[storedHeader : storedHeader+8])))
}

// decodeStored returns the entry; its value is the stored one's memory.
func decodeStored(key, stored string) kv.Entry {
	e := kv.Entry{
		Key:          kv.EncodedKey(key),
		Versionstamp: kv.Versionstamp(bytesOf(stored[:10])),
		ExpireAt:     storedExpiry(stored),
	}
	data := stored[storedHeader:]
	if e.ExpireAt != 0 {
		data = data[8:]
	}
	e.Value = kv.Value{Encoding: kv.Encoding(stored[storedHeader-1] &^ hasExpiry), Data: bytesOf(data)}
	return e
}

// bytesOf returns s without copying it. Nobody may write to the result: kv.Value says so.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
