package wire

import (
	"encoding/binary"
	"errors"
)

// A reply to Reads may be larger than a message can be, and then takes several: its parts.

const partHeader = 2 + 2 + 2 // start, number of the part, number of parts

// MinPayload is the least size of a message that the service can do with.
const MinPayload = 64 << 10

// Split returns the messages that carry the body of a reply, each of at most most bytes, which is at least MinPayload.
func Split(body []byte, most int) [][]byte {
	size := max(most, MinPayload) - partHeader
	parts := max(1, (len(body)+size-1)/size)
	messages := make([][]byte, 0, parts)
	for i := range parts {
		chunk := body[i*size : min((i+1)*size, len(body))]
		b := begin(kindReadReplies, len(chunk)+partHeader)
		b = binary.BigEndian.AppendUint16(b, uint16(i))
		b = binary.BigEndian.AppendUint16(b, uint16(parts))
		messages = append(messages, append(b, chunk...))
	}
	return messages
}

// ErrPartLost says that a part of a reply has not come: the whole must be asked for again.
var ErrPartLost = errors.New("a part of the answer is lost")

// Parts puts a reply together. The zero Parts is ready.
type Parts struct {
	body []byte
	next uint16
}

// Add takes the next message. Once whole is true, the body is complete. It fails with ErrPartLost if this is not the next
// part, or with kv.ErrInvalid if it is none.
func (p *Parts) Add(data []byte) (body []byte, whole bool, err error) {
	d, err := decode(data, kindReadReplies)
	if err != nil {
		return nil, false, err
	}
	part, parts := d.Uint16(), d.Uint16()
	if d.Bad || part >= parts {
		d.Bad = true
		return nil, false, d.end()
	}
	if part != p.next {
		return nil, false, ErrPartLost
	}
	p.next++
	if parts == 1 { // the usual case: nothing is copied
		return d.Rest, true, nil
	}
	p.body = append(p.body, d.Rest...)
	return p.body, p.next == parts, nil
}
