package client_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kv/v8"
)

// number returns a JavaScript number.
func number(t *testing.T, f float64) kv.Value {
	t.Helper()
	value, err := client.V8(f)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// Every mutation arrives as what it is.
func TestAtomicMutations(t *testing.T) {
	db, _ := open(t)
	n, low, high, kept, sum := kv.Key{"n"}, kv.Key{"low"}, kv.Key{"high"}, kv.Key{"log"}, kv.Key{"sum"}
	set(t, db, kv.Key{"old"}, "x")
	for range 2 {
		_, err := db.Atomic().
			Set(kv.Key{"new"}, text("y")).
			Delete(kv.Key{"old"}).
			Sum(n, 3).Min(low, 5).Min(low, 4).Max(high, 5).Max(high, 6).
			SumValue(sum, number(t, 1.5), client.SumBounds{Max: number(t, 2), Clamp: true}).
			SetVersionstamped(kept, text("z")).
			Commit(t.Context())
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []struct {
		key   kv.Key
		value kv.Value
	}{
		{kv.Key{"new"}, text("y")}, {kv.Key{"old"}, kv.Value{}}, {n, client.U64(6)}, {low, client.U64(4)}, {high, client.U64(6)},
	} {
		if diff := cmp.Diff(want.value, get(t, db, want.key).Value); diff != "" {
			t.Errorf("%v (-want +got):\n%s", want.key, diff)
		}
	}
	if got, err := v8.Decode(get(t, db, sum).Value.Data); got != 2.0 || err != nil {
		t.Errorf("the clamped sum is %v, %v, want 2", got, err)
	}
	for entry, err := range db.List(t.Context(), client.Selector{Prefix: kept}) {
		if err != nil || entry.Key[1] != entry.Versionstamp.String() {
			t.Errorf("the versionstamped key is %v at %v, %v", entry.Key, entry.Versionstamp, err)
		}
	}
	if got := len(keysOf(t, db, client.Selector{Prefix: kept})); got != 2 {
		t.Errorf("%d versionstamped keys, want 2", got)
	}
}

// An entry that was read, present or absent, guards a commit; a failed check names its key and writes nothing.
func TestAtomicChecks(t *testing.T) {
	db, _ := open(t)
	alice, bob := kv.Key{"alice"}, kv.Key{"bob"}
	set(t, db, alice, "1")
	present, absent := get(t, db, alice), get(t, db, bob)
	commit := func(conditions ...client.Condition) error {
		_, err := db.Atomic().Check(conditions...).Set(alice, text("2")).Commit(t.Context())
		return err
	}
	if err := commit(present, absent, client.At(alice, present.Versionstamp), client.Absent(bob)); err != nil {
		t.Errorf("all checks hold, but: %v", err)
	}
	err := commit(absent, present, client.Absent(alice), client.At(bob, kv.Versionstamp{}))
	var failed *client.CheckError
	if !errors.As(err, &failed) || !errors.Is(err, client.ErrCheckFailed) {
		t.Fatalf("commit: %v, want a CheckError", err)
	}
	want := &client.CheckError{Failed: []int{1, 2, 3}, Keys: []kv.Key{alice, alice, bob}}
	if diff := cmp.Diff(want, failed); diff != "" {
		t.Error("failed checks (-want +got):\n" + diff)
	}
	if got, want := err.Error(), `nothing was written: the checks of [["alice"] ["alice"] ["bob"]] did not hold`; got != want {
		t.Errorf("error = %s, want %s", got, want)
	}
}

// A message is enqueued with its commit.
func TestAtomicEnqueue(t *testing.T) {
	db, server := open(t)
	payload := number(t, 1)
	before := kv.MillisOf(time.Now())
	v, err := db.Atomic().Enqueue(payload, client.EnqueueOptions{
		Delay: time.Hour, Backoff: []time.Duration{time.Second, time.Minute}, KeysIfUndelivered: []kv.Key{{"dead"}},
	}).Commit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := server.Messages()
	if len(got) != 1 || got[0].Versionstamp != v || got[0].Deadline < before+3_600_000 {
		t.Fatalf("messages: %v", got)
	}
	want := kv.Enqueue{
		Payload: payload.Data, Deadline: got[0].Deadline, BackoffSchedule: []uint32{1000, 60_000},
		KeysIfUndelivered: []kv.EncodedKey{kv.Key{"dead"}.MustEncode()},
	}
	if diff := cmp.Diff(want, got[0].Enqueue); diff != "" {
		t.Error("message (-want +got):\n" + diff)
	}
}

// The first mistake in the chain is Commit's error and nothing is sent; what the server finds wrong is told in its words.
func TestAtomicErrors(t *testing.T) {
	db, server := open(t)
	bad, good := kv.Key{"a", nil}, kv.Key{"a"}
	for _, test := range []struct {
		atomic *client.Atomic
		want   string
	}{
		{db.Atomic().Set(good, text("x")).Delete(bad).Set(kv.Key{3i}, text("y")),
			"mutation 1: key part 1 is of type nil; use string, []byte, bool, *big.Int, a float or an integer"},
		{db.Atomic().Set(bad, text("x")), "key part 1 is of type nil; use string, []byte, bool, *big.Int, a float or an integer"},
		{db.Atomic().Set(good, text("x"), client.ExpireAt(time.Time{})), `["a"]: ExpireAt got the zero time; leave it out for an entry that does not expire`},
		{db.Atomic().Check(client.Absent(bad)), "check 0: key part 1 is of type nil; use string, []byte, bool, *big.Int, a float or an integer"},
		{db.Atomic().Enqueue(client.U64(1), client.EnqueueOptions{}), "enqueue 0: the payload is LE64; it must be V8 or bytes"},
		{db.Atomic().Enqueue(number(t, 1), client.EnqueueOptions{Backoff: []time.Duration{-1}}), "enqueue 0: the backoff -1ns is not from 0 to 1h0m0s"},
		{db.Atomic().Enqueue(number(t, 1), client.EnqueueOptions{KeysIfUndelivered: []kv.Key{bad}}),
			"enqueue 0: key part 1 is of type nil; use string, []byte, bool, *big.Int, a float or an integer"},
	} {
		if _, err := test.atomic.Commit(t.Context()); !errors.Is(err, kv.ErrInvalid) || err.Error() != test.want {
			t.Errorf("error %v, want %s", err, test.want)
		}
	}
	if n := server.Requests("/atomic_write"); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
	set(t, db, good, "x")
	_, err := db.Atomic().Sum(good, 1).Commit(t.Context())
	if want := `["a"]: Failed to perform 'sum' mutation on a non-U64 value in the database`; !errors.Is(err, kv.ErrInvalid) || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}
