package natslog

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
	"github.com/nats-io/nats.go/jetstream"
)

// Check reports with events.ErrGap if messages are missing between the first and the last of the stream, as its server
// counts them. JetStream passes over such holes in silence.
func (l *Log) Check(ctx context.Context) error {
	info, err := l.stream.Info(ctx)
	if err != nil {
		return fmt.Errorf("ask for the state of the log of %q: %w", l.database, err)
	}
	s := info.State
	if s.Msgs == 0 && s.FirstSeq <= 1 && s.LastSeq == 0 {
		return nil
	}
	if want := s.LastSeq - s.FirstSeq + 1; s.NumDeleted != 0 || s.Msgs != want {
		return fmt.Errorf("%w: the log of %q has %d messages from %d to %d", events.ErrGap, l.database, s.Msgs, s.FirstSeq, s.LastSeq)
	}
	return nil
}

// Verify reports whether the log holds what a projection has read of it: it must not end before c.Applied, and have the
// record with c.Hash at c.Counted. It fails with events.ErrGap and events.ErrDiverged, also if the server that answers is
// behind others; any other error means that the log could not be asked. A record that has been trimmed since cannot be compared
// and is taken for right.
func (l *Log) Verify(ctx context.Context, c events.Chain) error {
	first, last, err := l.Bounds(ctx)
	if err != nil {
		return err
	}
	if c.Applied > last {
		return fmt.Errorf("%w: the log of %q ends at %d and had %d", events.ErrGap, l.database, last, c.Applied)
	}
	if c.Counted == 0 || c.Counted < first {
		return nil
	}
	m, err := l.stream.GetMsg(ctx, uint64(c.Counted))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return fmt.Errorf("%w: read record %d of the log of %q: %w", events.ErrGap, c.Counted, l.database, err)
	}
	if err != nil {
		return fmt.Errorf("read record %d of the log of %q: %w", c.Counted, l.database, err)
	}
	if sha256.Sum256(m.Data) != c.Hash {
		return &events.RecordError{Position: kv.Position(m.Sequence), Err: events.ErrDiverged}
	}
	return nil
}
