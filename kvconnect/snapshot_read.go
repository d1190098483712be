package kvconnect

import (
	"context"
	"net/http"

	"github.com/millpondkv/millpond/kv"
)

// snapshotRead answers POST /<name>/snapshot_read: ranges of entries from one snapshot.
func (s *Server) snapshotRead(w *reply, r *http.Request, to route) error {
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
	db, err := s.database(ctx, to.database, id)
	if err != nil {
		return err
	}
	read := db.Read
	if to.eventual {
		eventual, ok := db.(EventualReader)
		if !ok {
			return failure(http.StatusNotFound, "this server has no endpoint for eventual reads; use snapshot_read of the database itself")
		}
		read = eventual.ReadEventual
	}
	entries, err := read(ctx, ranges)
	if err != nil {
		return late(ctx, err)
	}
	writeReadOutput(w, entries, readForm{strong: !to.eventual, expiry: r.Header.Get(expiryHeader) != ""})
	return nil
}
