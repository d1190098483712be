package service

import (
	"context"

	"github.com/millpondkv/millpond/history"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kvconnect"
	"github.com/millpondkv/millpond/writer"
)

// History implements kvconnect.HistoryDatabase.
func (d *Database) History(ctx context.Context, want kv.HistoryRead) (kvconnect.History, error) {
	return d.history(ctx, want, 0)
}

// history begins to answer what has happened up to now, or to the record at the position least if that is later. Where both moments are
// named by versionstamps which this replica has, nobody need be asked what now is.
func (d *Database) history(ctx context.Context, want kv.HistoryRead, least kv.Position) (*history.Read, error) {
	if err := d.broken(); err != nil {
		return nil, err
	}
	now := writer.ReadIndex{Now: d.now()}
	if !d.names(want.To) || want.Kind == kv.HistoryDifferences && !d.names(want.From) {
		var err error
		if now, err = d.index(ctx); err != nil {
			return nil, err
		}
		d.reached(now.Position)
		if err := d.wait(ctx, max(now.Position, least)); err != nil {
			return nil, err
		}
	}
	return d.past.Read(want, d.projection.Applied(), now.Now)
}

// names reports whether m is a place of the log that this replica has come to.
func (d *Database) names(m kv.Moment) bool {
	return !m.Versionstamp.IsZero() && m.Versionstamp.Position() <= d.projection.Applied()
}
