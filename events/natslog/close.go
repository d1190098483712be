package natslog

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/millpondkv/millpond/internal/asking"
	"github.com/millpondkv/millpond/kv"
	"github.com/nats-io/nats.go/jetstream"
)

// metadataClosed says in a stream's metadata that the log was closed.
const metadataClosed = "millpond.closed"

// closedSubject is the only subject of a closed log's stream. It is none of those that writers may publish to.
func closedSubject(id string) string { return "millpond-closed." + id }

// Close closes the log of a database for good, unless Reopen is called: no record is added after it returns, whoever believes to lead,
// and Open says that there is no such database. Read it with OpenClosed. It returns the last position. A log that is closed already
// is closed again, with the same end.
//
// The stream loses the subjects of records, and gets one message which is no record: so that a record that was underway and comes
// late fails at its fence too.
func Close(ctx context.Context, js jetstream.JetStream, database string) (*Log, kv.Position, error) {
	stream, err := find(ctx, js, streamName(database))
	if err != nil {
		return nil, 0, fmt.Errorf("close the log of %q: %w", database, err)
	}
	log, err := newLog(js, database, stream)
	if err != nil {
		return nil, 0, err
	}
	c := stream.CachedInfo().Config
	if c.Metadata[metadataClosed] == "" {
		c.Subjects = []string{closedSubject(log.id)}
		c.Metadata = maps.Clone(c.Metadata)
		c.Metadata[metadataClosed] = "true"
		stream, err := js.UpdateStream(ctx, c)
		if err != nil {
			return nil, 0, fmt.Errorf("close the log of %q: %w", database, err)
		}
		log.stream = asking.Stream{Stream: stream}
	}
	m, err := log.stream.GetLastMsgForSubject(ctx, closedSubject(log.id))
	if err == nil {
		_, last, err := log.Bounds(ctx)
		if err != nil || last == kv.Position(m.Sequence) {
			return log, last, err
		}
	} else if !errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, 0, fmt.Errorf("close the log of %q: %w", database, err)
	}
	ack, err := js.Publish(ctx, closedSubject(log.id), nil, jetstream.WithExpectStream(c.Name))
	if err != nil {
		return nil, 0, fmt.Errorf("close the log of %q: %w", database, err)
	}
	return log, kv.Position(ack.Sequence), nil
}

// Reopen makes a log that was closed one that is used again.
func Reopen(ctx context.Context, js jetstream.JetStream, log *Log) error {
	c := log.stream.CachedInfo().Config
	c.Subjects = subjects(log.database)
	c.Metadata = maps.Clone(c.Metadata)
	delete(c.Metadata, metadataClosed)
	if _, err := js.UpdateStream(ctx, c); err != nil {
		return fmt.Errorf("open the log of %q again: %w", log.database, err)
	}
	return nil
}

// OpenClosed is Open of a log whether it was closed or not.
func OpenClosed(ctx context.Context, js jetstream.JetStream, database string) (log *Log, closed bool, err error) {
	stream, err := find(ctx, js, streamName(database))
	if err != nil {
		return nil, false, noDatabase(database, err)
	}
	log, err = newLog(js, database, stream)
	return log, stream.CachedInfo().Config.Metadata[metadataClosed] != "", err
}

// InUse fails with kv.ErrNoDatabase if the log was closed, or is there no more.
func (l *Log) InUse(ctx context.Context) error {
	now, err := Open(ctx, l.js, l.database)
	if err == nil && now.id != l.id {
		err = kv.Errorf(kv.ErrNoDatabase, "the database %q is another one now", l.database)
	}
	return err
}
