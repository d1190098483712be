package client

import (
	"context"
	"sync"
	"time"

	"github.com/millpondkv/millpond/kv"
)

// DB is a database. Its methods may be called from many goroutines.
type DB struct {
	transport transport
	now       func() time.Time
	codec     Codec
	closed    context.Context // done once Close was called, with ErrClosed as its cause
	close     context.CancelCauseFunc
	calls     sync.WaitGroup // calls in flight
	mu        sync.Mutex     // orders calls.Add before calls.Wait
}

// Open connects to the database at url, such as "http://127.0.0.1:4512", "http://127.0.0.1:4512/orders" for Millpond's
// database orders, or "https://api.deno.com/databases/UUID/connect". It asks the server once and fails if that does not
// answer: with kv.ErrInvalid for a URL that cannot be used, kv.ErrUnauthorized, kv.ErrNoDatabase or kv.ErrUnavailable. The
// context is for Open only.
func Open(ctx context.Context, url string, opts ...Option) (*DB, error) {
	o := defaultOptions()
	for _, opt := range opts {
		opt(&o)
	}
	t, err := connect(ctx, url, o)
	if err != nil {
		return nil, err
	}
	db := newDB(t, o.now)
	db.codec = o.codec
	return db, nil
}

func newDB(t transport, now func() time.Time) *DB {
	closed, cancel := context.WithCancelCause(context.Background())
	return &DB{transport: t, now: now, codec: V8Codec{}, closed: closed, close: cancel}
}

// Close ends the calls and watches in flight, waits for them and frees the connections. Calls that come later fail with
// ErrClosed. It always returns nil; closing twice is harmless.
//
// A loop over a watch must not call Close itself: break out of the loop first.
func (db *DB) Close() error {
	db.mu.Lock()
	db.close(ErrClosed)
	db.mu.Unlock()
	db.calls.Wait()
	db.transport.Close()
	return nil
}

// begin starts a call: its context ends with ctx or when db is closed. The caller must call done at its end.
func (db *DB) begin(ctx context.Context) (_ context.Context, done func(), err error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.closed.Err() != nil {
		return nil, nil, ErrClosed
	}
	db.calls.Add(1)
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(db.closed, func() { cancel(ErrClosed) })
	return ctx, func() {
		stop()
		cancel(nil)
		db.calls.Done()
	}, nil
}

// read is Read of the transport as a call.
func (db *DB) read(ctx context.Context, ranges []kv.Range) ([][]kv.Entry, error) {
	ctx, done, err := db.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	return db.transport.Read(ctx, ranges)
}
