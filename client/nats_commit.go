package client

import (
	"context"
	"errors"
	"time"

	"github.com/millpondkv/millpond/internal/batch"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/service/wire"
)

// Commit has the leader decide a. It asks again, with the same id, whenever there is no answer: a leader that has the commit
// already answers with it. So the outcome is unknown only if ctx, or the time for tries, ends first.
func (t *natsTransport) Commit(ctx context.Context, a *kv.Atomic) (kv.Versionstamp, error) {
	if err := a.Validate(kv.MillisOf(t.now()), false); err != nil {
		return kv.Versionstamp{}, err
	}
	result, err := t.decide(ctx, a)
	switch {
	case err != nil:
		return kv.Versionstamp{}, err
	case !result.OK():
		return kv.Versionstamp{}, &CheckError{Failed: result.FailedChecks}
	}
	t.saw(result.Versionstamp.Position())
	return result.Versionstamp, nil
}

func (t *natsTransport) decide(ctx context.Context, a *kv.Atomic) (kv.CommitResult, error) {
	until := t.now().Add(t.retryTime)
	request := wire.CommitRequest{ID: t.newID(), Atomic: a}
	mayBe := false // a try may have reached a leader
	for request.Try = 1; ; request.Try++ {
		reign := t.leader.current()
		if !mayBe { // until then, every try is like the first
			request.Seen = max(reign.position, kv.Position(t.seen.Load()))
		}
		result, sent, err := t.commits.Ask(ctx, request.Encode())
		switch {
		case err == nil || errors.Is(err, kv.ErrInvalid) || errors.Is(err, kv.ErrWritesDisabled) && !mayBe:
			return result, err
		case sent && !errors.Is(err, errNotSent) && !errors.Is(err, kv.ErrUnavailable) && !errors.Is(err, kv.ErrWritesDisabled):
			mayBe = true
		}
		switch {
		case t.now().Before(until) && pauseUntil(ctx, reign.over):
		case mayBe:
			return result, unknown(ctx, err)
		default:
			return result, gaveUp(ctx, err)
		}
	}
}

// pauseUntil waits before another try, until there may be another leader. It returns false if ctx has ended.
func pauseUntil(ctx, over context.Context) bool {
	timer := time.NewTimer(againAfter)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-over.Done():
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

func unknown(ctx context.Context, last error) error {
	if cause := context.Cause(ctx); cause != nil {
		last = cause
	}
	if errors.Is(last, kv.ErrUnknownOutcome) {
		return last
	}
	return &failure{kind: kv.ErrUnknownOutcome, message: "it is not known whether the atomic was committed", cause: last}
}

var errNoLeader = &failure{kind: kv.ErrUnavailable, message: "the database has no leader; nothing was changed, try again", cause: errNotSent}

// sendCommits sends the tries to the leader in one message, or in several if the NATS servers take none that large.
func (t *natsTransport) sendCommits(tries []*batch.Request[[]byte, kv.CommitResult]) {
	size := int64(wire.MemberOverhead)
	for _, try := range tries {
		size += int64(len(try.Question)) + wire.MemberOverhead
	}
	if half := len(tries) / 2; half > 0 && size > t.conn.MaxPayload() {
		t.sendCommits(tries[:half])
		t.sendCommits(tries[half:])
		return
	}
	members := make([][]byte, len(tries))
	for i, try := range tries {
		members[i] = try.Question
	}
	replies, err := t.askLeader(members)
	for i, try := range tries {
		if err != nil {
			try.Answer(kv.CommitResult{}, err)
			continue
		}
		try.Answer(wire.DecodeCommitReply(replies[i]))
	}
}

// askLeader blocks for tryTimeout at most, and no longer than the leader's reign.
func (t *natsTransport) askLeader(members [][]byte) (replies [][]byte, err error) {
	reign := t.leader.current()
	if reign.writer.IsZero() {
		return nil, errNoLeader
	}
	ctx, cancel := context.WithTimeout(t.closed, tryTimeout)
	defer cancel()
	defer context.AfterFunc(reign.over, cancel)()
	answer, err := t.toLeader(reign.server).ask(ctx, wire.CommitSubject(t.database, reign.writer), wire.EncodeCommits(members), whole)
	if errors.Is(err, errNotSent) {
		return nil, errNoLeader
	}
	if err != nil {
		return nil, err
	}
	replies, err = wire.DecodeCommitReplies(answer, len(members))
	var stale *wire.StaleError
	if errors.As(err, &stale) {
		t.leader.heard(stale.Leader, stale.Epoch, stale.Position, "") // and the next try goes there at once
	}
	return replies, err
}
