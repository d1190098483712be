package projection

import (
	"bufio"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
	"github.com/oklog/ulid/v2"
	"github.com/tidwall/buntdb"
)

// The form of a checkpoint is laid out in FORMAT.md: a magic line, then blocks, each checksummed and with a kind. The last
// block counts the entries, so that a cut-off file is noticed.
const (
	checkpointMagic = "millpond checkpoint 1\n"
	blockSize       = 256 << 10 // a block is closed when it has grown beyond this
	maxBlockSize    = 32 << 20  // what a reader takes: a record's ids, or a block with a value over the end
	scanPage        = 500       // entries read under one hold of the lock
)

const (
	blockState   = 1
	blockRecent  = 2
	blockEntries = 3
	blockEnd     = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrCheckpoint says that a checkpoint is damaged, cut off, or of a newer format.
var ErrCheckpoint = errors.New("the checkpoint cannot be used")

var compare = cmp.Compare[string]

// WriteCheckpoint writes the state at the current position to w, for the database with the given UUID, and returns that
// position. Reads and applies go on meanwhile.
func (p *Projection) WriteCheckpoint(ctx context.Context, w io.Writer, database string) (events.Chain, error) {
	c, err := p.startCut()
	if err != nil {
		return events.Chain{}, fmt.Errorf("write a checkpoint: %w", err)
	}
	defer p.endCut(c)
	if err := p.writeCut(ctx, c, w, database); err != nil {
		return c.chain, fmt.Errorf("write a checkpoint: %w", err)
	}
	return c.chain, nil
}

func (p *Projection) writeCut(ctx context.Context, c *cut, w io.Writer, database string) error {
	out := &blockWriter{w: bufio.NewWriterSize(w, 1<<20)}
	out.writeString(checkpointMagic)
	out.state(c, database)
	for _, r := range c.recent.records {
		out.recent(r)
	}
	out.flush(blockRecent)
	for count := uint64(0); ; {
		page, err := p.page(c, scanPage)
		if len(page) == 0 && err == nil {
			out.flush(blockEntries)
			out.block = binary.AppendUvarint(out.block, count)
			out.flush(blockEnd)
			return cmp.Or(out.err, out.w.Flush(), p.brokenErr())
		}
		if err := cmp.Or(err, ctx.Err(), out.err); err != nil {
			return err
		}
		for _, e := range page {
			out.entry(e)
			count++
		}
	}
}

// blockWriter gathers a block and writes it with its frame. After an error it does nothing.
type blockWriter struct {
	w     *bufio.Writer
	block []byte
	err   error
}

func (b *blockWriter) writeString(s string) {
	_, err := b.w.WriteString(s)
	b.err = cmp.Or(b.err, err)
}

// flush writes the block, if it has anything, as: kind (1), size (4), contents, CRC-32C of all that (4).
func (b *blockWriter) flush(kind byte) {
	if len(b.block) == 0 || b.err != nil {
		return
	}
	frame := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(b.block)))
	sum := crc32.Update(crc32.Checksum(frame, castagnoli), castagnoli, b.block)
	for _, part := range [][]byte{frame, b.block, binary.BigEndian.AppendUint32(nil, sum)} {
		_, err := b.w.Write(part)
		b.err = cmp.Or(b.err, err)
	}
	b.block = b.block[:0]
}

func (b *blockWriter) state(c *cut, database string) {
	b.string(database)
	b.block = binary.AppendUvarint(b.block, uint64(c.chain.Applied))
	b.block = binary.AppendUvarint(b.block, uint64(c.chain.Epoch))
	b.block = append(b.block, c.chain.Writer[:]...)
	b.block = binary.AppendUvarint(b.block, uint64(c.chain.Counted))
	b.block = append(b.block, c.chain.Hash[:]...)
	b.block = binary.AppendUvarint(b.block, uint64(c.chain.Time))
	b.block = binary.AppendUvarint(b.block, uint64(c.recent.complete))
	if lease := c.chain.Lease; lease != 0 {
		b.block = binary.AppendUvarint(b.block, uint64(lease.Milliseconds()))
	}
	b.flush(blockState)
}

func (b *blockWriter) recent(r recentRecord) {
	b.block = binary.AppendUvarint(b.block, uint64(r.position))
	b.block = binary.AppendUvarint(b.block, uint64(r.time))
	b.block = binary.AppendUvarint(b.block, uint64(len(r.ids)))
	for _, id := range r.ids {
		b.block = append(b.block, id[:]...)
	}
	if len(b.block) > blockSize {
		b.flush(blockRecent)
	}
}

func (b *blockWriter) entry(e storedEntry) {
	b.string(e.key)
	b.string(e.stored)
	if len(b.block) > blockSize {
		b.flush(blockEntries)
	}
}

func (b *blockWriter) string(s string) {
	b.block = append(binary.AppendUvarint(b.block, uint64(len(s))), s...)
}

// ReadCheckpoint returns the projection that was written to r, and the UUID of its database. It fails with ErrCheckpoint
// if what r has is not a whole, undamaged checkpoint.
func ReadCheckpoint(r io.Reader, o Options) (p *Projection, database string, err error) {
	p = New(o)
	database, err = readBlocks(r, blocks{state: p.readState, recent: p.readRecent, entries: p.readEntries})
	if err != nil {
		p.Close()
		return nil, "", err
	}
	p.applied.advance(p.chain.Applied)
	return p, database, nil
}

