package client

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"iter"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kvconnect/datapath"
)

var errSilent = errors.New("the server sent nothing for too long")

func (c *connection) Watch(ctx context.Context, keys []kv.EncodedKey, _ freshness) iter.Seq2[[]kv.Entry, error] {
	return func(yield func([]kv.Entry, error) bool) {
		w := &watch{c: c, keys: keys, yield: yield}
		if err := w.run(ctx); err != nil {
			yield(nil, err)
		}
	}
}

// Feed is for the other transports: KV Connect has no request for it.
func (c *connection) Feed(context.Context, kv.Feed) iter.Seq2[kv.Changes, error] {
	return func(yield func(kv.Changes, error) bool) {
		yield(kv.Changes{}, kv.Invalidf("changes and watches by prefix need a nats:// URL or an embedded database: KV Connect has no request for them"))
	}
}

// watch is one loop over a Watch, with one connection after the other.
type watch struct {
	c     *connection
	keys  []kv.EncodedKey
	last  []kv.Entry // what was yielded last; nil: nothing yet
	yield func([]kv.Entry, error) bool
}

// run returns nil if the loop was left.
func (w *watch) run(ctx context.Context) error {
	req := &datapath.Watch{}
	for _, key := range w.keys {
		req.Keys = append(req.Keys, &datapath.WatchKey{Key: []byte(key)})
	}
	body, err := proto.Marshal(req)
	if err != nil {
		return kv.Invalidf("%v", err)
	}
	pause, renewed := newPause(w.c.now, -1, maxWatchPause), false
	for {
		session := w.c.current(ctx)
		if session.version < 3 {
			return kv.Invalidf("the server cannot watch keys: it speaks version 2 of the protocol")
		}
		frames, failed := w.stream(ctx, session, body)
		if frames > 0 {
			pause, renewed = newPause(w.c.now, -1, maxWatchPause), false
		}
		switch {
		case failed == nil:
			return nil
		case ctx.Err() != nil:
			return failed.failure.ended(ctx)
		case failed.verdict == stale && !renewed:
			_, err := w.c.renew(ctx, session)
			if err == nil {
				renewed = true
				continue
			}
			if !errors.Is(err, kv.ErrUnavailable) {
				return err
			}
		case failed.verdict != busy && failed.verdict != lost:
			return &failed.failure
		}
		w.c.log.WarnContext(ctx, "lost a watch, will connect again", "error", &failed.failure)
		if !pause.wait(ctx) {
			return failed.failure.ended(ctx)
		}
	}
}

// stream yields what comes over one connection, and returns how many frames came. A nil failure says that the loop was left.
func (w *watch) stream(ctx context.Context, s *session, body []byte) (frames int, failed *failedTry) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(w.c.silence, func() { cancel(errSilent) })
	defer silence.Stop()
	resp, failed := w.c.post(ctx, s, "watch", body, "application/octet-stream")
	if failed != nil {
		return 0, failed
	}
	defer resp.Body.Close()
	for r := bufio.NewReader(resp.Body); ; frames++ {
		silence.Reset(w.c.silence)
		frame, failed := w.c.readFrame(ctx, r)
		if failed != nil {
			return frames, failed
		}
		if len(frame) == 0 {
			continue // a ping
		}
		if failed := w.apply(frame); failed != nil {
			return frames, failed
		}
		silence.Stop() // while the caller works
		if !w.yield(w.last, nil) {
			return frames, nil
		}
	}
}

// readFrame reads a length (4 bytes, little-endian) and as many bytes.
func (c *connection) readFrame(ctx context.Context, r io.Reader) ([]byte, *failedTry) {
	var length [4]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, &failedTry{lost, *c.unreachable(ctx, err)}
	}
	n := binary.LittleEndian.Uint32(length[:])
	if n > maxFrame {
		return nil, garbledf("the server sent a watch frame of %d bytes; at most %d are expected", n, maxFrame)
	}
	frame := make([]byte, n)
	if _, err := io.ReadFull(r, frame); err != nil {
		return nil, &failedTry{lost, *c.unreachable(ctx, err)}
	}
	return frame, nil
}

// apply makes w.last what the frame says.
func (w *watch) apply(frame []byte) *failedTry {
	var out datapath.WatchOutput
	if err := proto.Unmarshal(frame, &out); err != nil {
		return garbledf("the server's watch frame is not one: %v", err)
	}
	if failed := readStatus(out.Status, false); failed != nil {
		return failed
	}
	if len(out.Keys) != len(w.keys) {
		return garbledf("the server's watch frame has %d of %d keys", len(out.Keys), len(w.keys))
	}
	entries := make([]kv.Entry, len(w.keys))
	for i, k := range out.Keys {
		entries[i].Key = w.keys[i]
		switch {
		case !k.Changed && w.last == nil:
			return garbledf("the server's first watch frame leaves out the entry of key %d", i)
		case !k.Changed:
			entries[i] = w.last[i]
		case k.EntryIfChanged != nil:
			entry, failed := decodeEntry(k.EntryIfChanged)
			if failed != nil {
				return failed
			}
			entry.Key = w.keys[i]
			entries[i] = entry
		}
	}
	w.last = entries
	return nil
}
