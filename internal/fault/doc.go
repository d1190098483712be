// Package fault lets tests of the whole system hit a process at a named point, and take out one of its guards.
//
// It does nothing unless the program is built with the tag faults. Then the environment variable MILLPOND_FAULTS names a
// file with orders, which is read at the start and at every SIGUSR1:
//
//	append.sent:3=kill    at the third passing from now, the process kills itself (SIGKILL)
//	apply:1=stop          likewise, it stops until somebody continues it (SIGSTOP)
//	index=off             that guard is out
//
// The points, in the order in which a commit passes them:
//
//	append.before   a record is about to be published
//	append.sent     it is handed to the kernel for the NATS server, and its ack is not there yet
//	append.acked    it is acked, and neither applied nor answered
//	apply           it is about to be folded into a projection, of the leader as of everybody else
//	answer          it is applied, and nobody is answered
//	epoch.sent      as append.sent, of the record that begins an epoch
//	checkpoint      the state is written to a file that is not in place yet
//	bucket.written  a checkpoint is in NATS' bucket, not read back yet
//	bucket.verified it is read back, and has no name yet
//	checkpoint.delete  one that nobody needs any more is about to be deleted
//	trim.before     the log is about to be trimmed
//	trim.after      it is trimmed
//	databases.STEP  a step of making or deleting a database is about to be taken, such as databases.log
//
// The guards:
//
//	epoch        records of an older epoch are void
//	hash         a record names the one before it
//	contiguity   each record has the next position
//	index        a strong read asks for a read index, and waits for it
package fault

import "net"

// A ConnDialer connects to a NATS server.
type ConnDialer interface {
	Dial(network, address string) (net.Conn, error)
}
