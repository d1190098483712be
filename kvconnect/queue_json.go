package kvconnect

import (
	"bytes"
	"encoding/json"
	"io"
	"strconv"

	"github.com/millpondkv/millpond/kv"
)

// The messages of the endpoints; docs/queues.md describes them.
type (
	enqueueRequest struct {
		Checks    []checkJSON    `json:"checks"`
		Mutations []mutationJSON `json:"mutations"`
		Messages  []messageJSON  `json:"messages"`
	}
	checkJSON struct {
		Key          []byte  `json:"key"`
		Versionstamp *string `json:"versionstamp"`
	}
	mutationJSON struct {
		Type     uint8       `json:"type"` // as in KV Connect
		Key      []byte      `json:"key"`
		Encoding kv.Encoding `json:"encoding"` // as in KV Connect
		Value    []byte      `json:"value"`
		ExpireIn int64       `json:"expireIn"` // milliseconds; 0: never
	}
	messageJSON struct {
		Payload           []byte   `json:"payload"` // a V8 value
		Delay             int64    `json:"delay"`   // milliseconds
		BackoffSchedule   []uint32 `json:"backoffSchedule"`
		KeysIfUndelivered [][]byte `json:"keysIfUndelivered"`
	}
	enqueueReply struct {
		OK           bool   `json:"ok"`
		Versionstamp string `json:"versionstamp,omitempty"`
		FailedChecks []int  `json:"failedChecks,omitempty"`
	}
	receiveRequest struct {
		Max  *int   `json:"max"`
		Wait *int64 `json:"wait"` // milliseconds
	}
	receiveReply struct {
		Messages []receivedJSON `json:"messages"`
		AckWait  int64          `json:"ackWait"` // milliseconds
	}
	receivedJSON struct {
		ID      string `json:"id"`
		Payload []byte `json:"payload"`
		Attempt int    `json:"attempt"`
		Receipt string `json:"receipt"`
	}
	settleRequest struct {
		Receipts []string `json:"receipts"`
	}
	statsReply struct {
		Waiting   uint64 `json:"waiting"`
		Scheduled uint64 `json:"scheduled"`
		InFlight  uint64 `json:"inFlight"`
		Dead      uint64 `json:"dead"`
		OldestAge int64  `json:"oldestAge"` // milliseconds
	}
	peekRequest struct {
		State kv.MessageState `json:"state"`
		Max   *int            `json:"max"`
	}
	peekReply struct {
		Messages []peekedJSON `json:"messages"`
	}
	peekedJSON struct {
		ID       string    `json:"id"`
		Payload  []byte    `json:"payload"`
		Enqueued kv.Millis `json:"enqueued"`
		Deadline kv.Millis `json:"deadline,omitempty"`
	}
	retryReply struct {
		Retried int `json:"retried"`
	}
)

// atomic returns what is asked for; delays and expiries begin now.
func (r *enqueueRequest) atomic(now kv.Millis) (*kv.Atomic, error) {
	a := &kv.Atomic{}
	for i, c := range r.Checks {
		check := kv.Check{Key: kv.EncodedKey(c.Key)}
		if c.Versionstamp != nil {
			v, err := kv.ParseVersionstamp(*c.Versionstamp)
			if err != nil {
				return nil, kv.Invalidf("check %d: %v", i, err)
			}
			check.Versionstamp = &v
		}
		a.Checks = append(a.Checks, check)
	}
	for i, m := range r.Mutations {
		mutation := kv.Mutation{Type: kv.MutationType(m.Type), Key: kv.EncodedKey(m.Key), Value: kv.Value{Encoding: m.Encoding, Data: m.Value}}
		if m.ExpireIn < 0 || m.ExpireIn > int64(kv.MaxMillis-now) {
			return nil, kv.Invalidf("mutation %d: expireIn is %d ms; it must be from 0 to %d", i, m.ExpireIn, kv.MaxMillis-now)
		}
		if m.ExpireIn > 0 {
			mutation.ExpireAt = now + kv.Millis(m.ExpireIn)
		}
		a.Mutations = append(a.Mutations, mutation)
	}
	for i, m := range r.Messages {
		if m.Delay < 0 || m.Delay > kv.MaxQueueDelay {
			return nil, kv.Invalidf("message %d: the delay is %d ms; it must be from 0 to %d, which is 30 days", i, m.Delay, kv.MaxQueueDelay)
		}
		e := kv.Enqueue{Payload: m.Payload, BackoffSchedule: m.BackoffSchedule}
		if m.Delay > 0 {
			e.Deadline = now + kv.Millis(m.Delay)
		}
		for _, key := range m.KeysIfUndelivered {
			e.KeysIfUndelivered = append(e.KeysIfUndelivered, kv.EncodedKey(key))
		}
		a.Enqueues = append(a.Enqueues, e)
	}
	return a, nil
}

// readJSON reads a body. None at all is an empty object.
func readJSON(body []byte, into any) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return kv.Invalidf("the request body is not what this endpoint takes: %v", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return kv.Invalidf("the request body goes on after its JSON object")
	}
	return nil
}

func writeJSON(w *reply, answer any) error {
	out, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(out)))
	if _, err := w.Write(out); err != nil {
		return errClientGone
	}
	return nil
}
