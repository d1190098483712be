package backup

import (
	"context"
	"errors"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
)

// history is where the records of a log are, for their messages.
type history interface {
	// since returns the log time before which the history is not known; 0 if all of it is.
	since() kv.Millis

	// earlier calls each with the messages of the queue before the records, as far as they are known.
	earlier(ctx context.Context, each func(kv.QueuedMessage) error) error

	// scan calls each with the records that count, in order, until it
	// returns an error. Those of before that log time may be left out.
	scan(ctx context.Context, from kv.Millis, each func(s events.Sealed) error) error
}

// backlog is the messages of a history up to a target that may not have been handled there. Which were, no log says: see
// kv.QueuedMessage.Doubt.
type backlog struct {
	history
	target Target
	at     events.Chain // the place of the target
}

var errThrough = errors.New("all records were seen")

// each calls f with the messages, in the order of the log.
func (b *backlog) each(ctx context.Context, f func(kv.QueuedMessage) error) error {
	doubted := func(m kv.QueuedMessage) error {
		if dead := m.Dead; !m.Doubt(b.at.Time) {
			return nil
		} else if dead {
			m.Dead = true
		}
		return f(m)
	}
	if err := b.earlier(ctx, doubted); err != nil {
		return err
	}
	err := b.scan(ctx, b.at.Time-kv.MaxQueueDelay-kv.OldMessage, func(s events.Sealed) error {
		if s.Position > b.at.Applied {
			return errThrough
		}
		commits := s.Record.Commits
		if v := b.target.Versionstamp; s.Position == v.Position() {
			commits = commits[:min(len(commits), int(v.Index())+1)]
		}
		for i := range commits {
			for _, m := range commits[i].Messages(s.Record.Time) {
				if err := doubted(m); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if errors.Is(err, errThrough) {
		return nil
	}
	return err
}

// count adds what the backlog has.
func (b *backlog) count(ctx context.Context, r *Restored) error {
	if since := b.since(); since > b.at.Time-kv.MaxQueueDelay {
		r.Since = since
	}
	return b.each(ctx, func(m kv.QueuedMessage) error {
		if m.Dead {
			r.Dead++
		} else {
			r.Messages++
		}
		return nil
	})
}

// archived is the history that an archive has of a plan's line.
type archived struct {
	*Archive
	plan *Plan
}

func (h *archived) since() kv.Millis {
	if start := h.plan.Line.Start(); start.Applied > 0 {
		return start.Time
	}
	return 0
}

func (h *archived) earlier(context.Context, func(kv.QueuedMessage) error) error { return nil }

func (h *archived) scan(ctx context.Context, from kv.Millis, each func(s events.Sealed) error) error {
	line := h.plan.Line
	at := line.Start()
	for segment := line.after(at); segment != nil; segment = line.after(at) {
		done := at.Applied
		if at = segment.End; at.Time < from {
			continue
		}
		err := h.scanSegment(ctx, segment, func(s events.Sealed, after events.Chain) error {
			if s.Position <= done || after.Counted != s.Position {
				return ctx.Err()
			}
			return each(s)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// logged is the history that a log has after a place.
type logged struct {
	source   Source
	after    events.Chain
	last     kv.Position                                                        // of the log
	messages func(ctx context.Context, each func(kv.QueuedMessage) error) error // see Base
}

func (h *logged) since() kv.Millis {
	if h.messages != nil {
		return 0
	}
	return h.after.Time
}

func (h *logged) earlier(ctx context.Context, each func(kv.QueuedMessage) error) error {
	if h.messages == nil {
		return nil
	}
	return h.messages(ctx, each)
}

func (h *logged) scan(ctx context.Context, _ kv.Millis, each func(s events.Sealed) error) error {
	return h.read(ctx, func(s events.Sealed, after events.Chain) error {
		if after.Counted != s.Position {
			return nil
		}
		return each(s)
	})
}

// read calls each with every record, and the chain after it.
func (h *logged) read(ctx context.Context, each func(s events.Sealed, after events.Chain) error) error {
	chain := h.after
	if chain.Applied >= h.last {
		return nil
	}
	reader := events.Resume(h.source, chain.Applied+1)
	defer reader.Close()
	for chain.Applied < h.last {
		m, err := reader.Next(ctx)
		if err != nil {
			return err
		}
		s, err := events.Open(m)
		if err != nil {
			return err
		}
		if _, err := chain.Accept(s); err != nil {
			return err
		}
		if err := each(s, chain); err != nil {
			return err
		}
	}
	return nil
}
