// Package queue delivers the messages that commits have put into the log.
//
// A feeder copies them, in the order of the log, into a JetStream work queue of the database, from which listeners take
// them. DESIGN.md beside this file has the one invariant, and what each crash leaves behind.
package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/oklog/ulid/v2"
)

// Config is where a database's queue is and how it works.
type Config struct {
	Conn     *nats.Conn
	JS       jetstream.JetStream
	Database string // its name
	ID       string // its UUID

	// Begins is the place after which the log begins, for Feed: that of the state which a restored database began with.
	Begins events.Chain

	// Backlog calls each with the messages that such a database's queue begins with, always in the same order, until that fails;
	// nil: there are none.
	Backlog func(ctx context.Context, each func(kv.QueuedMessage) error) error

	// Rest returns the earliest known place from which a log goes on that was trimmed and begins at first, for Feed; nil: the log is
	// never trimmed.
	Rest func(ctx context.Context, first kv.Position) (events.Chain, error)

	// Commit decides an atomic of the database. What has been committed under that id lately, by anybody, is not committed
	// again. It is for the keys of messages that are given up, so a queue that nobody listens to here needs none.
	Commit func(ctx context.Context, id ulid.ULID, a *kv.Atomic) (kv.CommitResult, error)

	// AckWait is how long a listener may say nothing of a message before another one gets it; 0 means 10 s.
	AckWait time.Duration

	Now    func() kv.Millis
	Logger *slog.Logger
}

// Queue is the queue of one database. Its methods may be called from several goroutines. They fail with kv.ErrUnavailable
// if the queue cannot be reached now, or has not been made yet: its first feeder makes it.
type Queue struct {
	c Config

	mu     sync.Mutex
	listen jetstream.Consumer // nil until somebody has asked for it
	buried jetstream.Consumer // likewise
	stream jetstream.Stream   // likewise
}

// New returns the queue of a database. It asks nobody.
func New(c Config) *Queue {
	if c.AckWait == 0 {
		c.AckWait = defaultAckWait
	}
	return &Queue{c: c}
}

// The bounds of a queue, each with its reason.
const (
	defaultAckWait = 10 * time.Second    // three signs of life of a slow handler fit in
	maxInFlight    = 100_000             // messages with listeners or between two attempts; JetStream keeps them in memory
	deadKept       = 30 * 24 * time.Hour // as long as a message can be delayed
	maxBatch       = 500                 // messages in one step of a feeder; JetStream takes 1000
	maxBatchBytes  = 1 << 20             // of payloads in one step
	cursorEvery    = 5 * time.Second     // the cursor is moved over records without messages so often
	retryPause     = 500 * time.Millisecond
	damagePause    = 10 * time.Second
	askTimeout     = 5 * time.Second // of one request to JetStream

	// A message whose listeners vanish without a word is given up after as many deliveries as it has attempts, but not
	// before so many: the listeners may have been stopped before they looked at it.
	minVanished = 3
)

const (
	listenConsumer = "listen"
	deadConsumer   = "dead"
)

// The name cannot be that of a log: those begin with millpond_.
func streamName(database string) string { return "millpond-queue_" + database }

// The subjects of a queue. A message is on one of the first three.
func readySubject(database string) string  { return subject(database, "ready") }
func laterSubjects(database string) string { return subject(database, "later.*") } // one for each: JetStream keeps one schedule a subject
func deadSubject(database string) string   { return subject(database, "dead") }
func cursorSubject(database string) string { return subject(database, "cursor") }

func subject(database, last string) string { return "millpond." + database + ".queue." + last }

const metadataID = "millpond.id" // of the database

// streamConfig is that of a queue with as many copies as its log has.
func (c *Config) streamConfig(replicas int, memory bool) jetstream.StreamConfig {
	storage := jetstream.FileStorage
	if memory {
		storage = jetstream.MemoryStorage
	}
	return jetstream.StreamConfig{
		Name:               streamName(c.Database),
		Description:        "The queue of the Millpond database " + c.Database,
		Subjects:           []string{readySubject(c.Database), laterSubjects(c.Database), deadSubject(c.Database), cursorSubject(c.Database)},
		Retention:          jetstream.WorkQueuePolicy,
		Storage:            storage,
		Replicas:           replicas,
		AllowAtomicPublish: true, // messages and cursor in one step
		AllowMsgSchedules:  true, // of delayed messages
		AllowMsgTTL:        true, // of dead messages
		Metadata:           map[string]string{metadataID: c.ID},
	}
}

func (c *Config) consumerConfigs() []jetstream.ConsumerConfig {
	return []jetstream.ConsumerConfig{
		{Durable: listenConsumer, FilterSubject: readySubject(c.Database), AckPolicy: jetstream.AckExplicitPolicy, AckWait: c.AckWait,
			MaxAckPending: maxInFlight, MaxDeliver: -1, MaxWaiting: maxWaiting},
		{Durable: deadConsumer, FilterSubject: deadSubject(c.Database), AckPolicy: jetstream.AckExplicitPolicy, AckWait: c.AckWait,
			MaxAckPending: maxInFlight, MaxDeliver: -1, MaxWaiting: maxWaiting},
	}
}

// maxWaiting is how many listeners may wait for a message at once; JetStream's own bound is 512.
const maxWaiting = 10_000

// create makes the queue unless it is there. What it has begun to make it waits for, also when ctx has ended: a server that is
// stopped while it makes a stream leaves goroutines behind, which matters to those who have it in their process.
func (c *Config) create(ctx context.Context, log Source, replicas int, memory bool) (jetstream.Stream, error) {
	stream, err := c.JS.Stream(ctx, streamName(c.Database))
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		if err := log.InUse(ctx); err != nil {
			return nil, err
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
		defer cancel()
		stream, err = c.JS.CreateStream(ctx, c.streamConfig(replicas, memory))
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // somebody else was faster
			stream, err = c.JS.Stream(ctx, streamName(c.Database))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("make the queue of %q: %w", c.Database, err)
	}
	if id := stream.CachedInfo().Config.Metadata[metadataID]; id != c.ID {
		return nil, fmt.Errorf("the stream %s is the queue of the database with the UUID %q, and this one has %s; remove the stream if that database is gone",
			streamName(c.Database), id, c.ID)
	}
	for _, config := range c.consumerConfigs() {
		_, err := stream.CreateConsumer(ctx, config)
		if err != nil && !errors.Is(err, jetstream.ErrConsumerExists) {
			return nil, fmt.Errorf("make the consumer %s of the queue of %q: %w", config.Durable, c.Database, err)
		}
	}
	return stream, nil
}

// open finds the stream and its consumers, once.
func (q *Queue) open(ctx context.Context) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.buried != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	stream, err := q.c.JS.Stream(ctx, streamName(q.c.Database))
	if err != nil {
		return q.unavailable("find the queue", err)
	}
	listen, err := stream.Consumer(ctx, listenConsumer)
	if err != nil {
		return q.unavailable("find the queue's consumer", err)
	}
	buried, err := stream.Consumer(ctx, deadConsumer)
	if err != nil {
		return q.unavailable("find the queue's consumer", err)
	}
	q.stream, q.listen, q.buried = stream, listen, buried
	return nil
}

// unavailable makes an error of JetStream one that a user may see.
func (q *Queue) unavailable(step string, err error) error {
	q.c.Logger.Warn("cannot "+step, "database", q.c.Database, "error", err)
	return kv.Errorf(kv.ErrUnavailable, "the queue of the database cannot be reached now; try again")
}
