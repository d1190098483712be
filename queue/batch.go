package queue

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// The headers of JetStream's atomic publish (NATS ADR-50), which its client does not speak itself.
const (
	headerBatchID     = "Nats-Batch-Id"
	headerBatchSeq    = "Nats-Batch-Sequence"
	headerBatchCommit = "Nats-Batch-Commit"
)

// publishBatch puts all messages into the stream or none, and returns the sequence of the last. It fails with errFenced if
// an expectation of theirs does not hold; after any other error they may be there.
func publishBatch(ctx context.Context, conn *nats.Conn, batch []*nats.Msg) (last uint64, err error) {
	id := nuid.Next()
	for i, m := range batch {
		m.Header.Set(headerBatchID, id)
		m.Header.Set(headerBatchSeq, strconv.Itoa(i+1))
		if i < len(batch)-1 {
			if err := conn.PublishMsg(m); err != nil {
				return 0, err
			}
		}
	}
	commit := batch[len(batch)-1]
	commit.Header.Set(headerBatchCommit, "1")
	reply, err := conn.RequestMsgWithContext(ctx, commit)
	if err != nil {
		return 0, err
	}
	var ack struct {
		Error    *jetstream.APIError `json:"error"`
		Sequence uint64              `json:"seq"`
	}
	if err := json.Unmarshal(reply.Data, &ack); err != nil {
		return 0, fmt.Errorf("read JetStream's answer: %w", err)
	}
	switch {
	case ack.Error == nil:
		return ack.Sequence, nil
	case ack.Error.ErrorCode == wrongLastSequence || ack.Error.ErrorCode == wrongLastSequenceConstant:
		return 0, fmt.Errorf("%w: %w", errFenced, ack.Error)
	}
	return 0, ack.Error
}

// JetStream's codes for an expectation that does not hold (nats-server errors.json).
const (
	wrongLastSequence         = 10071
	wrongLastSequenceConstant = 10164
)
