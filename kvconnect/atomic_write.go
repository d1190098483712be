package kvconnect

import (
	"context"
	"errors"
	"net/http"

	"github.com/millpondkv/millpond/kv"
)

// atomicWrite answers POST /<name>/atomic_write: checks, mutations and enqueues as one commit.
func (s *Server) atomicWrite(w *reply, r *http.Request, name string) error {
	id, body, err := s.receive(r)
	if err != nil {
		return err
	}
	a, err := decodeAtomicWrite(body)
	if err != nil {
		return err
	}
	if err := a.Validate(s.now(), s.config.Raw); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.config.RequestTimeout)
	defer cancel()
	db, err := s.database(ctx, name, id)
	if err != nil {
		return err
	}
	result, err := db.Commit(ctx, a)
	if errors.Is(err, kv.ErrWritesDisabled) { // Deno: Error "Writes are disabled for this database", and no other try
		writeStatus(w, statusWriteDisabled)
		return nil
	}
	if err != nil {
		return unknown(ctx, err)
	}
	writeWriteOutput(w, result)
	return nil
}

// unknown makes the end of the request's time kv.ErrUnknownOutcome: Commit was called, so a may be in the log.
func unknown(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return kv.Errorf(kv.ErrUnknownOutcome, "the database took too long to answer; the atomic write may or may not have "+
			"been committed, so read what it would have written before sending it again")
	}
	return err
}
