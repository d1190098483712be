package client_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kv/v8"
)

type user struct {
	Name   string    `json:"name"`
	Age    int       `json:"age"`
	Joined time.Time `json:"joined"`
}

var alice = user{"Alice", 42, time.UnixMilli(1706702400500).UTC()}

func mustSet(t *testing.T, db *client.DB, key kv.Key, value any) kv.Versionstamp {
	t.Helper()
	v, err := db.Set(t.Context(), key, value)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func mustGet[T any](t *testing.T, r client.Reader, key kv.Key) client.Entry[T] {
	t.Helper()
	e, err := client.Get[T](t.Context(), r, key)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// Each codec gives back what it was given, in the encoding that it says.
func TestCodecs(t *testing.T) {
	roundTrip := func(t *testing.T, c client.Codec, value any, target any, want kv.Encoding) {
		t.Helper()
		stored, err := c.Encode(value)
		if err != nil || stored.Encoding != want {
			t.Errorf("Encode(%v) = %v, %v; want %v", value, stored.Encoding, err, want)
		}
		if err := c.Decode(stored, target); err != nil {
			t.Errorf("Decode of %v: %v", value, err)
		}
	}
	t.Run("V8", func(t *testing.T) {
		var u user
		roundTrip(t, client.V8Codec{}, alice, &u, kv.EncodingV8)
		var b, absent []byte
		roundTrip(t, client.V8Codec{}, []byte("x"), &b, kv.EncodingBytes)
		roundTrip(t, client.V8Codec{}, []byte(nil), &absent, kv.EncodingV8)
		var natural any
		roundTrip(t, client.V8Codec{}, []byte("x"), &natural, kv.EncodingBytes)
		if diff := cmp.Diff([]any{alice, []byte("x"), []byte(nil), any([]byte("x"))}, []any{u, b, absent, natural}); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("JSON", func(t *testing.T) {
		var u user
		roundTrip(t, client.JSONCodec{}, alice, &u, kv.EncodingBytes)
		if diff := cmp.Diff(alice, u); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("Protobuf", func(t *testing.T) {
		var p *wrapperspb.StringValue
		var v wrapperspb.StringValue
		roundTrip(t, client.ProtobufCodec{}, wrapperspb.String("x"), &p, kv.EncodingBytes)
		roundTrip(t, client.ProtobufCodec{}, wrapperspb.String("y"), &v, kv.EncodingBytes)
		if p.GetValue() != "x" || v.GetValue() != "y" {
			t.Errorf("got %v and %v", p, &v)
		}
	})
	t.Run("Raw", func(t *testing.T) {
		var b []byte
		var s string
		roundTrip(t, client.RawCodec{}, []byte("x"), &b, kv.EncodingBytes)
		roundTrip(t, client.RawCodec{}, "y", &s, kv.EncodingBytes)
		if string(b) != "x" || s != "y" {
			t.Errorf("got %q and %q", b, s)
		}
	})
}

// What a codec cannot do is an error, not a panic.
func TestCodecErrors(t *testing.T) {
	number, err := client.V8(1.0)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []client.Codec{client.V8Codec{}, client.JSONCodec{}, client.ProtobufCodec{}, client.RawCodec{}} {
		if _, err := c.Encode(make(chan int)); err == nil {
			t.Errorf("%T encodes a channel", c)
		}
		for _, value := range []kv.Value{number, client.Bytes([]byte("{")), {Encoding: 9}} {
			if err := c.Decode(value, new(chan int)); err == nil {
				t.Errorf("%T decodes %v into a channel", c, value.Encoding)
			}
		}
	}
	if err := (client.ProtobufCodec{}).Decode(client.Bytes(nil), new(*user)); err == nil {
		t.Error("a user is a protobuf message")
	}
}

// All codecs store a kv.Value as it is, and read a U64 as a number.
func TestStoredValues(t *testing.T) {
	for _, c := range []client.Codec{client.V8Codec{}, client.JSONCodec{}, client.ProtobufCodec{}, client.RawCodec{}} {
		db, _ := open(t, client.WithCodec(c))
		key := kv.Key{"n"}
		mustSet(t, db, key, client.U64(math.MaxUint64))
		if n := mustGet[uint64](t, db, key); n.Value != math.MaxUint64 {
			t.Errorf("%T: got %v", c, n)
		}
		if n := mustGet[any](t, db, key); n.Value != any(uint64(math.MaxUint64)) {
			t.Errorf("%T: got %v", c, n)
		}
		if v := mustGet[kv.Value](t, db, key); v.Value.Encoding != kv.EncodingLE64 {
			t.Errorf("%T: got %v", c, v)
		}
		mustSet(t, db, kv.Key{"few"}, client.U64(7))
		if n := mustGet[float64](t, db, kv.Key{"few"}); n.Value != 7 {
			t.Errorf("%T: got %v", c, n)
		}
		_, err := client.Get[int8](t.Context(), db, key)
		if err == nil || !strings.Contains(err.Error(), `the value of ["n"]: decode V8 value: the bigint 18446744073709551615 does not fit the Go type int8`) {
			t.Errorf("%T: %v", c, err)
		}
	}
}

// A codec is the database's for all that is typed.
func TestWithCodec(t *testing.T) {
	db, server := open(t, client.WithCodec(client.ProtobufCodec{}))
	key := kv.Key{"message"}
	mustSet(t, db, key, wrapperspb.String("x"))
	if e := mustGet[*wrapperspb.StringValue](t, db, key); e.Value.GetValue() != "x" {
		t.Errorf("got %v", e)
	}
	var back wrapperspb.StringValue
	if err := proto.Unmarshal(mustGet[[]byte](t, openAt(t, server.URL), key).Value, &back); err != nil || back.GetValue() != "x" {
		t.Errorf("the bytes are %v, %v", &back, err)
	}
}

// An atomic takes Go values. What cannot be encoded is returned by Commit, names the field, and nothing is written.
func TestAtomicValues(t *testing.T) {
	db, server := open(t)
	first := mustGet[user](t, db, kv.Key{"alice"})
	_, err := db.Atomic().
		Check(first).
		Set(first.Key, alice, client.ExpireIn(time.Hour)).
		SetVersionstamped(kv.Key{"log"}, map[string]any{"by": "alice"}).
		SumValue(kv.Key{"n"}, 1.5, client.SumBounds{Max: 2, Clamp: true}).
		SumValue(kv.Key{"n"}, 1, client.SumBounds{Min: 0.5, Max: 2, Clamp: true}).
		Enqueue(alice, client.EnqueueOptions{}).
		Commit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	second := mustGet[user](t, db, first.Key)
	if diff := cmp.Diff(alice, second.Value); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if n := mustGet[float64](t, db, kv.Key{"n"}); n.Value != 2 {
		t.Errorf("the clamped sum is %v, want 2", n.Value)
	}
	var payload user
	if err := v8.Unmarshal(server.Messages()[0].Payload, &payload); err != nil || payload != alice {
		t.Errorf("the message is %v, %v", payload, err)
	}
	if _, err := db.Atomic().Check(first).Set(first.Key, alice).Commit(t.Context()); !errors.Is(err, client.ErrCheckFailed) {
		t.Errorf("a second commit on the first read: %v", err)
	}

	bad := map[string]any{"orders": []any{func() {}}}
	for what, a := range map[string]*client.Atomic{
		"mutation 1": db.Atomic().Delete(first.Key).Set(first.Key, bad),
		`["alice"]`:  db.Atomic().SumValue(first.Key, bad, client.SumBounds{}),
		"enqueue 0":  db.Atomic().Delete(first.Key).Enqueue(bad, client.EnqueueOptions{}),
	} {
		_, err := a.Commit(t.Context())
		want := what + ": encode V8 value: orders[0]: the Go type func() has no counterpart in JavaScript"
		var field *v8.FieldError
		if !errors.Is(err, kv.ErrInvalid) || err.Error() != want || !errors.As(err, &field) {
			t.Errorf("got %v\nwant %s", err, want)
		}
	}
	if again := mustGet[user](t, db, first.Key); again.Versionstamp != second.Versionstamp {
		t.Error("a failed atomic has changed something")
	}
}
