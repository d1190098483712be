package history

import (
	"bytes"
	"context"
	"io"
	"slices"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
)

// versions goes through what one key has had.
type versions struct {
	walk    walk
	current kv.Entry     // what it has where the walk is; it may have expired
	shown   []kv.Version // of the next part
	size    int          // of shown
	ended   bool
}

func (r *Read) nextVersions(ctx context.Context) (part kv.HistoryPart, err error) {
	if r.versions == nil {
		r.versions = &versions{walk: walk{d: r.d, end: r.through()}}
		err = r.beginVersions(ctx)
	} else if r.versions.ended {
		return part, io.EOF
	}
	if err == nil {
		err = r.goOn(ctx)
	}
	if err != nil {
		return part, err
	}
	vs := r.versions
	part.Versions, vs.shown, vs.size = vs.shown, nil, 0
	return part, nil
}

// beginVersions begins as early as the history goes back, or where After is.
func (r *Read) beginVersions(ctx context.Context) error {
	release, err := r.d.Slots.acquire(ctx)
	if err != nil {
		return err
	}
	defer release()
	if err := r.findBases(ctx); err != nil {
		return err
	}
	bases, err := reaching(r.bases, r.want.To)
	if err != nil {
		return err
	}
	bases = slices.Clone(bases)
	slices.Reverse(bases)
	if !r.want.After.IsZero() {
		if behind, err := reaching(r.bases, kv.Moment{Versionstamp: r.want.After}); err == nil {
			bases = behind
		}
	}
	vs, key := r.versions, r.want.Keys[0]
	err = vs.walk.beginBest(ctx, bases, func() { vs.current = kv.Entry{} }, func(e kv.Entry) bool {
		if e.Key == key {
			vs.current, vs.current.Value.Data = e, bytes.Clone(e.Value.Data)
		}
		return e.Key < key
	})
	if e := vs.current; err == nil && e.Exists() {
		r.show(kv.Version{Versionstamp: e.Versionstamp, State: kv.VersionSet, Value: e.Value, ExpireAt: e.ExpireAt})
	}
	return err
}

// goOn reads until there is enough for a part, or the end.
func (r *Read) goOn(ctx context.Context) error {
	release, err := r.d.Slots.acquire(ctx)
	if err != nil {
		return err
	}
	defer release()
	vs := r.versions
	err = vs.walk.records(ctx, func(s events.Sealed, counts bool, after events.Chain) error {
		if err := named(r.want.To, s, counts); err != nil {
			return err
		}
		if !counts {
			return nil
		}
		if !r.want.To.Includes(kv.NewVersionstamp(s.Position, 0), after.Time) {
			return errEnough
		}
		r.record(s, after.Time)
		if vs.size >= partBytes {
			return errPause
		}
		return nil
	})
	switch err {
	case errPause:
		return nil
	case nil, errEnough:
	default:
		return err
	}
	vs.ended = true
	at := r.want.To.Time
	if r.want.To == (kv.Moment{}) {
		at = r.now
	}
	r.expire(max(at, vs.walk.chain.Time))
	return nil
}

func (r *Read) record(s events.Sealed, at kv.Millis) {
	for i := range s.Record.Commits {
		v := kv.NewVersionstamp(s.Position, uint16(i))
		if !r.want.To.Includes(v, at) {
			return
		}
		for j := range s.Record.Commits[i].Effects {
			if e := &s.Record.Commits[i].Effects[j]; e.Key == r.want.Keys[0] {
				r.expire(at)
				r.effect(e, v, at)
			}
		}
	}
}

func (r *Read) effect(e *events.Effect, v kv.Versionstamp, at kv.Millis) {
	vs := r.versions
	switch {
	case !e.Delete:
		value := kv.Value{Encoding: e.Value.Encoding, Data: bytes.Clone(e.Value.Data)}
		vs.current = kv.Entry{Key: e.Key, Value: value, Versionstamp: v, ExpireAt: e.ExpireAt}
		r.show(kv.Version{Versionstamp: v, Time: at, State: kv.VersionSet, Value: value, ExpireAt: e.ExpireAt})
	case vs.current.Exists():
		vs.current = kv.Entry{}
		r.show(kv.Version{Versionstamp: v, Time: at, State: kv.VersionDeleted})
	}
}

// expire ends the current value if it had expired by then.
func (r *Read) expire(by kv.Millis) {
	e := r.versions.current
	if e.Exists() && e.ExpireAt.Expired(by) {
		r.versions.current = kv.Entry{}
		r.show(kv.Version{Versionstamp: e.Versionstamp, Time: e.ExpireAt, State: kv.VersionExpired})
	}
}

// show shows v, unless it is from before the place behind which the versions are wanted.
func (r *Read) show(v kv.Version) {
	if after := r.want.After; after.Before(v.Versionstamp) || after == v.Versionstamp && v.State == kv.VersionExpired {
		r.versions.shown = append(r.versions.shown, v)
		r.versions.size += len(v.Value.Data) + entryOverhead
	}
}
