package queue

import (
	"encoding/binary"
	"errors"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
	"github.com/oklog/ulid/v2"
)

// cursor is how far the log has been copied into the queue. It is kept in the queue's stream, and moves in the same step
// in which the messages before it get there.
type cursor struct {
	chain events.Chain // after the last record that was copied whole
	done  uint32       // messages of the next record that were copied already
}

const (
	cursorVersion = 1
	cursorSize    = 1 + 8 + 8 + 16 + 8 + 32 + 8 + 4
)

var errCursor = errors.New("the queue's cursor does not decode; a newer Millpond may have written it")

func (c *cursor) encode() []byte {
	b := append(make([]byte, 0, cursorSize), cursorVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(c.chain.Applied))
	b = binary.BigEndian.AppendUint64(b, uint64(c.chain.Epoch))
	b = append(b, c.chain.Writer[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(c.chain.Counted))
	b = append(b, c.chain.Hash[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(c.chain.Time))
	return binary.BigEndian.AppendUint32(b, c.done)
}

func decodeCursor(b []byte) (c cursor, err error) {
	if len(b) != cursorSize || b[0] != cursorVersion {
		return c, errCursor
	}
	c.chain.Applied = kv.Position(binary.BigEndian.Uint64(b[1:]))
	c.chain.Epoch = kv.Position(binary.BigEndian.Uint64(b[9:]))
	c.chain.Writer = ulid.ULID(b[17:33])
	c.chain.Counted = kv.Position(binary.BigEndian.Uint64(b[33:]))
	c.chain.Hash = events.Hash(b[41:73])
	c.chain.Time = kv.Millis(binary.BigEndian.Uint64(b[73:]))
	c.done = binary.BigEndian.Uint32(b[81:])
	return c, nil
}
