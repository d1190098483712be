package kvconnect

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/service/wire"
)

// EndpointHistory answers what was. KV Connect has no words for that, so it is Millpond's own: the messages are those of the service over
// NATS, the answer a stream of frames like a watch's.
const EndpointHistory Endpoint = "history"

// HistoryDatabase is a Database whose past can be asked for.
type HistoryDatabase interface {
	Database

	// History begins to answer, of every commit that was answered before the call. Its errors are those of Database.
	History(ctx context.Context, want kv.HistoryRead) (History, error)
}

// History is an answer about the past, used by one goroutine.
type History interface {
	// Next returns the next part, or io.EOF behind the last one. It may take long, and fails soon after ctx has ended. It fails with
	// kv.ErrGone if the past does not reach back so far, kv.ErrInvalid, and kv.ErrUnavailable.
	Next(ctx context.Context) (kv.HistoryPart, error)
}

// mostHistories bounds the answers about the past that are being given: each holds up to 32 MB.
const mostHistories = 16

// partTimeout is how long a client may take for a part of an answer. It may ask for the rest.
const partTimeout = time.Minute

// history answers POST /<name>/history.
func (s *Server) history(w *reply, r *http.Request, name string) error {
	if s.draining.Err() != nil {
		return errDraining
	}
	id, body, err := s.receive(r)
	if err != nil {
		return err
	}
	request, err := wire.DecodeHistory(body)
	if err == nil {
		err = request.Validate()
	}
	if err != nil {
		return err
	}
	db, err := s.database(r.Context(), name, id)
	if err != nil {
		return err
	}
	past, ok := db.(HistoryDatabase)
	if !ok {
		return kv.Invalidf("this server keeps no history")
	}
	select {
	case s.histories <- struct{}{}:
		defer func() { <-s.histories }()
	default:
		return kv.Errorf(kv.ErrUnavailable, "the server answers too many questions about the past; try again")
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.config.RequestTimeout)
	defer cancel()
	h, err := past.History(ctx, request.HistoryRead)
	if err != nil {
		return late(ctx, err)
	}
	return s.streamHistory(w, r, h)
}

// streamHistory sends the parts of an answer as frames, and pings while one is made. What goes wrong before the first one has a status;
// later it is a frame.
func (s *Server) streamHistory(w *reply, r *http.Request, h History) error {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.draining, cancel)()
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{}) // that of the server is for requests that end
	w.Header().Set("Content-Type", "application/octet-stream")
	for number := uint64(1); ; number++ {
		frame, last, err := s.nextFrame(ctx, cancel, w, control, h, number)
		if err != nil {
			return err
		}
		if err := sendFrame(w, control, frame); err != nil || last {
			return err
		}
	}
}

// nextFrame makes the next part, and sends pings until it is there. If the client is gone it cancels ctx.
func (s *Server) nextFrame(ctx context.Context, cancel func(), w *reply, control *http.ResponseController, h History, number uint64) (frame []byte, last bool, err error) {
	type made struct {
		part kv.HistoryPart
		err  error
	}
	making := make(chan made, 1)
	go func() {
		part, err := h.Next(ctx)
		making <- made{part, err}
	}()
	silence := time.NewTicker(pingInterval)
	defer silence.Stop()
	for {
		select {
		case m := <-making:
			return s.frameOf(w, m.part, m.err, number)
		case <-silence.C:
			if err := sendFrame(w, control, nil); err != nil {
				cancel()
				<-making
				return nil, false, err
			}
		}
	}
}

func (s *Server) frameOf(w *reply, part kv.HistoryPart, err error, number uint64) (frame []byte, last bool, _ error) {
	switch {
	case err == nil, err == io.EOF:
		p := wire.HistoryPart{Number: number, Last: err == io.EOF, HistoryPart: part}
		return p.Encode(), p.Last, nil
	case s.draining.Err() != nil:
		err = errDraining
	}
	if _, _, expected := statusOf(err); !w.begun || !expected || errors.Is(err, context.Canceled) {
		return nil, false, err
	}
	return wire.EncodeHistoryError(err), true, nil
}

// sendFrame sends a frame: its length (4 bytes, little-endian) and its bytes; an empty one is a ping.
func sendFrame(w *reply, control *http.ResponseController, frame []byte) error {
	_ = control.SetWriteDeadline(time.Now().Add(partTimeout))
	_, err := w.Write(append(binary.LittleEndian.AppendUint32(make([]byte, 0, 4+len(frame)), uint32(len(frame))), frame...))
	if err != nil || control.Flush() != nil {
		return errClientGone
	}
	return nil
}
