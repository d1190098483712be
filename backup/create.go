package backup

import (
	"context"
	"io"

	"github.com/oklog/ulid/v2"
)

// Create adds a full part with the database's current state to the archive, and begins a line with it.
func (a *Archive) Create(ctx context.Context, source Source) (*Manifest, error) {
	m, err := a.storeFull(ctx, source, ulid.ULID{})
	if err != nil {
		return nil, err
	}
	return m, a.publishFull(ctx, m)
}

// storeFull stores a full part for a line, or for one of its own if that is zero. It does not count until publishFull.
func (a *Archive) storeFull(ctx context.Context, source Source, line ulid.ULID) (*Manifest, error) {
	m := &Manifest{Kind: KindFull, ID: a.NewID(), Line: line, DatabaseID: source.ID()}
	if line.IsZero() {
		m.Line = m.ID
	}
	return m, a.storePart(ctx, m, func(w io.Writer) error {
		chain, err := source.WriteCheckpoint(ctx, w)
		m.End = PlaceOf(chain)
		return err
	})
}

func (a *Archive) publishFull(ctx context.Context, m *Manifest) error {
	if err := a.putManifest(ctx, m); err != nil {
		return err
	}
	a.Logger.Info("stored a full part", "database", a.Database, "position", m.End.Applied, "bytes", m.Stored.Bytes)
	return nil
}
