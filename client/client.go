package client

import (
	"context"
	"sync"
	"time"

	"github.com/millpondkv/millpond/kv"
)

// DB is a database. Its methods may be called from many goroutines.
type DB struct {
	transport   transport
	now         func() time.Time
	consistency Consistency // of reads
	codec       Codec
	calls       *calls // shared with all that WithConsistency has returned
}

// calls are those in flight.
type calls struct {
	closed  context.Context // done once Close was called, with ErrClosed as its cause
	close   context.CancelCauseFunc
	mu      sync.RWMutex // orders running.Add, under its read lock, before running.Wait
	running sync.WaitGroup
}

// Open connects to the database at url, such as "http://127.0.0.1:4512", "http://127.0.0.1:4512/orders" for Millpond's
// database orders, or "https://api.deno.com/databases/UUID/connect". It asks the server once and fails if that does not
// answer: with kv.ErrInvalid for a URL that cannot be used, kv.ErrUnauthorized, kv.ErrNoDatabase or kv.ErrUnavailable. The
// context is for Open only.
//
// A URL such as "nats://10.0.0.1,10.0.0.2:4223/orders" names the NATS servers of a Millpond cluster, one or more, and a
// database; "default" if there is none. "tls://" is the same with TLS; a user and a password, or a token, may stand before the
// first server and hold for all.
func Open(ctx context.Context, url string, opts ...Option) (*DB, error) {
	o := defaultOptions()
	for _, opt := range opts {
		opt(&o)
	}
	dial := connect
	if isNATS(url) {
		dial = connectNATS
	}
	t, err := dial(ctx, url, o)
	if err != nil {
		return nil, err
	}
	db := newDB(t, o.now)
	db.codec = o.codec
	return db, nil
}

func newDB(t transport, now func() time.Time) *DB {
	closed, cancel := context.WithCancelCause(context.Background())
	return &DB{transport: t, now: now, codec: V8Codec{}, calls: &calls{closed: closed, close: cancel}}
}

// Close ends the calls and watches in flight, waits for them and frees the connections. Calls that come later fail with
// ErrClosed. It always returns nil; closing twice is harmless.
//
// A loop over a watch must not call Close itself: break out of the loop first.
func (db *DB) Close() error {
	db.calls.mu.Lock()
	db.calls.close(ErrClosed)
	db.calls.mu.Unlock()
	db.calls.running.Wait()
	db.transport.Close()
	return nil
}

// enter starts a call that is not ended by Close, which waits for it. The caller must call running.Done at its end.
func (c *calls) enter() error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed.Err() != nil {
		return ErrClosed
	}
	c.running.Add(1)
	return nil
}

// begin starts a call: its context ends with ctx or when db is closed. The caller must call done at its end.
func (db *DB) begin(ctx context.Context) (_ context.Context, done func(), err error) {
	c := db.calls
	if err := c.enter(); err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(c.closed, func() { cancel(ErrClosed) })
	return ctx, func() {
		stop()
		cancel(nil)
		c.running.Done()
	}, nil
}

// read is Read of the transport as a call.
func (db *DB) read(ctx context.Context, ranges []kv.Range) ([][]kv.Entry, error) {
	if l, ok := db.transport.(*local); ok { // it takes no time to speak of
		if err := db.calls.enter(); err != nil {
			return nil, err
		}
		defer db.calls.running.Done()
		return l.Read(ctx, ranges, db.consistency)
	}
	ctx, done, err := db.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	return db.transport.Read(ctx, ranges, db.consistency)
}
