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

// readAnswer is the reply to one read.
type readAnswer struct {
	reply []byte
	alone bool // otherwise the message is that of other reads too
	// Of a read whose index was asked for meanwhile: the time that what has expired is to be hidden by.
	indexed bool
	now     kv.Millis
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
		results, err := t.readOnce(ctx, q, ranges, f)
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

func (t *natsTransport) readOnce(ctx context.Context, q readQuestion, ranges []kv.Range, f freshness) ([][]kv.Entry, error) {
	if f.least > kv.Position(t.seen.Load()) { // alone: if there is no such position, other reads must not wait for it
		return t.readAlone(f, q, len(ranges))
	}
	answer, _, err := t.reads[f.consistency].Ask(ctx, q)
	if err != nil {
		return nil, err
	}
	if !answer.alone {
		answer.reply = bytes.Clone(answer.reply) // who keeps a value must not keep all others
	}
	results, err := wire.DecodeReadReply(answer.reply, len(ranges))
	if err == nil && answer.indexed && !hideExpired(results, ranges, answer.now) {
		return t.readAlone(f, q, len(ranges))
	}
	return results, err
}

// readAlone is a read in a message of its own.
func (t *natsTransport) readAlone(f freshness, q readQuestion, ranges int) ([][]kv.Entry, error) {
	least := max(f.least, kv.Position(t.seen.Load()))
	replies, _, err := t.askReader(&wire.Reads{Mode: mode(f.consistency), Least: least, Requests: [][]byte{q.ranges}})
	if err != nil {
		return nil, err
	}
	return wire.DecodeReadReply(replies[0], ranges)
}

func mode(c Consistency) wire.ReadMode {
	if c == Eventual {
		return wire.ReadEventual
	}
	return wire.ReadStrong
}

// sendReads sends the questions to a reader in one message.
func (t *natsTransport) sendReads(c Consistency, questions []*readRequest) {
	if c == Strong && len(questions) == 1 {
		answer, err := t.readIndexed(&questions[0].Question)
		if err == nil {
			questions[0].Answer(answer, nil)
			return
		}
		t.log.Debug("a read index was of no use; leaving it to the reader", "error", err)
	}
	reads := wire.Reads{Mode: mode(c), Least: kv.Position(t.seen.Load()), Requests: make([][]byte, len(questions))}
	for i, q := range questions {
		reads.Requests[i] = q.Question.ranges
	}
	replies, _, err := t.askReader(&reads)
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

// askReader returns the replies to the requests of a message, and of which position they are. It blocks for tryTimeout at most.
func (t *natsTransport) askReader(reads *wire.Reads) (replies [][]byte, position kv.Position, err error) {
	ctx, cancel := context.WithTimeoutCause(t.closed, tryTimeout, errSilence)
	defer cancel()
	var parts wire.Parts
	body, err := t.ask(ctx, wire.ReadSubject(t.database), reads.Encode(), parts.Add)
	switch {
	case errors.Is(err, errNotSent):
		return nil, 0, errNoReader
	case errors.Is(err, wire.ErrPartLost), errors.Is(err, errCut):
		return nil, 0, kv.Errorf(kv.ErrUnavailable, "%v; try again", err)
	case err != nil:
		return nil, 0, err
	}
	position, replies, err = wire.DecodeReadReplies(body, len(reads.Requests))
	t.saw(position)
	return replies, position, err
}
