package wire

import (
	"encoding/binary"
	"math"

	"github.com/millpondkv/millpond/internal/codec"
	"github.com/millpondkv/millpond/kv"
	"github.com/oklog/ulid/v2"
)

// Heartbeat is what a leader says of itself.
type Heartbeat struct {
	Writer   ulid.ULID
	Epoch    kv.Position
	Position kv.Position // the last that it has applied
	Process  string      // its name, for people
	Server   string      // the name of the NATS server that it is connected to
}

// maxName bounds the name of a process or server, in bytes.
const maxName = 256

// Encode returns the message.
func (h *Heartbeat) Encode() []byte {
	b := append(begin(kindHeartbeat, 64), h.Writer[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(h.Epoch))
	b = binary.BigEndian.AppendUint64(b, uint64(h.Position))
	b = codec.AppendBytes(b, h.Process[:min(len(h.Process), maxName)])
	return codec.AppendBytes(b, h.Server[:min(len(h.Server), maxName)])
}

// DecodeHeartbeat reads the message.
func DecodeHeartbeat(data []byte) (h Heartbeat, err error) {
	d, err := decode(data, kindHeartbeat)
	if err != nil {
		return h, err
	}
	h.Writer = ulid.ULID(d.Take(len(h.Writer)))
	h.Epoch, h.Position = kv.Position(d.Uint64()), kv.Position(d.Uint64())
	h.Process = string(d.Take(int(d.Uvarint(maxName))))
	h.Server = string(d.Take(int(d.Uvarint(maxName))))
	d.Want(h.Epoch <= math.MaxInt64 && h.Position <= math.MaxInt64)
	return h, d.end()
}
