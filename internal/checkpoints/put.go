package checkpoints

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"strconv"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/internal/fault"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/oklog/ulid/v2"
)

const (
	chunkSize = 128 << 10
	inFlight  = 8                // chunks: 1 MB that commits of the same connection may wait for
	ackWait   = 10 * time.Second // for a chunk: an election takes as long
	putBound  = 30 * time.Minute // of a Put as a whole
	purgeWait = 5 * time.Second
)

// Put stores the checkpoint that write writes, and returns once a majority of the servers has all of it and it has been read back.
// If there is one of that position already it is left, and this one is dropped. Until Put is through, nobody finds it. It may
// take half an hour; what is left behind by a process that ends on the way, Sweep deletes.
func (b *Bucket) Put(ctx context.Context, databaseID string, write func(w io.Writer) (events.Chain, error)) (Info, error) {
	ctx, cancel := context.WithTimeout(ctx, putBound)
	defer cancel()
	now := time.Now()
	out := &chunkWriter{ctx: ctx, js: b.js, id: databaseID + "." + ulid.MustNew(ulid.Timestamp(now), ulid.DefaultEntropy()).String(), sum: sha256.New()}
	chain, err := write(out)
	if err == nil {
		err = out.flush(0)
	}
	o := &jetstream.ObjectInfo{
		ObjectMeta: jetstream.ObjectMeta{
			Name: objectName(databaseID, chain.Applied),
			Opts: &jetstream.ObjectMetaOptions{ChunkSize: chunkSize},
			Metadata: map[string]string{
				metadataPosition: strconv.FormatUint(uint64(chain.Applied), 10),
				metadataTime:     strconv.FormatInt(int64(chain.Time), 10),
				metadataTaken:    now.UTC().Format(time.RFC3339Nano),
			},
		},
		Bucket: bucket, NUID: out.id, Size: out.size, Chunks: out.chunks, Digest: jetstream.GetObjectDigestValue(out.sum),
	}
	fault.Point("bucket.written")
	if err == nil {
		err = b.verify(ctx, o)
	}
	if err != nil {
		out.settle()
		b.discard(ctx, o)
		return Info{}, fmt.Errorf("put a checkpoint: %w", err)
	}
	fault.Point("bucket.verified")
	if err := b.publish(ctx, o); err != nil {
		return Info{}, fmt.Errorf("put a checkpoint: %w", err)
	}
	return infoOf(o)
}

// JetStream's codes for an expectation that does not hold (nats-server errors.json).
const (
	wrongLastSequence         = 10071
	wrongLastSequenceConstant = 10164
)

// publish makes a checkpoint known. After an error it may be known, or become so; its contents stay for that.
func (b *Bucket) publish(ctx context.Context, o *jetstream.ObjectInfo) error {
	data, err := json.Marshal(o)
	if err != nil {
		return err
	}
	first := jetstream.WithExpectLastSequencePerSubject(0)
	waiting, cancel := context.WithTimeout(ctx, ackWait) // the ack may be lost with the server that leads the bucket
	defer cancel()
	_, err = b.js.Publish(waiting, metaSubject+encode(o.Name), data, first, jetstream.WithRetryAttempts(0))
	var refused *jetstream.APIError
	if errors.As(err, &refused) && (refused.ErrorCode == wrongLastSequence || refused.ErrorCode == wrongLastSequenceConstant) {
		there, err := b.object(ctx, o.Name)
		if err != nil {
			return err
		}
		if there.NUID != o.NUID {
			b.discard(ctx, o)
			*o = *there
		}
		return nil
	}
	return err
}

// discard deletes contents that no checkpoint has. If it cannot, Sweep does.
func (b *Bucket) discard(ctx context.Context, o *jetstream.ObjectInfo) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), purgeWait)
	defer cancel()
	_ = b.stream.Purge(ctx, jetstream.WithPurgeSubject(chunkSubject+o.NUID))
}

// verify reads everything back.
func (b *Bucket) verify(ctx context.Context, o *jetstream.ObjectInfo) error {
	contents, err := b.read(ctx, o)
	if err != nil {
		return err
	}
	defer contents.Close()
	_, err = io.Copy(io.Discard, contents)
	return err
}

// chunkWriter stores what is written to it as messages of one subject.
type chunkWriter struct {
	ctx     context.Context
	js      jetstream.JetStream
	id      string // which the subject ends with
	chunk   []byte
	flights []jetstream.PubAckFuture

	sum    hash.Hash
	size   uint64
	chunks uint32
}

func (w *chunkWriter) Write(p []byte) (n int, err error) {
	for n < len(p) {
		part := p[n:min(len(p), n+chunkSize-len(w.chunk))]
		w.chunk = append(w.chunk, part...)
		n += len(part)
		if len(w.chunk) == chunkSize {
			if err := w.flush(inFlight - 1); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// flush sends the chunk, if it has anything, and waits until no more than so many are in flight.
func (w *chunkWriter) flush(most int) error {
	if len(w.chunk) > 0 {
		m := &nats.Msg{Subject: chunkSubject + w.id, Data: w.chunk}
		flight, err := w.js.PublishMsgAsync(m, jetstream.WithRetryAttempts(0)) // a retry could come after its successor
		if err != nil {
			return err
		}
		w.flights = append(w.flights, flight)
		w.sum.Write(w.chunk)
		w.size += uint64(len(w.chunk))
		w.chunks++
		w.chunk = nil
	}
	for len(w.flights) > most {
		if err := w.wait(w.flights[0]); err != nil {
			return err
		}
		w.flights = w.flights[1:]
	}
	return nil
}

// settle waits for what is in flight, so that nothing is stored after it was discarded.
func (w *chunkWriter) settle() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), purgeWait)
	defer cancel()
	for _, flight := range w.flights {
		select {
		case <-flight.Ok():
		case <-flight.Err():
		case <-ctx.Done():
		}
	}
}

func (w *chunkWriter) wait(flight jetstream.PubAckFuture) error {
	patience := time.NewTimer(ackWait)
	defer patience.Stop()
	select {
	case <-flight.Ok():
		return nil
	case err := <-flight.Err():
		return err
	case <-patience.C:
		return fmt.Errorf("the servers do not ack what is stored for %v", ackWait)
	case <-w.ctx.Done():
		return w.ctx.Err()
	}
}
