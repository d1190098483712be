package kvconnect

import (
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kv/v8"
)

// makePortable gives the V8 values of a, as a client wrote them, a form that Deno and Node read. It makes neither a value
// nor a as a whole larger than allowed if the client did not: what finds no room stays as it is.
func makePortable(a *kv.Atomic) {
	room := kv.MaxAtomicSize - a.Size()
	portable := func(data []byte) []byte {
		result := v8.Portable(data, min(kv.MaxValueSize, len(data)+max(room, 0)))
		room -= len(result) - len(data)
		return result
	}
	for i := range a.Mutations {
		m := &a.Mutations[i]
		if m.Value.Encoding == kv.EncodingV8 {
			m.Value.Data = portable(m.Value.Data)
		}
		m.SumMin, m.SumMax = portable(m.SumMin), portable(m.SumMax)
	}
	for i := range a.Enqueues {
		a.Enqueues[i].Payload = portable(a.Enqueues[i].Payload)
	}
}
