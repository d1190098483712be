package checkpoints

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/millpondkv/millpond/kv"
	"github.com/nats-io/nats.go/jetstream"
)

// How contents are read, as logs are: see natslog.
const (
	pullHeartbeat = time.Second
	pullExpiry    = 4 * time.Second
	pullBytes     = 4 << 20
	openTimeout   = 2 * time.Second
	consumerKept  = 30 * time.Second
	readTries     = 3 // to go on, each from another server perhaps
	readWait      = 5 * time.Second
)

// Get returns the contents of a checkpoint, for one goroutine, which closes them. It fails with ErrNone or ErrDamaged; and if
// not all that was put there can be read, Read fails with ErrDamaged, at the end at the latest.
func (b *Bucket) Get(ctx context.Context, databaseID string, at kv.Position) (io.ReadCloser, error) {
	o, err := b.object(ctx, objectName(databaseID, at))
	if err != nil {
		return nil, err
	}
	return b.read(ctx, o)
}

func (b *Bucket) read(ctx context.Context, o *jetstream.ObjectInfo) (*contents, error) {
	subject := chunkSubject + o.NUID
	there, err := subjects(ctx, b.stream, subject)
	if err != nil {
		return nil, fmt.Errorf("read the checkpoint %s: %w", o.Name, err)
	}
	if there[subject] != uint64(o.Chunks) {
		return nil, fmt.Errorf("%w: %s has %d pieces of %d", ErrDamaged, o.Name, there[subject], o.Chunks)
	}
	return &contents{ctx: ctx, stream: b.stream, object: o, sum: sha256.New()}, nil
}

// contents reads the messages of a checkpoint. When its server is lost it goes on with another one.
type contents struct {
	ctx    context.Context
	stream jetstream.Stream
	object *jetstream.ObjectInfo

	messages  jetstream.MessagesContext // nil: to be begun
	delivered uint64                    // messages that its consumer has sent here
	last      uint64                    // sequence of the last message
	chunks    uint32                    // that have come
	rest      []byte                    // of the last one, to be read yet
	sum       hash.Hash                 // of all of them
}

func (c *contents) Read(p []byte) (int, error) {
	for len(c.rest) == 0 {
		if c.chunks == c.object.Chunks {
			if jetstream.GetObjectDigestValue(c.sum) != c.object.Digest {
				return 0, fmt.Errorf("%w: %s has another checksum than was noted", ErrDamaged, c.object.Name)
			}
			return 0, io.EOF
		}
		if err := c.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func (c *contents) next() (err error) {
	for range readTries {
		if err = c.try(); err == nil {
			return nil
		}
		c.Close()
		if c.ctx.Err() != nil {
			return c.ctx.Err()
		}
	}
	err = fmt.Errorf("piece %d of %d of the checkpoint %s does not come: %w", c.chunks+1, c.object.Chunks, c.object.Name, err)
	if errors.Is(err, errMissing) {
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

// errMissing says that a server answers, and has no more messages.
var errMissing = errors.New("the server does not have it")

func (c *contents) try() error {
	if c.messages == nil {
		if err := c.open(); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(c.ctx, readWait)
	defer cancel()
	m, err := c.messages.Next(jetstream.NextContext(ctx))
	if ctx.Err() != nil && c.ctx.Err() == nil {
		return errMissing
	}
	if err != nil {
		return err
	}
	about, err := m.Metadata()
	if err != nil {
		return err
	}
	if c.delivered++; about.Sequence.Consumer != c.delivered {
		return errors.New("a message was lost on its way")
	}
	c.last = about.Sequence.Stream
	c.rest = m.Data()
	c.sum.Write(c.rest)
	c.chunks++
	return nil
}

func (c *contents) open() error {
	ctx, cancel := context.WithTimeout(c.ctx, openTimeout)
	defer cancel()
	consumer, err := c.stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
		FilterSubject:     chunkSubject + c.object.NUID,
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       c.last + 1,
		AckPolicy:         jetstream.AckNonePolicy,
		Replicas:          1,
		MemoryStorage:     true,
		InactiveThreshold: consumerKept,
	})
	if err != nil {
		return err
	}
	c.delivered = 0
	c.messages, err = consumer.Messages(jetstream.PullHeartbeat(pullHeartbeat), jetstream.PullExpiry(pullExpiry), jetstream.PullMaxBytes(pullBytes))
	return err
}

// Close implements io.Closer.
func (c *contents) Close() error {
	if c.messages != nil {
		c.messages.Stop()
		c.messages = nil
	}
	return nil
}
