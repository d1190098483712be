package client

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/service/wire"
)

// readIndexed is a strong read that asks a reader and, at the same time, the leader for a read index: so it takes half as many
// messages after one another as one whose reader asks the leader. It costs the leader a message for each read, where a reader asks
// once for many.
//
// What the reader has answered is as good as if it had waited for the index, unless it is behind the index; then it is asked once
// more, and waits.
func (t *natsTransport) readIndexed(q *readQuestion) (answer readAnswer, err error) {
	reign := t.leader.current()
	switch {
	case t.indexing.Err() != nil:
		return answer, errNotAllowed
	case reign.writer.IsZero():
		return answer, errNoLeader
	}
	ctx, cancel := context.WithTimeout(t.indexing, tryTimeout)
	defer cancel()
	defer context.AfterFunc(reign.over, cancel)()
	asked, err := t.toLeader(reign.server).send(wire.IndexSubject(t.database, reign.writer), wire.EncodeIndex(), whole)
	if err != nil {
		return answer, err
	}
	defer asked.forget()
	reads := wire.Reads{Mode: wire.ReadIndexed, Leader: reign.writer, Least: kv.Position(t.seen.Load()), Requests: [][]byte{q.ranges}}
	replies, position, err := t.askReader(&reads)
	if err != nil {
		return answer, err
	}
	reply, err := asked.wait(ctx)
	if err != nil {
		return answer, err
	}
	index, err := wire.DecodeIndexReply(reply)
	if err != nil {
		return answer, err
	}
	if position < index.Position {
		reads.Least = index.Position
		if replies, _, err = t.askReader(&reads); err != nil {
			return answer, err
		}
	}
	return readAnswer{reply: replies[0], alone: true, indexed: true, now: index.Now}, nil
}

var errNotAllowed = errors.New("this client may not ask for read indexes")

// hideExpired leaves out what has expired by now. It reports false if a list has lost entries where the reader has left others out
// for their sake, or may have.
func hideExpired(lists [][]kv.Entry, ranges []kv.Range, now kv.Millis) (whole bool) {
	for i, list := range lists {
		lists[i] = slices.DeleteFunc(list, func(e kv.Entry) bool { return e.ExpireAt.Expired(now) })
		oneKey := ranges[i].End == ranges[i].Start+"\x00"
		if len(lists[i]) < len(list) && len(list) >= ranges[i].Limit && !oneKey {
			return false
		}
	}
	return true
}

// heed stops asking for read indexes if NATS says that this client may not: what is sent then gets no answer.
func (t *natsTransport) heed(err error) {
	if errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(err.Error(), ".index\"") {
		t.denyIndexes()
	}
}
