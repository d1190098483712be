// Package wire is the messages that clients, readers and writers send each other over NATS.
//
// FORMAT.md lays them out. A message is trusted in nothing: what does not decode is refused with kv.ErrInvalid.
package wire

import (
	"errors"
	"fmt"
	"strings"

	"github.com/millpondkv/millpond/internal/codec"
	"github.com/millpondkv/millpond/kv"
	"github.com/oklog/ulid/v2"
)

// FormatVersion is the first byte of every message.
const FormatVersion = 1

// kind is the second byte of a message.
type kind byte

const (
	kindCommits       kind = 1
	kindCommitReplies kind = 2
	kindIndex         kind = 3
	kindIndexReply    kind = 4
	kindHeartbeat     kind = 5
	kindReads         kind = 6
	kindReadReplies   kind = 7
	kindFind          kind = 8
	kindFindReply     kind = 9
	kindWatch         kind = 10
	kindFrame         kind = 11
	kindWatching      kind = 12
	kindFeed          kind = 13
	kindPiece         kind = 14
	kindQueue         kind = 15
	kindLeave         kind = 16
	kindHistory       kind = 20
	kindHistoryPart   kind = 21
)

// maxMessage bounds what a field of a message may say that it is long, in bytes: NATS' own default for a message.
const maxMessage = 1 << 20

// The subjects. The leader of an epoch listens on subjects with its own id, which the epoch's record names: whoever has read
// that record knows whom to ask, and no message reaches a writer that it was not meant for. Readers listen for all databases:
// with "*" for the name.

// CommitSubject is what the leader with that id listens on for commits.
func CommitSubject(database string, leader ulid.ULID) string {
	return "millpond." + database + ".w." + leader.String() + ".commit"
}

// IndexSubject is what the leader with that id listens on for read indexes.
func IndexSubject(database string, leader ulid.ULID) string {
	return "millpond." + database + ".w." + leader.String() + ".index"
}

// HeartbeatSubject is where leaders send their heartbeats.
func HeartbeatSubject(database string) string { return "millpond." + database + ".leader" }

// FindSubject is what one of all readers answers.
func FindSubject(database string) string { return "millpond." + database + ".find" }

// ReadSubject is what one of all readers answers.
func ReadSubject(database string) string { return "millpond." + database + ".read" }

// WatchSubject is what one of all readers answers.
func WatchSubject(database string) string { return "millpond." + database + ".watch" }

// FeedSubject is what one of all readers answers.
func FeedSubject(database string) string { return "millpond." + database + ".feed" }

// QueueSubject is what one of all readers answers.
func QueueSubject(database string) string { return "millpond." + database + ".queue" }

// LeaveSubject is what all readers listen on for clients that leave a receive.
func LeaveSubject(database string) string { return "millpond." + database + ".leave" }

// HistorySubject is what one of all readers answers.
func HistorySubject(database string) string { return "millpond." + database + ".history" }

// WatchingSubject is what the reader with that id listens on for the signs of life of the client of a watch or a feed; "*" stands
// for all of them.
func WatchingSubject(database string, reader ulid.ULID, watch string) string {
	return "millpond." + database + ".r." + reader.String() + "." + watch
}

// Readers is the queue group of the readers.
const Readers = "readers"

// DatabaseOf returns the name of the database in a subject that has one.
func DatabaseOf(subject string) string {
	_, rest, _ := strings.Cut(subject, ".")
	name, _, _ := strings.Cut(rest, ".")
	return name
}

// begin returns the start of a message, with room for so many bytes more.
func begin(k kind, room int) []byte { return append(make([]byte, 0, 2+room), FormatVersion, byte(k)) }

// decoder reads the fields of a message.
type decoder struct{ codec.Decoder }

func newDecoder(data []byte) *decoder { return &decoder{codec.Decoder{Rest: data, Most: maxMessage}} }

// decode returns a decoder of what follows the start of a message of that kind.
func decode(data []byte, want kind) (*decoder, error) {
	switch {
	case len(data) < 2:
		return nil, kv.Invalidf("the message has %d bytes and is none of Millpond's", len(data))
	case data[0] != FormatVersion:
		return nil, kv.Invalidf("the message has format %d and this process knows %d; run the same version of Millpond everywhere", data[0], FormatVersion)
	case kind(data[1]) != want:
		return nil, kv.Invalidf("the message is of kind %d; %d is expected here", data[1], want)
	}
	return newDecoder(data[2:]), nil
}

// end returns an error unless everything was read, without a mistake.
func (d *decoder) end() error {
	if !d.Done() {
		return fmt.Errorf("%w: the message does not decode", kv.ErrInvalid)
	}
	return nil
}

// The first byte of a reply says how it went.
const (
	statusOK           = 0
	statusFailedChecks = 1
	statusError        = 2 // the kind of error and a sentence follow
	statusAlive        = 3 // of a watch: nothing has changed
)

// errorKinds are the errors that cross the network, by their number in a message.
var errorKinds = []error{kv.ErrInvalid, kv.ErrUnavailable, kv.ErrUnknownOutcome, kv.ErrWritesDisabled, kv.ErrNoDatabase, kv.ErrGone}

// appendError writes an error. One that is not meant for users does not show its text, and its outcome is unknown.
func appendError(b []byte, err error) []byte {
	if b, stale := appendStale(b, err); stale {
		return b
	}
	number, sentence := 2, "the server failed in a way that it did not expect; its log says how"
	for i, kind := range errorKinds {
		if errors.Is(err, kind) {
			number, sentence = i, kind.Error()
		}
	}
	var user *kv.Error
	if errors.As(err, &user) {
		sentence = user.Message
	}
	return codec.AppendBytes(append(b, statusError, byte(number)), sentence)
}

func (d *decoder) error() error {
	number := int(d.Byte())
	if number == kindStale {
		return d.stale()
	}
	sentence := d.Bytes()
	if number >= len(errorKinds) {
		d.Bad = true
		return nil
	}
	return kv.Errorf(errorKinds[number], "%s", sentence)
}
