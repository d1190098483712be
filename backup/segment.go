package backup

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
)

const segmentMagic = "millpond segment 1\n"

// What stands before each message of a segment.
const (
	itemRecord  = 1 // then its length (uvarint) and its bytes
	itemForeign = 2 // nothing: that it was there is all that counts
	itemEnd     = 3 // no more messages; then their number (uvarint)
)

// encodeSegment returns the contents of a segment. Positions are not in it: messages follow each other without a gap.
func encodeSegment(messages []events.Message) []byte {
	b := []byte(segmentMagic)
	for _, m := range messages {
		if m.Foreign {
			b = append(b, itemForeign)
			continue
		}
		b = binary.AppendUvarint(append(b, itemRecord), uint64(len(m.Data)))
		b = append(b, m.Data...)
	}
	return binary.AppendUvarint(append(b, itemEnd), uint64(len(messages)))
}

var errSegment = errors.New("the segment does not decode")

// readSegment calls each with the messages of a segment, of which the first stands at that position.
func readSegment(r io.Reader, first kv.Position, each func(events.Message) error) error {
	in := bufio.NewReaderSize(r, 64<<10)
	magic := make([]byte, len(segmentMagic))
	if _, err := io.ReadFull(in, magic); err != nil || string(magic) != segmentMagic {
		return fmt.Errorf("%w: it does not begin as one of this version", errSegment)
	}
	for at := first; ; at++ {
		item, err := in.ReadByte()
		if err != nil {
			return fmt.Errorf("%w: it is cut off: %w", errSegment, err)
		}
		m := events.Message{Position: at, Foreign: item == itemForeign}
		switch item {
		case itemForeign:
		case itemRecord:
			if m.Data, err = readBytes(in); err != nil {
				return err
			}
		case itemEnd:
			if n, err := binary.ReadUvarint(in); err != nil || n != uint64(at-first) {
				return fmt.Errorf("%w: it has %d messages, %d were written", errSegment, at-first, n)
			}
			return nil
		default:
			return fmt.Errorf("%w: it has an item of kind %d", errSegment, item)
		}
		if err := each(m); err != nil {
			return err
		}
	}
}

func readBytes(in *bufio.Reader) ([]byte, error) {
	n, err := binary.ReadUvarint(in)
	if err != nil || n > events.MaxRecordSize {
		return nil, fmt.Errorf("%w: it has a record of %d bytes", errSegment, n)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(in, b); err != nil {
		return nil, fmt.Errorf("%w: it is cut off: %w", errSegment, err)
	}
	return b, nil
}
