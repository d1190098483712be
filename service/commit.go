package service

import (
	"context"
	"errors"
	"time"

	"github.com/millpondkv/millpond/internal/batch"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
	"github.com/millpondkv/millpond/service/wire"
	"github.com/oklog/ulid/v2"
)

var (
	errNoLeader = kv.Errorf(kv.ErrUnavailable, "The database has no leader; nothing was changed, try again.")
	errUnknown  = kv.Errorf(kv.ErrUnknownOutcome, "It is not known whether the atomic write was committed; read its keys before trying again.")
)

// Commit implements kvconnect.Database: it has the leader decide a, and returns once this process has applied the commit too.
//
// It asks again, with the same id, whenever there is no answer, until ctx ends: a leader that has the commit already
// answers with it. So the outcome is unknown only if ctx ends first.
func (d *Database) Commit(ctx context.Context, a *kv.Atomic) (kv.CommitResult, error) {
	return d.CommitOnce(ctx, d.newID(), a)
}

// CommitOnce is Commit of an atomic that may have been committed under this id before, by whichever process: then it answers as it
// did, if the first time is among the recent commits.
func (d *Database) CommitOnce(ctx context.Context, id ulid.ULID, a *kv.Atomic) (kv.CommitResult, error) {
	request := wire.CommitRequest{ID: id, Seen: max(d.projection.Chain().Applied, kv.Position(d.end.Load())), Atomic: a}
	result, err := d.decide(ctx, &request)
	if err == nil && result.OK() {
		d.reached(result.Versionstamp.Position())
		_ = d.wait(ctx, result.Versionstamp.Position()) // committed it is in any case
	}
	return result, err
}

func (d *Database) decide(ctx context.Context, request *wire.CommitRequest) (kv.CommitResult, error) {
	sent := false // a try may have reached a leader
	for request.Try = 1; ; request.Try++ {
		result, err := d.askCommit(ctx, request)
		switch {
		case err == nil || errors.Is(err, kv.ErrInvalid) || errors.Is(err, kv.ErrWritesDisabled) && !sent:
			return result, err
		case !errors.Is(err, errNotSent) && !changedNothing(err):
			sent = true
		}
		broken := d.broken()
		if broken != nil && !sent {
			return kv.CommitResult{}, broken
		}
		ended := d.asker.pause(ctx) != nil || errors.Is(broken, kv.ErrNoDatabase) // nobody will ever know more
		if stamp, found := d.committed(request); found {
			return kv.CommitResult{Versionstamp: stamp}, nil
		}
		switch {
		case ended && sent:
			return kv.CommitResult{}, errUnknown
		case ended:
			return kv.CommitResult{}, errNoLeader
		}
	}
}

// changedNothing reports whether the error of a try says that the try has certainly changed nothing. An earlier one may have.
func changedNothing(err error) bool {
	return errors.Is(err, kv.ErrUnavailable) || errors.Is(err, kv.ErrWritesDisabled)
}

// askCommit sends one try, together with those of others.
func (d *Database) askCommit(ctx context.Context, request *wire.CommitRequest) (kv.CommitResult, error) {
	result, sent, err := d.commits.Ask(ctx, request.Encode())
	if !sent {
		err = errNotSent
	}
	return result, err
}

// The bounds of the commits that a reader sends to the leader.
const (
	mostCommits     = 1 << 10   // in one message: there is 1 KB for the reply to each
	mostCommitBytes = 700 << 10 // in one message: somewhat less than a record holds
	commitLanes     = 1         // messages in flight: the leader has one record in flight, and more in it are faster
	spareLanes      = 4         // while messages are late: their answers may be lost
	lanePatience    = 200 * time.Millisecond
)

type commitRequest = batch.Request[[]byte, kv.CommitResult]

// sendCommits sends the tries to the leader in one message, or in several if the NATS servers take none that large.
func (d *Database) sendCommits(requests []*commitRequest) {
	if half := len(requests) / 2; half > 0 && sizeOf(requests) > d.asker.best().MaxPayload() {
		d.sendCommits(requests[:half])
		d.sendCommits(requests[half:])
		return
	}
	members := make([][]byte, len(requests))
	for i, r := range requests {
		members[i] = r.Question
	}
	reply, err := d.asker.ask(context.Background(), wire.CommitSubject, wire.EncodeCommits(members))
	var replies [][]byte
	if err == nil {
		replies, err = wire.DecodeCommitReplies(reply, len(requests))
		d.heardOf(err)
	}
	for i, r := range requests {
		if err != nil {
			r.Answer(kv.CommitResult{}, err)
			continue
		}
		r.Answer(wire.DecodeCommitReply(replies[i]))
	}
}

// sizeOf returns about what the tries take in a message, and not less.
func sizeOf(requests []*commitRequest) (n int64) {
	for _, r := range requests {
		n += int64(len(r.Question)) + wire.MemberOverhead
	}
	return n + wire.MemberOverhead
}

// committed looks for the request among the commits that this process has read from the log.
func (d *Database) committed(request *wire.CommitRequest) (stamp kv.Versionstamp, found bool) {
	d.projection.View(func(v projection.View) { stamp, found, _ = v.Recent(request.ID) })
	return stamp, found
}
