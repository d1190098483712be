package client

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/millpondkv/millpond/kv"
)

// receivedFor is how long the server holds a request for messages, if there are none.
const receivedFor = 30 * time.Second

// callQueue posts JSON to a method of the queue until there is an answer, or no sense in going on. What it asks for may be
// done twice.
func (c *connection) callQueue(ctx context.Context, method string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	return c.ask(ctx, &exchange{method: "queue/" + method, body: body, answerType: "application/json", decode: func(answer []byte) *failedTry {
		if err := json.Unmarshal(answer, out); err != nil {
			return garbledf("the server's answer to queue/%s is not one: %v", method, err)
		}
		return nil
	}})
}

func (c *connection) receive(ctx context.Context, most int) ([]kv.Message, time.Duration, error) {
	in := struct {
		Max  int   `json:"max"`
		Wait int64 `json:"wait"`
	}{most, receivedFor.Milliseconds()}
	var out struct {
		Messages []kv.Message `json:"messages"` // the names are those of the fields
		AckWait  int64        `json:"ackWait"`
	}
	err := c.callQueue(ctx, "receive", in, &out)
	return out.Messages, time.Duration(out.AckWait) * time.Millisecond, err
}

func (c *connection) settle(ctx context.Context, v kv.Verdict, receipts []string) error {
	return c.callQueue(ctx, string(v), map[string][]string{"receipts": receipts}, &struct{}{})
}

func (c *connection) stats(ctx context.Context) (kv.QueueStats, error) {
	var out struct {
		Waiting, Scheduled, InFlight, Dead uint64
		OldestAge                          int64
	}
	err := c.callQueue(ctx, "stats", struct{}{}, &out)
	return kv.QueueStats{Waiting: out.Waiting, Scheduled: out.Scheduled, InFlight: out.InFlight, Dead: out.Dead, OldestAge: time.Duration(out.OldestAge) * time.Millisecond}, err
}

func (c *connection) peek(ctx context.Context, state kv.MessageState, most int) ([]kv.PeekedMessage, error) {
	in := struct {
		State kv.MessageState `json:"state"`
		Max   int             `json:"max"`
	}{state, most}
	var out struct {
		Messages []kv.PeekedMessage `json:"messages"`
	}
	err := c.callQueue(ctx, "peek", in, &out)
	return out.Messages, err
}

func (c *connection) retryDead(ctx context.Context) (int, error) {
	var out struct{ Retried int }
	err := c.callQueue(ctx, "retry_dead", struct{}{}, &out)
	return out.Retried, err
}

func (c *connection) logger() *slog.Logger { return c.log }
