package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"
)

// writePart stores a part, whose contents write writes, and then its manifest, of which it fills in what is known afterwards;
// write may fill in the end.
//
// After an error the part may be there, with its manifest or without: a part without one does not count, and Prune
// clears it away.
func (a *Archive) writePart(ctx context.Context, m *Manifest, write func(w io.Writer) error) error {
	if err := a.storePart(ctx, m, write); err != nil {
		return err
	}
	return a.putManifest(ctx, m)
}

// storePart is writePart without the manifest: the part does not count yet.
func (a *Archive) storePart(ctx context.Context, m *Manifest, write func(w io.Writer) error) error {
	m.Format, m.Database, m.Encrypted, m.Made = manifestFormat, a.Database, len(a.Recipients) > 0, a.Now().UTC()
	plain, stored := newMeter(), newMeter()
	r, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.CloseWithError(a.pack(io.MultiWriter(w, stored), func(packed io.Writer) error {
			return write(io.MultiWriter(packed, plain))
		}))
	}()
	err := a.Blob.Put(ctx, a.name(m.partName()), &progressReader{r, a, "stored"})
	r.CloseWithError(errors.Join(err, io.ErrClosedPipe))
	<-done
	if err != nil {
		return err
	}
	m.Plain, m.Stored = plain.sum(), stored.sum()
	return nil
}

func (a *Archive) putManifest(ctx context.Context, m *Manifest) error {
	data, err := m.encode()
	if err != nil {
		return err
	}
	return a.Blob.Put(ctx, a.name(m.base()+manifestSuffix), bytes.NewReader(data))
}

// pack gives write a writer that compresses, and encrypts if there are recipients.
func (a *Archive) pack(w io.Writer, write func(w io.Writer) error) error {
	sealed := io.WriteCloser(nopCloser{w})
	if len(a.Recipients) > 0 {
		var err error
		if sealed, err = age.Encrypt(w, a.Recipients...); err != nil {
			return fmt.Errorf("encrypt: %w", err)
		}
	}
	packed, err := zstd.NewWriter(sealed, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderCRC(true))
	if err != nil {
		return err
	}
	if err := write(packed); err != nil {
		packed.Reset(io.Discard)
		return errors.Join(err, packed.Close())
	}
	return errors.Join(packed.Close(), sealed.Close())
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// readPart gives use the contents of a part, and fails with ErrDamaged unless all of it is as the manifest says: whatever use
// has done by then must be undone. use need not read to the end.
func (a *Archive) readPart(ctx context.Context, m *Manifest, use func(r io.Reader) error) error {
	name := a.name(m.partName())
	if m.Encrypted && len(a.Identities) == 0 {
		return fmt.Errorf("%s is encrypted; give the identity (the secret key) that it was encrypted to", name)
	}
	file, err := a.Blob.Get(ctx, name)
	if errors.Is(err, ErrNotFound) {
		return fmt.Errorf("%w: %s is missing", ErrDamaged, name)
	}
	if err != nil {
		return err
	}
	defer file.Close()
	plain, stored := newMeter(), newMeter()
	in := &faultReader{r: &progressReader{file, a, "read"}}
	source := io.TeeReader(in, stored)
	err = a.unpack(source, m.Encrypted, func(r io.Reader) error {
		r = io.TeeReader(r, plain)
		return errors.Join(use(r), drain(r))
	})
	if drained := drain(source); in.failed != nil { // the Blob's fault: nothing is known of the part
		return fmt.Errorf("read %s: %w", name, in.failed)
	} else if drained != nil {
		return fmt.Errorf("read %s: %w", name, drained)
	}
	if stored.sum() != m.Stored {
		return fmt.Errorf("%w: %s does not match its checksum", ErrDamaged, name)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	if plain.sum() != m.Plain {
		return fmt.Errorf("%w: the contents of %s do not match their checksum", ErrDamaged, name)
	}
	return nil
}

// checkStored compares a part with its manifest without unpacking it.
func (a *Archive) checkStored(ctx context.Context, m *Manifest) error {
	name := a.name(m.partName())
	file, err := a.Blob.Get(ctx, name)
	if errors.Is(err, ErrNotFound) {
		return fmt.Errorf("%w: %s is missing", ErrDamaged, name)
	}
	if err != nil {
		return err
	}
	defer file.Close()
	stored := newMeter()
	if _, err := io.Copy(stored, &progressReader{file, a, "read"}); err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	if stored.sum() != m.Stored {
		return fmt.Errorf("%w: %s does not match its checksum", ErrDamaged, name)
	}
	return nil
}

func (a *Archive) unpack(r io.Reader, encrypted bool, use func(r io.Reader) error) error {
	if encrypted {
		opened, err := age.Decrypt(r, a.Identities...)
		if err != nil {
			return fmt.Errorf("decrypt: %w", err)
		}
		r = opened
	}
	packed, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1)) // in this goroutine: nothing reads r after use
	if err != nil {
		return err
	}
	defer packed.Close()
	return use(packed)
}

func drain(r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return err
}

func (m *Manifest) partName() string { return m.base() + partSuffix }

// meter measures and sums up what is written to it.
type meter struct {
	hash  hash.Hash
	bytes int64
}

func newMeter() *meter { return &meter{hash: sha256.New()} }

func (m *meter) Write(b []byte) (int, error) {
	m.bytes += int64(len(b))
	return m.hash.Write(b)
}

func (m *meter) sum() Sum { return Sum{Bytes: m.bytes, SHA256: hex.EncodeToString(m.hash.Sum(nil))} }

// faultReader remembers why reading failed.
type faultReader struct {
	r      io.Reader
	failed error
}

func (f *faultReader) Read(b []byte) (int, error) {
	n, err := f.r.Read(b)
	if err != nil && err != io.EOF {
		f.failed = err
	}
	return n, err
}

type progressReader struct {
	r    io.Reader
	a    *Archive
	step string
}

func (p *progressReader) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	p.a.Progress(p.step, int64(n))
	return n, err
}
