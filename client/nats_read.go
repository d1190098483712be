package client

import (
	"bytes"
	"context"
	"errors"

	"github.com/millpondkv/millpond/internal/batch"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/service/wire"
)

// readQuestion is one read.
type readQuestion struct {
	ranges []byte // encoded
	size   int    // the entries that it asks for at most, or what its keys count as many
}

// mostKeyBytes bounds the keys of one read, somewhat less than what a message holds; each mostKeyBytes/wire.MaxEntries of them
// counts as an entry.
const mostKeyBytes = 700 << 10

func (t *natsTransport) Together(ranges []kv.Range) (n int) {
	for size := 0; n < min(len(ranges), wire.MaxEntries); n++ {
		if size += len(ranges[n].Start) + 4; n > 0 && size > mostKeyBytes {
			break
		}
	}
	return n
}

func (t *natsTransport) Bare() bool { return true }

// readAnswer is the reply to one read. Unless it was alone, the message is that of others too.
type readAnswer struct {
	reply []byte
	alone bool
}

type readRequest = batch.Request[readQuestion, readAnswer]

// Read asks a reader, again if it does not answer, until ctx or the time for tries ends.
func (t *natsTransport) Read(ctx context.Context, ranges []kv.Range, f freshness) ([][]kv.Entry, error) {
	q := readQuestion{ranges: wire.EncodeRanges(ranges)}
	for i := range ranges {
		q.size += ranges[i].Limit
	}
	q.size = max(q.size, len(q.ranges)/(mostKeyBytes/wire.MaxEntries))
	for pause := newPause(t.now, t.retryTime, maxPause); ; {
		results, err := t.readOnce(ctx, q, len(ranges), f)
		switch {
		case err == nil || errors.Is(err, kv.ErrInvalid) || errors.Is(err, kv.ErrNoDatabase):
			return results, err
		case ctx.Err() != nil:
			return nil, gaveUp(ctx, err)
		}
		t.log.DebugContext(ctx, "will ask again", "error", err)
		if !pause.wait(ctx) {
			return nil, gaveUp(ctx, err)
		}
	}
}

func (t *natsTransport) readOnce(ctx context.Context, q readQuestion, ranges int, f freshness) ([][]kv.Entry, error) {
	if f.least > kv.Position(t.seen.Load()) { // alone: if there is no such position, other reads must not wait for it
		return t.readFrom(f, q, ranges)
	}
	answer, _, err := t.reads[f.consistency].Ask(ctx, q)
	if err != nil {
		return nil, err
	}
	if !answer.alone {
		answer.reply = bytes.Clone(answer.reply) // who keeps a value must not keep all others
	}
	return wire.DecodeReadReply(answer.reply, ranges)
}

// readFrom is a read that sees more than the session has shown.
func (t *natsTransport) readFrom(f freshness, q readQuestion, ranges int) ([][]kv.Entry, error) {
	replies, err := t.askReader(&wire.Reads{Eventual: f.consistency == Eventual, Least: f.least, Requests: [][]byte{q.ranges}})
	if err != nil {
		return nil, err
	}
	return wire.DecodeReadReply(replies[0], ranges)
}

// sendReads sends the questions to a reader in one message.
func (t *natsTransport) sendReads(c Consistency, questions []*readRequest) {
	reads := wire.Reads{Eventual: c == Eventual, Least: kv.Position(t.seen.Load()), Requests: make([][]byte, len(questions))}
	for i, q := range questions {
		reads.Requests[i] = q.Question.ranges
	}
	replies, err := t.askReader(&reads)
	for i, q := range questions {
		if err != nil {
			q.Answer(readAnswer{}, err)
			continue
		}
		q.Answer(readAnswer{reply: replies[i], alone: len(replies) == 1}, nil)
	}
}

var (
	errNoReader = &failure{kind: kv.ErrUnavailable, message: "no reader of the database answers; try again", cause: errNotSent}
	errSilence  = kv.Errorf(kv.ErrUnavailable, "a reader of the database did not answer in time; try again")
)

// askReader blocks for tryTimeout at most.
func (t *natsTransport) askReader(reads *wire.Reads) (replies [][]byte, err error) {
	ctx, cancel := context.WithTimeoutCause(t.closed, tryTimeout, errSilence)
	defer cancel()
	var parts wire.Parts
	body, err := t.ask(ctx, wire.ReadSubject(t.database), reads.Encode(), parts.Add)
	switch {
	case errors.Is(err, errNotSent):
		return nil, errNoReader
	case errors.Is(err, wire.ErrPartLost), errors.Is(err, errCut):
		return nil, kv.Errorf(kv.ErrUnavailable, "%v; try again", err)
	case err != nil:
		return nil, err
	}
	position, replies, err := wire.DecodeReadReplies(body, len(reads.Requests))
	t.saw(position)
	return replies, err
}
