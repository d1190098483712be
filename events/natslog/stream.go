package natslog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/internal/asking"
	"github.com/millpondkv/millpond/kv"
	"github.com/nats-io/nats.go/jetstream"
)

// Config is how a stream is made.
type Config struct {
	Replicas int  // default 1
	Memory   bool // keep the stream in memory: lost with the server

	// Of a database that begins with a state that it got elsewhere:
	ID    string       // its UUID; default a new one
	After events.Chain // the place of that state, after which the log begins
}

// What a stream says of its database in its metadata.
const (
	metadataDatabase = "millpond.database"
	metadataID       = "millpond.id"
	metadataAfter    = "millpond.after" // the place after which the log begins, in JSON; absent: it begins at 1
)

// DatabaseOf returns the database whose log a stream of that name is.
func DatabaseOf(stream string) (database string, ok bool) {
	return strings.CutPrefix(stream, streamName(""))
}

func streamName(database string) string     { return "millpond_" + database }
func commitsSubject(database string) string { return "millpond." + database + ".log.commits" }
func epochSubject(database string) string   { return "millpond." + database + ".log.epoch" }

// StreamName returns the name of the stream that has a database's log.
func StreamName(database string) string { return streamName(database) }

func subjects(database string) []string {
	return []string{commitsSubject(database), epochSubject(database)}
}

// Create makes the log of a new database, with a new UUID, or opens the one that is there. The name must be a valid
// database name: it becomes part of subjects.
func Create(ctx context.Context, js jetstream.JetStream, database string, c Config) (*Log, error) {
	log, err := Open(ctx, js, database)
	if !errors.Is(err, kv.ErrNoDatabase) {
		return log, err
	}
	_, err = js.CreateStream(ctx, streamConfig(database, c))
	if err != nil && !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // somebody else was faster
		var refused *jetstream.APIError
		if errors.As(err, &refused) && refused.ErrorCode == noSuitablePeers {
			err = fmt.Errorf("%w: %d copies need as many NATS servers that have JetStream and answer", err, max(c.Replicas, 1))
		}
		return nil, fmt.Errorf("create the log of %q: %w", database, err)
	}
	return openMade(ctx, js, database)
}

const noSuitablePeers = 10005 // JetStream's code (nats-server errors.json)

const (
	madeWithin = 5 * time.Second // by whoever else makes a stream
	madePause  = 20 * time.Millisecond
)

// openMade opens the log of a database that somebody is making: while the servers agree on a stream, its name is taken and
// it is not there yet.
func openMade(ctx context.Context, js jetstream.JetStream, database string) (*Log, error) {
	making, cancel := context.WithTimeout(ctx, madeWithin)
	defer cancel()
	again := time.NewTicker(madePause)
	defer again.Stop()
	for {
		log, err := Open(ctx, js, database)
		if !errors.Is(err, kv.ErrNoDatabase) {
			return log, err
		}
		select {
		case <-again.C:
		case <-making.Done():
			return nil, err
		}
	}
}

// streamConfig has no limits that would drop a record, and refuses the deletion of single ones.
func streamConfig(database string, c Config) jetstream.StreamConfig {
	storage := jetstream.FileStorage
	if c.Memory {
		storage = jetstream.MemoryStorage
	}
	metadata, first := map[string]string{metadataDatabase: database, metadataID: cmp.Or(c.ID, uuid.NewString())}, uint64(0)
	if c.After != (events.Chain{}) {
		metadata[metadataAfter], first = afterText(c.After), uint64(c.After.Applied+1)
	}
	return jetstream.StreamConfig{
		Name:        streamName(database),
		Description: "The log of the Millpond database " + database,
		Subjects:    subjects(database),
		Storage:     storage,
		Replicas:    max(c.Replicas, 1),
		Discard:     jetstream.DiscardNew,
		DenyDelete:  true,
		AllowDirect: true,
		Metadata:    metadata,
		FirstSeq:    first,
	}
}

// Open opens the log of a database that exists. It fails with kv.ErrNoDatabase if it does not.
func Open(ctx context.Context, js jetstream.JetStream, database string) (*Log, error) {
	log, closed, err := OpenClosed(ctx, js, database)
	if err == nil && closed {
		return nil, kv.Errorf(kv.ErrNoDatabase, "the database %q is being deleted or renamed", database)
	}
	return log, err
}

func noDatabase(database string, err error) error {
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return kv.Errorf(kv.ErrNoDatabase, "there is no database %q", database)
	}
	return fmt.Errorf("open the log of %q: %w", database, err)
}

func newLog(js jetstream.JetStream, database string, stream jetstream.Stream) (*Log, error) {
	about := stream.CachedInfo().Config.Metadata
	if about[metadataID] == "" {
		return nil, fmt.Errorf("the stream %s was not made by Millpond: it has no %s in its metadata", streamName(database), metadataID)
	}
	after, err := parseAfter(about[metadataAfter])
	if err != nil {
		return nil, fmt.Errorf("open the log of %q: %w", database, err)
	}
	return &Log{js: js, database: database, id: about[metadataID], after: after, stream: asking.Stream{Stream: stream}}, nil
}

// List returns the names of all databases that have a log, sorted.
func List(ctx context.Context, js jetstream.JetStream) ([]string, error) { return list(ctx, js) }

func list(ctx context.Context, js jetstream.JetStream, options ...jetstream.StreamListOpt) ([]string, error) {
	names := map[string]bool{}
	streams := js.StreamNames(ctx, options...)
	for name := range streams.Name() {
		if database, ok := DatabaseOf(name); ok {
			names[database] = true
		}
	}
	if err := streams.Err(); err != nil {
		return nil, fmt.Errorf("list the logs: %w", err)
	}
	return slices.Sorted(maps.Keys(names)), nil
}

// ListOpen is List without those that were closed, and without those whose streams take other subjects than they should.
func ListOpen(ctx context.Context, js jetstream.JetStream) ([]string, error) {
	return list(ctx, js, jetstream.WithStreamListSubject(epochSubject("*")))
}

// askTimeout is far above what an answer takes.
const askTimeout = time.Second

// find asks for a stream until there is an answer or ctx ends. A request that comes while JetStream has no leader is never
// answered, so one that waited for as long as its caller would outlast the election.
func find(ctx context.Context, js jetstream.JetStream, name string) (jetstream.Stream, error) {
	for {
		asking, cancel := context.WithTimeout(ctx, askTimeout)
		stream, err := js.Stream(asking, name)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			return stream, err
		}
	}
}
