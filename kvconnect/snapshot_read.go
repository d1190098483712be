package kvconnect

import (
	"context"
	"net/http"

	"github.com/millpondkv/millpond/kv"
)

// snapshotRead answers POST /<name>/snapshot_read: ranges of entries from one snapshot.
func (s *Server) snapshotRead(w *reply, r *http.Request, name string) error {
	id, body, err := s.receive(r)
	if err != nil {
		return err
	}
	ranges, err := decodeSnapshotRead(body)
	if err != nil {
		return err
	}
	if err := kv.ValidateRanges(ranges); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.config.RequestTimeout)
	defer cancel()
	db, err := s.database(ctx, name, id)
	if err != nil {
		return err
	}
	entries, err := db.Read(ctx, ranges)
	if err != nil {
		return late(ctx, err)
	}
	writeReadOutput(w, entries)
	return nil
}
