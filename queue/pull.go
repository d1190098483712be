package queue

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

// pull is what JetStream takes for a consumer's next messages.
type pull struct {
	Batch   int           `json:"batch"`
	Expires time.Duration `json:"expires,omitempty"`
	NoWait  bool          `json:"no_wait,omitempty"` // what is there now
}

// The statuses with which JetStream ends a pull, beside those that are errors.
const (
	statusNoMessages = "404"
	statusPullEnds   = "408" // it has expired, or others who wait will take what is there
)

// pullSlack is for how much longer an answer is waited for than JetStream is asked to wait.
const pullSlack = time.Second

// pullNext asks the listeners' consumer for messages. There may be fewer than were asked for, or none. When it returns the inbox has
// gone, so that JetStream delivers nothing more there; its own client returns before that. What has come although ctx ended is among
// the messages.
func (q *Queue) pullNext(ctx context.Context, p pull) (got []*nats.Msg, err error) {
	sub, err := q.c.Conn.SubscribeSync(q.c.Conn.NewInbox())
	if err != nil {
		return nil, err
	}
	defer sub.Unsubscribe()
	request, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	if err := q.c.Conn.PublishRequest("$JS.API.CONSUMER.MSG.NEXT."+streamName(q.c.Database)+"."+listenConsumer, sub.Subject, request); err != nil {
		return nil, err
	}
	within, cancel := context.WithTimeout(ctx, p.Expires+pullSlack)
	defer cancel()
	for len(got) < p.Batch {
		m, err := sub.NextMsgWithContext(within)
		switch {
		case err != nil && (len(got) > 0 || within.Err() != nil):
			return append(got, q.late(sub)...), nil
		case err != nil:
			return nil, err
		}
		switch status := m.Header.Get("Status"); {
		case status == "":
			got = append(got, m)
		case status == statusNoMessages || status == statusPullEnds || len(got) > 0:
			return got, nil
		default:
			return nil, fmt.Errorf("JetStream answers %s %s", status, m.Header.Get("Description"))
		}
	}
	return got, nil
}

// late returns what JetStream has sent to an inbox before it knew that nobody reads there any more.
func (q *Queue) late(sub *nats.Subscription) (got []*nats.Msg) {
	if sub.Drain() != nil || q.c.Conn.FlushTimeout(pullSlack) != nil {
		return nil
	}
	for {
		m, err := sub.NextMsg(time.Nanosecond)
		if err != nil {
			return got
		}
		if m.Header.Get("Status") == "" {
			got = append(got, m)
		}
	}
}
