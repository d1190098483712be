package client

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/service/wire"
)

// registerInput is a write of a value, or a read.
type registerInput struct {
	write bool
	value string
}

var register = porcupine.Model{
	Init: func() any { return "" },
	Step: func(state, input, output any) (bool, any) {
		in := input.(registerInput)
		if in.write {
			return true, in.value
		}
		return output.(string) == state.(string), state
	},
}

// What sessions read alone and strongly is linearizable, however the readers lag behind each other, and while the lead is handed
// over.
func TestNATSLinearizable(t *testing.T) {
	t.Run("lease", func(t *testing.T) { checkLinearizable(t, newNATSRig(t)) })
	t.Run("quorum", func(t *testing.T) {
		r := newNATSRig(t)
		r.quorum = true
		checkLinearizable(t, r)
	})
}

func checkLinearizable(t *testing.T, r *natsRig) {
	r.reader()
	r.reader()
	stop := r.writer()
	first := r.open()
	const sessions, rounds = 4, 150
	halfway := make(chan struct{})
	var mu sync.Mutex
	var history []porcupine.Operation
	var wg sync.WaitGroup
	for id := range sessions {
		db := first
		if id > 0 {
			db = r.open()
		}
		wg.Go(func() {
			for i := range rounds {
				if id == 0 && i == rounds/2 {
					close(halfway)
				}
				in, out := registerInput{write: rand.IntN(3) == 0, value: fmt.Sprint(id, " ", i)}, ""
				began := time.Now()
				if in.write {
					mustSet(t, db, kv.Key{"register"}, in.value)
				} else {
					e, err := db.Get(t.Context(), kv.Key{"register"})
					if err != nil {
						t.Error(err)
						return
					}
					out = string(e.Value.Data)
				}
				mu.Lock()
				history = append(history, porcupine.Operation{ClientId: id, Input: in, Output: out, Call: began.UnixNano(), Return: time.Now().UnixNano()})
				mu.Unlock()
			}
		})
	}
	<-halfway
	r.writer()
	stop()
	wg.Wait()
	if got := porcupine.CheckOperationsTimeout(register, history, time.Minute); got != porcupine.Ok {
		t.Errorf("%d operations are %v", len(history), got)
	}
}

// fakeCluster is a reader and a leader that answer as they are told.
type fakeCluster struct {
	t     *testing.T
	index func() []byte
	read  func(*wire.Reads) []byte // the body of the reply

	mu    sync.Mutex
	asked []string // reads, in their order
}

func (f *fakeCluster) open(opts ...Option) *DB {
	f.t.Helper()
	r := newNATSRig(f.t)
	conn, leader := r.dial(), randomID()
	for subject, answer := range map[string]func(*nats.Msg) []byte{
		wire.FindSubject("default"): func(*nats.Msg) []byte {
			return wire.EncodeFindReply(wire.Found{ID: "5b2e5d5e-0000-4000-8000-000000000000", Leader: leader, Epoch: 1, Position: 1}, nil)
		},
		wire.IndexSubject("default", leader): func(*nats.Msg) []byte { return f.index() },
		wire.ReadSubject("default"): func(m *nats.Msg) []byte {
			reads, err := wire.DecodeReads(m.Data)
			if err != nil || reads.Mode == wire.ReadIndexed && reads.Leader != leader {
				f.t.Errorf("%v, %v", reads, err)
				return nil
			}
			f.mu.Lock()
			defer f.mu.Unlock()
			f.asked = append(f.asked, fmt.Sprint([]string{"strong", "eventual", "indexed"}[reads.Mode], " ", reads.Least))
			return wire.Split(f.read(reads), wire.MinPayload)[0]
		},
	} {
		if _, err := conn.Subscribe(subject, func(m *nats.Msg) {
			if reply := answer(m); reply != nil {
				m.Respond(reply)
			}
		}); err != nil {
			f.t.Fatal(err)
		}
	}
	if err := conn.Flush(); err != nil {
		f.t.Fatal(err)
	}
	return r.open(opts...)
}

func encodeIndex(position kv.Position, now kv.Millis) func() []byte {
	return func() []byte { return wire.EncodeIndexReply(wire.Index{Position: position, Now: now}, nil) }
}

