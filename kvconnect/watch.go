package kvconnect

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/millpondkv/millpond/kv"
)

// pingInterval is how long a watch is silent before it sends an empty frame, as in denokv.
const pingInterval = 5 * time.Second

// watch answers POST /<name>/watch: a stream of frames, each the entries of all watched keys from one snapshot. It goes
// on until the client leaves, the server drains or the watch fails. The answer begins with the first entries, or with a
// ping if they take longer than pingInterval, so that what goes wrong before has a status. A client that does not read
// holds up only its own watch: what changes meanwhile comes as one frame.
//
// The handler's goroutine is all that a watch costs here.
func (s *Server) watch(w *reply, r *http.Request, name string) error {
	if s.draining.Err() != nil {
		return errDraining
	}
	id, body, err := s.receive(r)
	if err != nil {
		return err
	}
	keys, err := decodeWatch(body)
	if err != nil {
		return err
	}
	if err := kv.ValidateWatch(keys); err != nil {
		return err
	}
	db, err := s.database(r.Context(), name, id)
	if err != nil {
		return err
	}
	s.watches.Add(1)
	defer s.watches.Add(-1)
	watch := db.Watch(keys)
	defer watch.Close()
	return s.stream(w, r, watch)
}

var errDraining = kv.Errorf(kv.ErrUnavailable, "the server is shutting down; try again")

// stream sends what the watch shows until it ends. It returns nil when the stream has ended cleanly.
func (s *Server) stream(w *reply, r *http.Request, watch Watch) error {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.draining, cancel)()

	control := http.NewResponseController(w)
	// The server's timeouts for reading and writing are for requests that end.
	_ = control.SetReadDeadline(time.Time{})
	_ = control.SetWriteDeadline(time.Time{})
	w.Header().Set("Content-Type", "application/octet-stream")
	for {
		entries, err := next(ctx, watch)
		var sent error
		switch {
		case err == nil:
			sent = writeWatchFrame(w, entries)
		case errors.Is(err, errSilent):
			_, sent = w.Write(ping)
		case s.draining.Err() != nil && w.begun:
			return nil
		case s.draining.Err() != nil:
			return errDraining
		default:
			return err
		}
		if sent != nil || control.Flush() != nil {
			return errClientGone
		}
	}
}

// ping is a frame of length 0.
var ping = []byte{0, 0, 0, 0}

var errSilent = errors.New("nothing has changed")

// next waits for the watch to show something, and fails with errSilent after pingInterval.
func next(ctx context.Context, watch Watch) ([]kv.Entry, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, pingInterval, errSilent)
	defer cancel()
	entries, err := watch.Next(ctx)
	if err != nil && context.Cause(ctx) == errSilent {
		return nil, errSilent
	}
	return entries, err
}
