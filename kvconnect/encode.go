package kvconnect

import (
	"encoding/binary"
	"net/http"
	"strconv"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/millpondkv/millpond/kv"
)

// A message holds the sizes of the messages in it, so an answer is measured first and then written piece by piece: the
// largest read is 66 MB and is never in memory twice.

// pieceSize is how many bytes of an answer are gathered before they are written.
const pieceSize = 16 << 10

// pieces has *[]byte with room for a piece and the key of another entry.
var pieces = sync.Pool{New: func() any { return new(make([]byte, 0, pieceSize+kv.MaxReadKeySize+64)) }}

// pieceWriter writes an answer's messages. After a write has failed, because the client has gone, it writes no more.
type pieceWriter struct {
	to    http.ResponseWriter
	form  readForm
	piece []byte
	err   error
}

// expiryHeader says in the answer to a metadata exchange that this server tells when entries expire, and in a snapshot read
// that the client wants to know. KV Connect has no field for it, and other clients get none.
const expiryHeader = "X-Millpond-Expiry"

// readForm is what an answer to a read has beside the entries.
type readForm struct {
	strong bool // it was a strong read
	expiry bool // entries with their expiry
}

// flush writes what has been gathered.
func (w *pieceWriter) flush() {
	if w.err == nil {
		_, w.err = w.to.Write(w.piece)
	}
	w.piece = w.piece[:0]
}

// writeReadOutput sends a SnapshotReadOutput with these ranges.
func writeReadOutput(to http.ResponseWriter, ranges [][]kv.Entry, form readForm) {
	size := 0
	for _, entries := range ranges {
		size += fieldSize(readOutputRanges, form.rangeSize(entries))
	}
	size += 2 // status
	if form.strong {
		size += 2
	}
	begin(to, size)
	buffer := pieces.Get().(*[]byte)
	w := &pieceWriter{to: to, form: form, piece: (*buffer)[:0]}
	for _, entries := range ranges {
		w.piece = appendMessage(w.piece, readOutputRanges, form.rangeSize(entries))
		for i := range entries {
			w.piece = appendMessage(w.piece, rangeOutputValues, form.entrySize(&entries[i]))
			w.entry(&entries[i])
		}
	}
	if form.strong {
		w.piece = appendNumber(w.piece, readOutputStrong, 1)
	}
	w.piece = appendNumber(w.piece, readOutputStatus, statusReadSuccess)
	w.flush()
	*buffer = w.piece
	pieces.Put(buffer)
}

// writeWriteOutput sends an AtomicWriteOutput.
func writeWriteOutput(to http.ResponseWriter, result kv.CommitResult) {
	b := make([]byte, 0, 16)
	if result.OK() {
		b = appendNumber(b, writeOutputStatus, statusWriteSuccess)
		b = appendMessage(b, writeOutputVersionstamp, len(result.Versionstamp))
		b = append(b, result.Versionstamp[:]...)
	} else {
		b = appendNumber(b, writeOutputStatus, statusCheckFailure)
		b = appendFailedChecks(b, result.FailedChecks)
	}
	begin(to, len(b))
	to.Write(b) // an error here is the client's leaving; what was committed stays so
}

// writeStatus answers an atomic write with nothing but a status.
func writeStatus(to http.ResponseWriter, status uint64) {
	b := appendNumber(nil, writeOutputStatus, status)
	begin(to, len(b))
	to.Write(b)
}

func appendFailedChecks(b []byte, failed []int) []byte {
	size := 0
	for _, i := range failed {
		size += protowire.SizeVarint(uint64(i))
	}
	b = appendMessage(b, writeOutputFailedChecks, size)
	for _, i := range failed {
		b = protowire.AppendVarint(b, uint64(i))
	}
	return b
}

