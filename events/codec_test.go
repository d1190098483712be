package events

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/millpondkv/millpond/kv"
	"github.com/oklog/ulid/v2"
	"pgregory.net/rapid"
)

// Nil and empty lists are one, except that an empty backoff schedule says "no retries" and none says "the default".
var sameRecord = cmp.Options{
	cmp.Comparer(func(a, b kv.Value) bool { return a.Encoding == b.Encoding && bytes.Equal(a.Data, b.Data) }),
	cmp.Comparer(func(a, b kv.Enqueue) bool {
		return bytes.Equal(a.Payload, b.Payload) && a.Deadline == b.Deadline &&
			cmp.Equal(a.KeysIfUndelivered, b.KeysIfUndelivered, cmpopts.EquateEmpty()) &&
			cmp.Equal(a.BackoffSchedule, b.BackoffSchedule)
	}),
	cmpopts.EquateEmpty(),
}

func genRecord(t *rapid.T) *Record {
	r := &Record{
		Kind:  rapid.SampledFrom([]Kind{KindCommits, KindEpoch}).Draw(t, "kind"),
		Epoch: kv.Position(rapid.Uint64().Draw(t, "epoch")),
		Time:  kv.Millis(rapid.Int64Min(0).Draw(t, "time")),
	}
	copy(r.Previous[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "previous"))
	if r.Kind == KindEpoch {
		r.Writer = genULID(t)
		r.Lease = time.Duration(rapid.Int64Range(0, MaxLease.Milliseconds()).Draw(t, "lease")) * time.Millisecond
		return r
	}
	r.Commits = rapid.SliceOfN(rapid.Custom(genCommit), 0, 5).Draw(t, "commits")
	return r
}

func genULID(t *rapid.T) ulid.ULID {
	return ulid.ULID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "ulid"))
}

func genCommit(t *rapid.T) Commit {
	return Commit{
		ID:       genULID(t),
		Effects:  rapid.SliceOfN(rapid.Custom(genEffect), 0, 5).Draw(t, "effects"),
		Enqueues: rapid.SliceOfN(rapid.Custom(genEnqueue), 0, 3).Draw(t, "enqueues"),
	}
}

func genEffect(t *rapid.T) Effect {
	e := Effect{Key: kv.EncodedKey(rapid.SliceOf(rapid.Byte()).Draw(t, "key")), Delete: rapid.Bool().Draw(t, "delete")}
	if !e.Delete {
		e.Value.Encoding = rapid.SampledFrom([]kv.Encoding{kv.EncodingV8, kv.EncodingLE64, kv.EncodingBytes}).Draw(t, "encoding")
		e.Value.Data = rapid.SliceOf(rapid.Byte()).Draw(t, "data")
		e.ExpireAt = kv.Millis(rapid.Int64Min(0).Draw(t, "expiry"))
	}
	return e
}

func genEnqueue(t *rapid.T) kv.Enqueue {
	q := kv.Enqueue{
		Payload:  rapid.SliceOf(rapid.Byte()).Draw(t, "payload"),
		Deadline: kv.Millis(rapid.Int64Min(0).Draw(t, "deadline")),
	}
	for range rapid.IntRange(0, kv.MaxUndeliveredKeys).Draw(t, "undelivered") {
		q.KeysIfUndelivered = append(q.KeysIfUndelivered, kv.EncodedKey(rapid.SliceOf(rapid.Byte()).Draw(t, "key")))
	}
	if rapid.Bool().Draw(t, "scheduled") {
		q.BackoffSchedule = append([]uint32{}, rapid.SliceOfN(rapid.Uint32(), 0, kv.MaxBackoffSteps).Draw(t, "schedule")...)
	}
	return q
}

// A record reads back as it was written, and takes no more bytes than was foretold.
func TestRecordRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := genRecord(t)
		data := want.Encode()
		if len(data) > want.EncodedSize() {
			t.Fatalf("%d bytes; at most %d were foretold", len(data), want.EncodedSize())
		}
		got, err := Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(got, want, sameRecord); diff != "" {
			t.Errorf("got (-), want (+):\n%s", diff)
		}
	})
}

// Each flipped bit of a record is noticed, and so is each cut.
func TestDamageIsNoticed(t *testing.T) {
	data := golden().Encode()
	for bit := range len(data) * 8 {
		damaged := bytes.Clone(data)
		damaged[bit/8] ^= 1 << (bit % 8)
		if _, err := Decode(damaged); !errors.Is(err, ErrCorrupt) {
			t.Errorf("bit %d flipped: %v; want ErrCorrupt", bit, err)
		}
	}
	for n := range data {
		if _, err := Decode(data[:n]); !errors.Is(err, ErrCorrupt) {
			t.Errorf("cut to %d bytes: %v; want ErrCorrupt", n, err)
		}
	}
}

// A record of a later format is refused as such, not called damaged.
func TestNewerFormat(t *testing.T) {
	for name, change := range map[string]func([]byte){
		"version": func(b []byte) { b[0] = formatLease + 1 },
		"kind":    func(b []byte) { b[1] = 77 },
	} {
		data := golden().Encode()
		change(data)
		if _, err := Decode(reseal(data)); !errors.Is(err, ErrNewerFormat) {
			t.Errorf("%s: %v; want ErrNewerFormat", name, err)
		}
	}
}

// Whatever the bytes, decoding ends with a record that reads back, or an error.
func FuzzDecode(f *testing.F) {
	f.Add(golden().Encode())
	f.Add((&Record{Kind: KindEpoch, Time: 1}).Encode())
	f.Add(leased().Encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < headerSize+checksumSize {
			return
		}
		r, err := Decode(reseal(bytes.Clone(data))) // with a good checksum, so that the body is reached
		if err != nil {
			return
		}
		again, err := Decode(r.Encode())
		if err != nil {
			t.Fatalf("encoded again: %v", err)
		}
		if diff := cmp.Diff(again, r, sameRecord); diff != "" {
			t.Errorf("got (-), want (+):\n%s", diff)
		}
	})
}
