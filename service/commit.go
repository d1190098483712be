package service

import (
	"context"
	"errors"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/projection"
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
	request := commitRequest{id: d.newID(), seen: d.projection.Chain().Applied, atomic: a}
	result, err := d.decide(ctx, &request)
	if err == nil && result.OK() {
		d.reached(result.Versionstamp.Position())
		_ = d.wait(ctx, result.Versionstamp.Position()) // committed it is in any case
	}
	return result, err
}

func (d *Database) decide(ctx context.Context, request *commitRequest) (kv.CommitResult, error) {
	sent := false // a try may have reached a leader
	for request.try = 1; ; request.try++ {
		result, err := d.askCommit(ctx, request)
		switch {
		case err == nil || errors.Is(err, kv.ErrInvalid) || errors.Is(err, kv.ErrWritesDisabled):
			return result, err
		case !errors.Is(err, errNotSent) && !errors.Is(err, kv.ErrUnavailable):
			sent = true
		}
		if broken := d.broken(); broken != nil && !sent {
			return kv.CommitResult{}, broken
		}
		ended := d.asker.pause(ctx) != nil
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

// askCommit sends one try.
func (d *Database) askCommit(ctx context.Context, request *commitRequest) (kv.CommitResult, error) {
	reply, err := d.asker.ask(ctx, commitSubject, request.encode())
	if err != nil {
		return kv.CommitResult{}, err
	}
	return decodeCommitReply(reply)
}

// committed looks for the request among the commits that this process has read from the log.
func (d *Database) committed(request *commitRequest) (stamp kv.Versionstamp, found bool) {
	d.projection.View(func(v projection.View) { stamp, found, _ = v.Recent(request.id) })
	return stamp, found
}