// writeWatchFrame sends a WatchOutput with these entries behind its length. Every key says changed, with its entry as
// it is now: Deno takes a key that has not changed for one that was deleted. The largest frame, ten of the largest
// entries, is 0.7 MB, far below the 16 MiB that Deno takes.
func writeWatchFrame(to http.ResponseWriter, entries []kv.Entry) error {
	size := 2 // status
	for i := range entries {
		size += fieldSize(watchOutputKeys, keyOutputSize(&entries[i]))
	}
	buffer := pieces.Get().(*[]byte)
	w := &pieceWriter{to: to, piece: binary.LittleEndian.AppendUint32((*buffer)[:0], uint32(size))}
	w.piece = appendNumber(w.piece, watchOutputStatus, statusReadSuccess)
	for i := range entries {
		e := &entries[i]
		w.piece = appendMessage(w.piece, watchOutputKeys, keyOutputSize(e))
		w.piece = appendNumber(w.piece, keyOutputChanged, 1)
		if e.Exists() {
			w.piece = appendMessage(w.piece, keyOutputEntry, w.form.entrySize(e))
			w.entry(e)
		}
	}
	w.flush()
	*buffer = w.piece
	pieces.Put(buffer)
	return w.err
}

func (f readForm) rangeSize(entries []kv.Entry) (size int) {
	for i := range entries {
		size += fieldSize(rangeOutputValues, f.entrySize(&entries[i]))
	}
	return size
}

func keyOutputSize(e *kv.Entry) int {
	if !e.Exists() {
		return 2
	}
	return 2 + fieldSize(keyOutputEntry, readForm{}.entrySize(e))
}

func (f readForm) entrySize(e *kv.Entry) int {
	size := fieldSize(entryKey, len(e.Key)) + fieldSize(entryValue, len(e.Value.Data)) +
		2 + fieldSize(entryVersionstamp, len(e.Versionstamp))
	if f.expiry && e.ExpireAt != 0 {
		size += 1 + protowire.SizeVarint(uint64(e.ExpireAt))
	}
	return size
}

// entry writes the fields of a KvEntry.
func (w *pieceWriter) entry(e *kv.Entry) {
	w.piece = appendMessage(w.piece, entryKey, len(e.Key))
	w.piece = append(w.piece, e.Key...)
	w.piece = appendMessage(w.piece, entryValue, len(e.Value.Data))
	w.data(e.Value.Data)
	w.piece = appendNumber(w.piece, entryEncoding, uint64(e.Value.Encoding))
	w.piece = appendMessage(w.piece, entryVersionstamp, len(e.Versionstamp))
	w.piece = append(w.piece, e.Versionstamp[:]...)
	if w.form.expiry && e.ExpireAt != 0 {
		w.piece = appendNumber(w.piece, entryExpireAt, uint64(e.ExpireAt))
	}
}

// data writes a value: if it fits by way of the piece, otherwise past it.
func (w *pieceWriter) data(data []byte) {
	if len(w.piece)+len(data) <= pieceSize {
		w.piece = append(w.piece, data...)
		return
	}
	w.flush()
	if w.err == nil {
		_, w.err = w.to.Write(data)
	}
}

// begin sets the headers of an answer of size bytes.
func begin(to http.ResponseWriter, size int) {
	h := to.Header()
	h["Content-Type"] = protobufType
	h["Content-Length"] = []string{strconv.Itoa(size)}
}

// protobufType is exactly what clients compare with. It is shared by all answers and never modified.
var protobufType = []string{"application/x-protobuf"}

// fieldSize is the size of a field with a payload of n bytes. All field numbers here are below 16: one byte.
func fieldSize(num protowire.Number, n int) int {
	return protowire.SizeTag(num) + protowire.SizeBytes(n)
}

// appendMessage begins a field with a payload of n bytes, which the caller appends.
func appendMessage(b []byte, num protowire.Number, n int) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.BytesType), uint64(n))
}

// appendNumber appends a field: two bytes if its value is below 128.
func appendNumber(b []byte, num protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), v)
}
