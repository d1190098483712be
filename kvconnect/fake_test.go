package kvconnect_test

import (
	"context"
	"sync"
	"time"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kv/kvtest"
	"github.com/millpondkv/millpond/kvconnect"
)

// fakeDatabases is a set of databases, or the error that it fails with.
type fakeDatabases struct {
	databases map[string]*fakeDatabase
	eventual  *eventualDatabase // the one that is found, if set
	err       error
	creates   bool // absent ones, when asked to; not for concurrent requests
}

func (f *fakeDatabases) Database(_ context.Context, name string, create bool) (kvconnect.Database, error) {
	if f.err != nil {
		return nil, f.err
	}
	if f.eventual != nil {
		return f.eventual, nil
	}
	if db, ok := f.databases[name]; ok {
		return db, nil
	}
	if create && f.creates {
		f.databases[name] = newFakeDatabase(databaseID)
		return f.databases[name], nil
	}
	return nil, kv.Errorf(kv.ErrNoDatabase, "there is no database %q", name)
}

// fakeDatabase is the model behind a lock. Its hooks, if set, replace what it does.
type fakeDatabase struct {
	id string

	read   func(context.Context, []kv.Range) ([][]kv.Entry, error)
	commit func(context.Context, *kv.Atomic) (kv.CommitResult, error)
	watch  func([]kv.EncodedKey) kvconnect.Watch

	mu       sync.Mutex
	model    *kvtest.Model
	position kv.Position
	changed  chan struct{} // closed and replaced with each commit
}

func newFakeDatabase(id string) *fakeDatabase {
	return &fakeDatabase{id: id, model: kvtest.New(), changed: make(chan struct{})}
}

// eventualDatabase has a snapshot for eventual reads that stays as it is.
type eventualDatabase struct {
	*fakeDatabase
	old [][]kv.Entry
}

func (f *eventualDatabase) ReadEventual(context.Context, []kv.Range) ([][]kv.Entry, error) {
	return f.old, nil
}

func (f *fakeDatabase) ID() string { return f.id }

func (f *fakeDatabase) Read(ctx context.Context, ranges []kv.Range) ([][]kv.Entry, error) {
	if f.read != nil {
		return f.read(ctx, ranges)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.model.Read(ranges, kv.MillisOf(time.Now())), nil
}

func (f *fakeDatabase) Commit(ctx context.Context, a *kv.Atomic) (kv.CommitResult, error) {
	if f.commit != nil {
		return f.commit(ctx, a)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.position++
	result, err := f.model.Commit(a, kv.MillisOf(time.Now()), kv.NewVersionstamp(f.position, 0))
	close(f.changed)
	f.changed = make(chan struct{})
	return result, err
}

func (f *fakeDatabase) Watch(keys []kv.EncodedKey) kvconnect.Watch {
	if f.watch != nil {
		return f.watch(keys)
	}
	return &fakeWatch{db: f, keys: keys}
}

// fakeWatch shows the keys after every commit.
type fakeWatch struct {
	db   *fakeDatabase
	keys []kv.EncodedKey
	next chan struct{} // closed when there is something to show; nil: at once
}

func (w *fakeWatch) Next(ctx context.Context) ([]kv.Entry, error) {
	if w.next != nil {
		select {
		case <-w.next:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	w.db.mu.Lock()
	defer w.db.mu.Unlock()
	w.next = w.db.changed
	var entries []kv.Entry
	for _, key := range w.keys {
		got := w.db.model.Read([]kv.Range{{Start: key, End: key + "\x00", Limit: 1}}, kv.MillisOf(time.Now()))[0]
		entries = append(entries, append(got, kv.Entry{Key: key})[0])
	}
	return entries, nil
}

func (w *fakeWatch) Close() {}
