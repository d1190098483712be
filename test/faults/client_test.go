//go:build linux

package faults

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kv/v8"
	"github.com/millpondkv/millpond/projection"
	"github.com/millpondkv/millpond/test/check"
	"github.com/oklog/ulid/v2"
)

// What the clients do is small on purpose: few keys, which they fight for.
const (
	clients  = 6
	keys     = 5
	counters = 3
	accounts = 6
	balance  = 100 // of each account at first
	patience = 20 * time.Second
	pace     = 10 * time.Millisecond // between two operations of a client
)

func key(parts ...any) kv.EncodedKey { return append(kv.Key{"f"}, parts...).MustEncode() }

// everything is the range of all keys that the clients use.
var everything = func() kv.Range {
	prefix := key()
	return kv.Range{Start: prefix, End: prefix + "\xff", Limit: 1000}
}()

// endpoint is where requests go. Each call has one outcome, which the kind of its error tells.
type endpoint interface {
	commit(context.Context, *kv.Atomic) (kv.CommitResult, error)
	read(context.Context, kv.Range) ([]kv.Entry, error) // strong
}

// client does one thing after the other, each at some reader, and records what it was told.
type client struct {
	index   int
	chance  *rand.Rand
	readers []endpoint
	known   map[kv.EncodedKey]kv.Entry // as of its last read
	record  func(check.Operation)
}

// run works until ctx ends. What it has begun then, it finishes.
func (c *client) run(ctx context.Context) {
	for ctx.Err() == nil {
		at := c.readers[c.chance.IntN(len(c.readers))]
		bound := patience
		if c.chance.IntN(8) == 0 { // gives up early now and then
			bound = time.Duration(c.chance.Int64N(int64(500 * time.Millisecond)))
		}
		if c.chance.IntN(5) < 2 {
			c.read(at, bound)
		} else {
			c.commit(at, bound, c.randomAtomic)
		}
		select {
		case <-time.After(time.Duration(c.chance.Int64N(int64(2 * pace)))):
		case <-ctx.Done():
		}
	}
}

// commit sends an atomic, which marks itself with its id so that it can be found in the log.
func (c *client) commit(at endpoint, bound time.Duration, make func(ulid.ULID) *kv.Atomic) error {
	o := check.Operation{Client: c.index, Kind: check.Commit, ID: c.newID()}
	o.Atomic = make(o.ID)
	o.Atomic.Mutations = append(o.Atomic.Mutations, kv.Mutation{Type: kv.MutationSet, Key: key("mark", c.index), Value: valueOf(o.ID)})
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	o.Begin = time.Now()
	o.Result, o.Err = at.commit(ctx, o.Atomic)
	o.End = time.Now()
	c.record(o)
	if o.Err == nil && !o.Result.OK() {
		return errors.New("checks failed")
	}
	return o.Err
}

func (c *client) newID() (id ulid.ULID) {
	binary.LittleEndian.PutUint64(id[:], c.chance.Uint64())
	binary.LittleEndian.PutUint64(id[8:], c.chance.Uint64())
	return id
}

func valueOf(id ulid.ULID) kv.Value { return kv.Value{Encoding: kv.EncodingBytes, Data: id[:]} }

// identify finds the mark of a commit.
func identify(commit *events.Commit) (id ulid.ULID) {
	for _, e := range commit.Effects {
		if k, err := e.Key.Decode(); err == nil && len(k) == 3 && k[1] == "mark" {
			copy(id[:], e.Value.Data)
		}
	}
	return id
}

// read is a strong read of everything.
func (c *client) read(at endpoint, bound time.Duration) error {
	o := check.Operation{Client: c.index, Kind: check.Strong, Unplaced: true, Range: everything}
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	o.Begin = time.Now()
	entries, err := at.read(ctx, everything)
	o.End, o.Err = time.Now(), err
	o.Snapshot = projection.Snapshot{Entries: [][]kv.Entry{entries}}
	if c.record(o); err != nil {
		return err
	}
	c.known = map[kv.EncodedKey]kv.Entry{}
	for _, e := range entries {
		c.known[e.Key] = e
	}
	return nil
}

