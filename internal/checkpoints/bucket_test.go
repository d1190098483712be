package checkpoints_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/internal/checkpoints"
	"github.com/millpondkv/millpond/kv"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	stream = "OBJ_millpond_checkpoints"
	first  = "6f1e3c9c-0d0f-4c55-8bd5-0a3d0b0c9a01"
	second = "6f1e3c9c-0d0f-4c55-8bd5-0a3d0b0c9a02"
)

// startNATS runs a NATS server on loopback.
func startNATS(t *testing.T) jetstream.JetStream {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(30 * time.Second) {
		t.Fatal("the NATS server does not start")
	}
	conn, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func open(t *testing.T, js jetstream.JetStream) *checkpoints.Bucket {
	t.Helper()
	b, err := checkpoints.Open(t.Context(), js, checkpoints.Config{Replicas: 1})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// contents returns bytes that fill some messages, and another one in part.
func contents(seed uint64) []byte {
	data := make([]byte, 20*(128<<10)+1234)
	rand.NewChaCha8([32]byte{byte(seed)}).Read(data)
	return data
}

func writes(at kv.Position, data []byte) func(io.Writer) (events.Chain, error) {
	return func(w io.Writer) (events.Chain, error) {
		_, err := io.Copy(w, bytes.NewReader(data))
		return events.Chain{Applied: at, Time: kv.Millis(at) * 1000}, err
	}
}

func put(t *testing.T, b *checkpoints.Bucket, id string, at kv.Position, data []byte) checkpoints.Info {
	t.Helper()
	info, err := b.Put(t.Context(), id, writes(at, data))
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func get(ctx context.Context, b *checkpoints.Bucket, id string, at kv.Position) ([]byte, error) {
	r, err := b.Get(ctx, id, at)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func list(t *testing.T, b *checkpoints.Bucket, id string) []checkpoints.Info {
	t.Helper()
	infos, err := b.List(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return infos
}

// messages returns how many messages the bucket has.
func messages(t *testing.T, js jetstream.JetStream) uint64 {
	t.Helper()
	s, err := js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().State.Msgs
}

func TestBucket(t *testing.T) {
	js := startNATS(t)
	if _, err := checkpoints.Open(t.Context(), js, checkpoints.Config{}); !errors.Is(err, checkpoints.ErrNone) {
		t.Fatalf("open a bucket that is not there: %v; want ErrNone", err)
	}
	b := open(t, js)
	if got := list(t, b, first); len(got) != 0 {
		t.Errorf("a new bucket has %v", got)
	}
	var want []checkpoints.Info
	for _, at := range []kv.Position{9, 10, 1 << 60} {
		want = append(want, put(t, b, first, at, contents(uint64(at))))
	}
	put(t, b, second, 9, contents(2))
	empty := put(t, b, second, 3, nil)

	again, err := checkpoints.Open(t.Context(), js, checkpoints.Config{})
	if err != nil {
		t.Fatal(err)
	}
	got := list(t, again, first)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("the list (-want +got):\n" + diff)
	}
	about := checkpoints.Info{Position: 10, Time: 10_000, Bytes: int64(len(contents(10)))}
	if diff := cmp.Diff(about, got[1], cmpopts.IgnoreFields(checkpoints.Info{}, "Taken")); diff != "" {
		t.Error("what is known of one (-want +got):\n" + diff)
	}
	for _, at := range []kv.Position{9, 10, 1 << 60} {
		if got, err := get(t.Context(), again, first, at); err != nil || !bytes.Equal(got, contents(uint64(at))) {
			t.Errorf("the checkpoint at %d has %d bytes, %v; want what was put", at, len(got), err)
		}
	}
	if got, err := get(t.Context(), again, second, empty.Position); err != nil || len(got) != 0 {
		t.Errorf("an empty one has %d bytes, %v", len(got), err)
	}

	if err := b.Delete(t.Context(), first, 10); err != nil {
		t.Fatal(err)
	}
	if err := b.Delete(t.Context(), first, 10); err != nil {
		t.Errorf("delete what is not there: %v", err)
	}
	if _, err := get(t.Context(), b, first, 10); !errors.Is(err, checkpoints.ErrNone) {
		t.Errorf("get a deleted one: %v; want ErrNone", err)
	}
	if got := list(t, b, first); len(got) != 2 {
		t.Errorf("after a deletion there are %v; want two", got)
	}
	for _, id := range []string{first, second} {
		for _, info := range list(t, b, id) {
			if err := b.Delete(t.Context(), id, info.Position); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := messages(t, js); n != 0 {
		t.Errorf("after all were deleted the bucket has %d messages", n)
	}
}

// A checkpoint does not change, whoever takes it once more.
func TestPutTwice(t *testing.T) {
	js := startNATS(t)
	b := open(t, js)
	want := put(t, b, first, 5, contents(5))
	before := messages(t, js)
	if got := put(t, b, first, 5, contents(6)); got != want {
		t.Errorf("put a second time: %v; want %v", got, want)
	}
	if got, err := get(t.Context(), b, first, 5); err != nil || !bytes.Equal(got, contents(5)) {
		t.Errorf("the checkpoint was changed: %d bytes, %v", len(got), err)
	}
	if n := messages(t, js); n != before {
		t.Errorf("there are %d messages; want %d", n, before)
	}
}

// A Put that fails leaves nothing; of one whose process ends, Sweep deletes what nobody writes any more, and nothing else.
func TestUnfinished(t *testing.T) {
	js := startNATS(t)
	b := open(t, js)
	put(t, b, first, 5, contents(5))
	before := messages(t, js)
	cause := errors.New("no more")
	_, err := b.Put(t.Context(), first, func(w io.Writer) (events.Chain, error) {
		w.Write(contents(1))
		return events.Chain{}, cause
	})
	if !errors.Is(err, cause) {
		t.Errorf("Put: %v; want %v", err, cause)
	}
	if n := messages(t, js); n != before {
		t.Errorf("a failed Put left %d messages", n-before)
	}

	for _, orphan := range []string{first + ".01JDH7Z0Q00000000000000000", first + ".what"} { // of 2024, and of nobody
		if _, err := js.Publish(t.Context(), "$O.millpond_checkpoints.C."+orphan, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Sweep(t.Context(), second, time.Now()); err != nil || messages(t, js) != before+2 {
		t.Errorf("sweeping another database: %v, %d messages more; want 2", err, messages(t, js)-before)
	}
	if err := b.Sweep(t.Context(), first, time.Now()); err != nil || messages(t, js) != before {
		t.Errorf("sweeping: %v, %d messages more; want none", err, messages(t, js)-before)
	}
	// What is written now is left to whoever writes it.
	_, err = b.Put(t.Context(), first, func(w io.Writer) (events.Chain, error) {
		w.Write(contents(6))
		return events.Chain{Applied: 6}, b.Sweep(t.Context(), first, time.Now())
	})
	if err != nil {
		t.Error(err)
	}
	if err := b.Sweep(t.Context(), first, time.Now().Add(1000*time.Hour)); err != nil {
		t.Fatal(err)
	}
	for _, at := range []kv.Position{5, 6} {
		if got, err := get(t.Context(), b, first, at); err != nil || !bytes.Equal(got, contents(uint64(at))) {
			t.Errorf("after sweeping, the checkpoint at %d: %d bytes, %v", at, len(got), err)
		}
	}
}

// What is lost of a checkpoint, or changed, is noticed before the end is read.
func TestDamaged(t *testing.T) {
	js := startNATS(t)
	b := open(t, js)
	put(t, b, first, 5, contents(5))
	s, err := js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	third, err := s.GetMsg(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteMsg(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	if _, err := get(t.Context(), b, first, 5); !errors.Is(err, checkpoints.ErrDamaged) {
		t.Errorf("a piece is missing: %v; want ErrDamaged", err)
	}
	if _, err := js.Publish(t.Context(), third.Subject, third.Data); err != nil {
		t.Fatal(err)
	}
	if _, err := get(t.Context(), b, first, 5); !errors.Is(err, checkpoints.ErrDamaged) {
		t.Errorf("the pieces are in another order: %v; want ErrDamaged", err)
	}
	if got := list(t, b, first); len(got) != 1 {
		t.Errorf("there are %v; want the one", got)
	}
}

// What changes between writing and reading back is not taken for a checkpoint.
func TestPutVerifies(t *testing.T) {
	js := startNATS(t)
	b := open(t, js)
	_, err := b.Put(t.Context(), first, func(w io.Writer) (events.Chain, error) {
		if _, err := w.Write(contents(5)); err != nil {
			return events.Chain{}, err
		}
		s, err := js.Stream(t.Context(), stream)
		if err != nil {
			return events.Chain{}, err
		}
		return events.Chain{Applied: 5}, s.DeleteMsg(t.Context(), 2)
	})
	if !errors.Is(err, checkpoints.ErrDamaged) {
		t.Errorf("Put: %v; want ErrDamaged", err)
	}
	if n := messages(t, js); n != 0 {
		t.Errorf("it left %d messages", n)
	}
}
