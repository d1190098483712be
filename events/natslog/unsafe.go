package natslog

import (
	"fmt"
	"slices"

	"github.com/millpondkv/millpond/events"
	"github.com/nats-io/nats.go/jetstream"
)

// SafeReplicas is how many copies of a log outlast the loss of any one server, with a majority that still agrees.
const SafeReplicas = 3

// Unsafe returns what of the stream's settings, as they were when the log was opened, keeps too few copies, or could drop or
// change records: a sentence each that names the setting and says what it has to be. It is empty if all is well.
//
// A log of one process has one copy, so it is not asked there.
func (l *Log) Unsafe() []string {
	return unsafeSettings(l.database, l.stream.CachedInfo().Config)
}

func unsafeSettings(database string, c jetstream.StreamConfig) (found []string) {
	must := func(holds bool, format string, args ...any) {
		if !holds {
			found = append(found, fmt.Sprintf("the stream %s of the database %q ", c.Name, database)+fmt.Sprintf(format, args...))
		}
	}
	// Fewer copies than a loss takes.
	must(c.Replicas >= SafeReplicas, "has %s, and a lost server loses commits or stops it; give it %d", plural(c.Replicas, "replica"), SafeReplicas)
	must(c.Storage == jetstream.FileStorage, "is kept in memory, and is gone when its servers restart; make it anew in file storage")
	must(c.PersistMode != jetstream.AsyncPersistMode, "acks records before they are on disk (persist_mode); set it to default")

	// What drops records.
	must(c.Retention == jetstream.LimitsPolicy, "drops what has been read (retention %v); only limits retention keeps it", c.Retention)
	must(unlimited(c.MaxMsgs), "is limited to %d messages (max_msgs); remove the limit", c.MaxMsgs)
	must(unlimited(c.MaxBytes), "is limited to %d bytes (max_bytes); remove the limit", c.MaxBytes)
	must(c.MaxAge == 0, "drops messages after %v (max_age); remove the limit", c.MaxAge)
	must(unlimited(c.MaxMsgsPerSubject), "is limited to %d messages for each subject (max_msgs_per_subject); remove the limit", c.MaxMsgsPerSubject)
	must(unlimited(int64(c.MaxMsgSize)) || c.MaxMsgSize >= mostMessage, "takes messages of %d bytes at most (max_msg_size), and a record can have %d; remove the limit", c.MaxMsgSize, mostMessage)
	must(c.Discard == jetstream.DiscardNew, "makes room by dropping old messages (discard old); set it to discard new")
	must(c.DenyDelete, "lets messages be deleted; it has to be made with deny_delete")
	must(!c.AllowRollup, "lets one message replace the others (allow_rollup_hdrs); turn that off")
	must(!c.AllowMsgTTL && c.SubjectDeleteMarkerTTL == 0, "lets messages expire (allow_msg_ttl); it has to be made without that")

	// What changes them, or adds others.
	must(slices.Equal(sorted(c.Subjects), sorted(subjects(database))), "takes the subjects %v; they have to be %v", c.Subjects, subjects(database))
	must(c.SubjectTransform == nil, "changes subjects (subject_transform); remove that")
	must(c.Mirror == nil && len(c.Sources) == 0, "takes messages from other streams (mirror, sources); it must be a stream of its own")
	must(c.RePublish == nil, "publishes its messages again (republish), which can reach a log; remove that")
	must(!c.AllowMsgCounter && !c.AllowMsgSchedules, "makes messages by itself (allow_msg_counter, allow_msg_schedules); it has to be made without that")
	must(c.Compression == jetstream.NoCompression, "is compressed (%v), which makes a damaged block cost more records; set compression to none", c.Compression)

	// What stops it.
	must(!c.NoAck, "does not ack what it has stored (no_ack); turn that off")
	must(!c.Sealed, "is sealed and takes no records any more; restore it from a copy into a new one")
	return found
}

// mostMessage is the size of the largest record with room for its subject and headers, in bytes.
const mostMessage = events.MaxRecordSize + 4096

// UnsafePayload returns what is wrong with the largest message that NATS servers take, in bytes: a sentence, empty if it is
// enough for a record.
func UnsafePayload(most int64) string {
	if most >= mostMessage {
		return ""
	}
	return fmt.Sprintf("the NATS servers take messages of %d bytes at most, and a record can have %d; set max_payload to 1MB or more on every server", most, mostMessage)
}

// unlimited reports whether a limit is none: JetStream says -1, and takes 0 for it.
func unlimited(limit int64) bool { return limit <= 0 }

func sorted(list []string) []string { return slices.Sorted(slices.Values(list)) }

func plural(n int, noun string) string {
	if n == 1 {
		return "one " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
