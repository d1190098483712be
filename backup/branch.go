package backup

import (
	"context"
	"fmt"
	"time"

	"github.com/millpondkv/millpond/events"
)

// Branch makes a database that is as the source was at the target, from the source's log, which must be whole. The state is the one
// before the first record; Branch moves it on. If to is nil nothing is made: Restored says what would be.
func Branch(ctx context.Context, source Source, state State, t Target, name string, to Maker, now time.Time) (*Restored, error) {
	first, last, err := source.Bounds(ctx)
	if err != nil {
		return nil, err
	}
	if first > 1 {
		return nil, fmt.Errorf("%w: the log begins at %d; what was before that can be had from an archive only", events.ErrGap, first)
	}
	if to != nil {
		if err := to.Absent(ctx, name); err != nil {
			return nil, err
		}
	}
	reader, err := source.Read(ctx, 1)
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	r := replay{target: t, state: state}
	for !r.done && r.chain.Applied < last {
		m, err := reader.Next(ctx)
		if err != nil {
			return nil, err
		}
		s, err := events.Open(m)
		if err != nil {
			return nil, err
		}
		if err := r.next(s); err != nil {
			return nil, err
		}
	}
	if err := r.finish(); err != nil {
		return nil, err
	}
	return makeFrom(ctx, state, last, name, to, now)
}
