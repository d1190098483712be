package wire

import (
	"encoding/binary"

	"github.com/millpondkv/millpond/internal/codec"
	"github.com/millpondkv/millpond/kv"
)

// Watch asks a reader for the entries of keys, now and whenever one has changed.
type Watch struct {
	Least kv.Position // what is shown must have the record at this position
	Keys  []kv.EncodedKey
}

// Encode returns the message.
func (w *Watch) Encode() []byte {
	b := binary.BigEndian.AppendUint64(begin(kindWatch, 256), uint64(w.Least))
	b = binary.AppendUvarint(b, uint64(len(w.Keys)))
	for _, key := range w.Keys {
		b = codec.AppendBytes(b, key)
	}
	return b
}

// DecodeWatch reads the message. The keys need not be valid.
func DecodeWatch(data []byte) (*Watch, error) {
	d, err := decode(data, kindWatch)
	if err != nil {
		return nil, err
	}
	w := &Watch{Least: kv.Position(d.Uint64())}
	w.Keys = make([]kv.EncodedKey, d.Count(1, mostItems))
	for i := range w.Keys {
		w.Keys[i] = d.Key()
	}
	return w, d.end()
}

// Frame is what a reader sends for a watch: the entries of all keys; or, with none, that the last ones still hold.
type Frame struct {
	Number   uint64      // of the last frame with entries, from 1
	Position kv.Position // of the snapshot; 0 without entries
	Entries  []kv.Entry  // in the order of the keys
}

// Encode returns the message.
func (f *Frame) Encode() []byte {
	if f.Entries == nil {
		return binary.BigEndian.AppendUint64(append(begin(kindFrame, 16), statusAlive), f.Number)
	}
	b := append(begin(kindFrame, 32+sizeOf([][]kv.Entry{f.Entries})), statusOK)
	b = binary.BigEndian.AppendUint64(b, f.Number)
	b = binary.BigEndian.AppendUint64(b, uint64(f.Position))
	b = binary.AppendUvarint(b, uint64(len(f.Entries)))
	for i := range f.Entries {
		b = appendEntry(b, &f.Entries[i])
	}
	return b
}

// EncodeWatchError returns the frame that ends a watch.
func EncodeWatchError(err error) []byte { return appendError(begin(kindFrame, 64), err) }

// DecodeFrame reads a frame of a watch of so many keys, or returns the error that it carries.
func DecodeFrame(data []byte, keys int) (f Frame, err error) {
	d, err := decode(data, kindFrame)
	if err != nil {
		return f, err
	}
	var carried error
	switch d.Byte() {
	case statusOK:
		f.Number, f.Position = d.Uint64(), kv.Position(d.Uint64())
		f.Entries = d.entries(kv.MaxWatchedKeys)
		d.Want(len(f.Entries) == keys)
	case statusAlive:
		f.Number = d.Uint64()
	case statusError:
		carried = d.error()
	default:
		d.Bad = true
	}
	if err := d.end(); err != nil {
		return Frame{}, err
	}
	return f, carried
}

// Watching is what a client says to the reader that serves its watch.
type Watching struct {
	Number uint64 // of the last frame that has come
	Leaves bool   // the watch is over
}

// Encode returns the message.
func (w *Watching) Encode() []byte {
	b := binary.BigEndian.AppendUint64(begin(kindWatching, 16), w.Number)
	if w.Leaves {
		return append(b, 1)
	}
	return append(b, 0)
}

// DecodeWatching reads the message.
func DecodeWatching(data []byte) (w Watching, err error) {
	d, err := decode(data, kindWatching)
	if err != nil {
		return w, err
	}
	w.Number = d.Uint64()
	leaves := d.Byte()
	d.Want(leaves <= 1)
	w.Leaves = leaves == 1
	return w, d.end()
}
