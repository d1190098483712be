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
	ranges  []byte // encoded
	entries int    // that it asks for at most
}

// readAnswer is the reply to one read. Unless it was alone, the message is that of others too.
type readAnswer struct {
	reply []byte
	alone bool
}

type readRequest = batch.Request[readQuestion, readAnswer]

// Read asks a reader, again if it does not answer, until ctx or the time for tries ends.
func (t *natsTransport) Read(ctx context.Context, ranges []kv.Range, c Consistency) ([][]kv.Entry, error) {
	q := readQuestion{ranges: wire.EncodeRanges(ranges)}
	for i := range ranges {
		q.entries += ranges[i].Limit
	}
	for pause := newPause(t.now, t.retryTime, maxPause); ; {
		results, err := t.readOnce(ctx, q, len(ranges), c)
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

func (t *natsTransport) readOnce(ctx context.Context, q readQuestion, ranges int, c Consistency) ([][]kv.Entry, error) {
	answer, _, err := t.reads[c].Ask(ctx, q)
	if err != nil {
		return nil, err
	}
	if !answer.alone {
		answer.reply = bytes.Clone(answer.reply) // who keeps a value must not keep all others
	}
	return wire.DecodeReadReply(answer.reply, ranges)
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