// ReadChain returns the position at which the checkpoint in r was taken, and the UUID of its database. It reads only its beginning, and
// fails with ErrCheckpoint if that is damaged.
func ReadChain(r io.Reader) (c events.Chain, database string, err error) {
	in := bufio.NewReader(r)
	magic := make([]byte, len(checkpointMagic))
	if _, err := io.ReadFull(in, magic); err != nil || string(magic) != checkpointMagic {
		return c, "", fmt.Errorf("%w: it does not begin as one of this version", ErrCheckpoint)
	}
	kind, block, err := readBlock(in)
	if err != nil {
		return c, "", err
	}
	d := blockReader{rest: block}
	database, c, _ = d.state()
	if kind != blockState || d.bad {
		return c, "", fmt.Errorf("%w: its first block does not decode", ErrCheckpoint)
	}
	return c, database, nil
}

// blocks takes the contents of a checkpoint's blocks.
type blocks struct {
	state   func(*blockReader) (database string)
	recent  func(*blockReader)
	entries func(*blockReader) (n uint64, err error)
}

func readBlocks(r io.Reader, b blocks) (database string, err error) {
	in := bufio.NewReaderSize(r, 1<<20)
	magic := make([]byte, len(checkpointMagic))
	if _, err := io.ReadFull(in, magic); err != nil || string(magic) != checkpointMagic {
		return "", fmt.Errorf("%w: it does not begin as one of this version", ErrCheckpoint)
	}
	count := uint64(0)
	for {
		kind, block, err := readBlock(in)
		if err != nil {
			return "", err
		}
		d := blockReader{rest: block}
		switch kind {
		case blockState:
			database = b.state(&d)
		case blockRecent:
			b.recent(&d)
		case blockEntries:
			n, err := b.entries(&d)
			if err != nil {
				return "", err
			}
			count += n
		case blockEnd:
			if want := d.uvarint(); want != count || d.bad || database == "" {
				return "", fmt.Errorf("%w: it has %d entries, %d were written", ErrCheckpoint, count, want)
			}
			return database, nil
		default:
			d.bad = true
		}
		if d.bad {
			return "", fmt.Errorf("%w: a block of kind %d does not decode", ErrCheckpoint, kind)
		}
	}
}

func readBlock(in *bufio.Reader) (kind byte, block []byte, err error) {
	frame := make([]byte, 5)
	if _, err := io.ReadFull(in, frame); err != nil {
		return 0, nil, fmt.Errorf("%w: it is cut off", ErrCheckpoint)
	}
	size := binary.BigEndian.Uint32(frame[1:])
	if size > maxBlockSize {
		return 0, nil, fmt.Errorf("%w: it has a block of %d bytes", ErrCheckpoint, size)
	}
	block = make([]byte, size+4)
	if _, err := io.ReadFull(in, block); err != nil {
		return 0, nil, fmt.Errorf("%w: it is cut off", ErrCheckpoint)
	}
	block, sum := block[:size], block[size:]
	if crc32.Update(crc32.Checksum(frame, castagnoli), castagnoli, block) != binary.BigEndian.Uint32(sum) {
		return 0, nil, fmt.Errorf("%w: a checksum does not match", ErrCheckpoint)
	}
	return frame[0], block, nil
}

func (p *Projection) readState(d *blockReader) (database string) {
	database, p.chain, p.recent.complete = d.state()
	return database
}

func (d *blockReader) state() (database string, c events.Chain, complete kv.Position) {
	database = string(d.bytes())
	c.Applied = kv.Position(d.uvarint())
	c.Epoch = kv.Position(d.uvarint())
	copy(c.Writer[:], d.take(len(c.Writer)))
	c.Counted = kv.Position(d.uvarint())
	copy(c.Hash[:], d.take(len(c.Hash)))
	c.Time = kv.Millis(d.uvarint())
	complete = kv.Position(d.uvarint())
	if len(d.rest) > 0 {
		c.Lease = time.Duration(min(d.uvarint(), uint64(events.MaxLease.Milliseconds()))) * time.Millisecond
	}
	return database, c, complete
}

func (p *Projection) readRecent(d *blockReader) {
	for len(d.rest) > 0 && !d.bad {
		r := recentRecord{position: kv.Position(d.uvarint()), time: kv.Millis(d.uvarint())}
		for range d.uvarint() {
			if d.bad {
				return
			}
			id := ulid.ULID{}
			copy(id[:], d.take(len(id)))
			r.ids = append(r.ids, id)
		}
		p.recent.addRecord(r)
	}
}

func (p *Projection) readEntries(d *blockReader) (n uint64, err error) {
	err = p.entries.Load().Update(func(tx *buntdb.Tx) error {
		f := fold{p: p, tx: tx}
		for ; len(d.rest) > 0 && !d.bad; n++ {
			if key, stored, ok := d.entry(); ok {
				f.set(key, stored, storedExpiry(stored))
			}
		}
		return f.err
	})
	return n, err
}

func (d *blockReader) entry() (key, stored string, ok bool) {
	key, stored = string(d.bytes()), string(d.bytes())
	if len(stored) < storedHeader || stored[storedHeader-1]&hasExpiry != 0 && len(stored) < storedHeader+8 {
		d.bad = true
	}
	return key, stored, !d.bad
}

// blockReader reads from rest; after the first mistake it is bad.
type blockReader struct {
	rest []byte
	bad  bool
}

func (d *blockReader) uvarint() uint64 {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 {
		d.bad, d.rest = true, nil
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *blockReader) bytes() []byte { return d.take(int(min(d.uvarint(), maxBlockSize))) }

func (d *blockReader) take(n int) []byte {
	if n > len(d.rest) {
		d.bad, d.rest = true, nil
		return nil
	}
	taken := d.rest[:n]
	d.rest = d.rest[n:]
	return taken
}