// randomAtomic compares and sets, transfers, counts, deletes, or cannot be done.
func (c *client) randomAtomic(id ulid.ULID) *kv.Atomic {
	k := key("k", c.chance.IntN(keys))
	one := kv.Value{Encoding: kv.EncodingLE64, Data: binary.LittleEndian.AppendUint64(nil, 1)}
	count := kv.Mutation{Type: kv.MutationSum, Key: key("n", c.chance.IntN(counters)), Value: one}
	set := kv.Mutation{Type: kv.MutationSet, Key: k, Value: valueOf(id)}
	switch c.chance.IntN(10) {
	case 0, 1, 2:
		return &kv.Atomic{Checks: []kv.Check{c.unchanged(k)}, Mutations: []kv.Mutation{set, count}}
	case 3, 4, 5:
		return c.transfer()
	case 6:
		return &kv.Atomic{Mutations: []kv.Mutation{{Type: kv.MutationDelete, Key: k}}}
	case 7:
		return &kv.Atomic{Mutations: []kv.Mutation{set, {Type: kv.MutationSum, Key: k, Value: one}}} // the sum of no number
	case 8:
		return &kv.Atomic{Mutations: []kv.Mutation{set}}
	}
	return &kv.Atomic{Mutations: []kv.Mutation{count}}
}

// unchanged checks that a key is as it was in the last read.
func (c *client) unchanged(k kv.EncodedKey) kv.Check {
	if e, ok := c.known[k]; ok {
		return kv.Check{Key: k, Versionstamp: &e.Versionstamp}
	}
	return kv.Check{Key: k}
}

// transfer moves some money between two accounts, as they were in the last read.
func (c *client) transfer() *kv.Atomic {
	from := c.chance.IntN(accounts)
	to := (from + 1 + c.chance.IntN(accounts-1)) % accounts
	a, b, amount := key("account", from), key("account", to), float64(1+c.chance.IntN(9))
	if c.known[a].Key == "" || c.known[b].Key == "" { // nothing was read yet
		return &kv.Atomic{}
	}
	return &kv.Atomic{
		Checks: []kv.Check{c.unchanged(a), c.unchanged(b)},
		Mutations: []kv.Mutation{
			{Type: kv.MutationSet, Key: a, Value: money(credit(c.known[a]) - amount)},
			{Type: kv.MutationSet, Key: b, Value: money(credit(c.known[b]) + amount)},
		},
	}
}

// deposit opens the accounts.
func deposit(ulid.ULID) *kv.Atomic {
	a := new(kv.Atomic)
	for i := range accounts {
		a.Mutations = append(a.Mutations, kv.Mutation{Type: kv.MutationSet, Key: key("account", i), Value: money(balance)})
	}
	return a
}

func money(n float64) kv.Value {
	data, err := v8.Encode(n)
	if err != nil {
		panic(err)
	}
	return kv.Value{Encoding: kv.EncodingV8, Data: data}
}

func credit(e kv.Entry) float64 {
	value, err := v8.Decode(e.Value.Data)
	if err != nil {
		panic(fmt.Sprintf("%v of %v: %v", e.Value, e.Key, err))
	}
	n, _ := value.(float64)
	return n
}

// load is clients at work.
type load struct {
	stop func() // returns when all have finished
}

func startLoad(clients []*client) load {
	ctx, cancel := context.WithCancel(context.Background())
	var working sync.WaitGroup
	for _, c := range clients {
		working.Go(func() { c.run(ctx) })
	}
	return load{func() { cancel(); working.Wait() }}
}

// count is an atomic that always commits.
func (c *client) count(ulid.ULID) *kv.Atomic {
	one := kv.Value{Encoding: kv.EncodingLE64, Data: binary.LittleEndian.AppendUint64(nil, 1)}
	return &kv.Atomic{Mutations: []kv.Mutation{{Type: kv.MutationSum, Key: key("n", 0), Value: one}}}
}