// A strong read takes what a reader has if that is not behind the read index, and hides by the index's time what has expired; in
// every other case it asks again, and whatever is amiss is left to a reader.
func TestNATSIndexedReads(t *testing.T) {
	stamp := kv.NewVersionstamp(3, 0)
	entry := func(part int, expires kv.Millis) kv.Entry {
		return kv.Entry{Key: kv.Key{"k", part}.MustEncode(), Value: kv.Value{Encoding: kv.EncodingBytes, Data: []byte{1}}, Versionstamp: stamp, ExpireAt: expires}
	}
	has := func(at kv.Position, entries ...kv.Entry) func(*wire.Reads) []byte {
		return func(reads *wire.Reads) []byte {
			shown := entries
			if reads.Mode == wire.ReadStrong {
				shown = entries[len(entries)-1:]
			}
			return wire.EncodeReadReplies(max(at, reads.Least), []wire.ReadReply{{Ranges: [][]kv.Entry{shown}}})
		}
	}
	refused := kv.Errorf(kv.ErrUnavailable, "refused")
	for _, test := range []struct {
		name  string
		index func() []byte
		read  func(*wire.Reads) []byte
		limit int
		want  string // the parts of the keys
		asked string
	}{
		{"in step", encodeIndex(5, 100), has(5, entry(1, 0)), 9, "[1]", "indexed 0"},
		{"the reader is ahead", encodeIndex(5, 100), has(7, entry(1, 0)), 9, "[1]", "indexed 0"},
		{"the reader is behind", encodeIndex(5, 100), has(4, entry(1, 0)), 9, "[1]", "indexed 0, indexed 5"},
		{"some have expired", encodeIndex(5, 100), has(5, entry(1, 100), entry(2, 101), entry(3, 0)), 9, "[2 3]", "indexed 0"},
		{"others may take their place", encodeIndex(5, 100), has(5, entry(1, 100), entry(2, 0)), 2, "[2]", "indexed 0, strong 5"},
		{"a full list, and none has expired", encodeIndex(5, 100), has(5, entry(1, 101), entry(2, 0)), 2, "[1 2]", "indexed 0"},
		{"the leader refuses", func() []byte { return wire.EncodeIndexReply(wire.Index{}, refused) }, has(5, entry(1, 0)), 9, "[1]", "indexed 0, strong 5"},
		{"the leader says what cannot be read", func() []byte { return []byte{9} }, has(5, entry(1, 0)), 9, "[1]", "indexed 0, strong 5"},
		{"the reader refuses", encodeIndex(5, 100), func(reads *wire.Reads) []byte {
			if reads.Mode == wire.ReadIndexed {
				return wire.EncodeReadRefusal(refused)
			}
			return has(5, entry(1, 0))(reads)
		}, 9, "[1]", "indexed 0, strong 0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := &fakeCluster{t: t, index: test.index, read: test.read}
			got, err := f.open().transport.Read(t.Context(), []kv.Range{{Start: "", End: "\xff", Limit: test.limit}}, freshness{})
			if err != nil {
				t.Fatal(err)
			}
			parts := []any{}
			for _, e := range got[0] {
				key, err := e.Key.Decode()
				if err != nil {
					t.Fatal(err)
				}
				parts = append(parts, key[1])
			}
			if diff := cmp.Diff([]string{fmt.Sprint(parts), strings.Join(f.asked, ", ")}, []string{test.want, test.asked}); diff != "" {
				t.Errorf("got (-), want (+):\n%s", diff)
			}
		})
	}
}

// An entry of its own that has expired by the index's time is absent; nothing can take its place.
func TestNATSIndexedReadOfAnExpiredKey(t *testing.T) {
	key := kv.Key{"k"}
	f := &fakeCluster{t: t, index: encodeIndex(5, 100), read: func(*wire.Reads) []byte {
		e := kv.Entry{Key: key.MustEncode(), Versionstamp: kv.NewVersionstamp(3, 0), ExpireAt: 100}
		return wire.EncodeReadReplies(5, []wire.ReadReply{{Ranges: [][]kv.Entry{{e}}}})
	}}
	if e, err := f.open().Get(t.Context(), key); err != nil || e.Exists() || len(f.asked) != 1 {
		t.Errorf("got %v, %v after %v", e, err, f.asked)
	}
}

// A client that NATS does not let ask the leader leaves it to the readers, from the first read on.
func TestNATSIndexNotAllowed(t *testing.T) {
	silent := make(chan struct{}, 10)
	f := &fakeCluster{t: t, index: func() []byte { silent <- struct{}{}; return nil }, read: func(*wire.Reads) []byte {
		return wire.EncodeReadReplies(5, []wire.ReadReply{{Ranges: [][]kv.Entry{nil}}})
	}}
	db := f.open()
	go func() {
		<-silent
		transport := db.transport.(*natsTransport)
		transport.heed(errors.New("another error"))
		transport.heed(fmt.Errorf(`%w: permissions violation for publish to "millpond.default.w.01.index"`, nats.ErrPermissionViolation))
	}()
	for range 2 {
		if _, err := db.Get(t.Context(), kv.Key{"k"}); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(f.asked, []string{"indexed 0", "strong 5", "strong 5"}); diff != "" {
		t.Errorf("asked (-), want (+):\n%s", diff)
	}
}
