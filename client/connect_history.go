package client

import (
	"bufio"
	"context"
	"errors"
	"iter"
	"time"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/service/wire"
)

// noHistory answers for servers of KV Connect that are none of Millpond's.
const noHistory = "the past can be read of Millpond's databases only: KV Connect has no request for it, and this server is another one, or an older one"

// History has the server answer, and asks it for the rest when the connection is cut.
func (c *connection) History(ctx context.Context, want kv.HistoryRead) iter.Seq2[kv.HistoryPart, error] {
	var failed *failedTry
	var session *session
	renewed := false
	pause := newPause(c.now, c.retryTime, maxPause)
	try := func(h *historyAsk) error {
		session = c.current(ctx)
		if !session.expiry {
			failed = &failedTry{refused, failure{kind: kv.ErrInvalid, message: noHistory}}
		} else {
			failed = c.askHistory(ctx, session, h)
		}
		if failed == nil {
			return nil
		}
		return &failed.failure
	}
	return resumed(want, try, func(shown bool, err error) error {
		if shown {
			pause, renewed = newPause(c.now, c.retryTime, maxPause), false
		}
		switch {
		case ctx.Err() != nil:
			return failed.failure.ended(ctx)
		case failed.verdict == stale && !renewed:
			renewed = true
			_, err := c.renew(ctx, session)
			return err
		case failed.verdict != busy && failed.verdict != lost:
			return err
		}
		c.log.DebugContext(ctx, "will ask for the rest of the past", "error", err)
		if !pause.wait(ctx) {
			return failed.failure.ended(ctx)
		}
		return nil
	})
}

// askHistory shows what comes over one connection. A nil failure says that nothing more is to come, or is wanted.
func (c *connection) askHistory(ctx context.Context, s *session, h *historyAsk) *failedTry {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(c.silence, func() { cancel(errSilent) })
	defer silence.Stop()
	request := wire.History{HistoryRead: h.want}
	resp, failed := c.post(ctx, s, "history", request.Encode(), "application/octet-stream")
	if failed != nil {
		return failed
	}
	defer resp.Body.Close()
	for r := bufio.NewReader(resp.Body); ; {
		silence.Reset(c.silence)
		frame, failed := c.readFrame(ctx, r)
		if failed != nil {
			return failed
		}
		if len(frame) == 0 {
			continue // a ping
		}
		part, err := wire.DecodeHistoryPart(frame)
		if err != nil {
			return refusal(err)
		}
		silence.Stop() // while the caller works
		if !h.show(part.HistoryPart) || part.Last {
			return nil
		}
	}
}

// refusal is the failure that an answer ended with.
func refusal(err error) *failedTry {
	f := &failedTry{refused, failure{kind: errors.Unwrap(err), message: err.Error()}}
	if kv.SafeToRetry(err) {
		f.verdict = busy
	}
	return f
}
