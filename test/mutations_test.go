package test

import (
	"bytes"
	"math/big"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millpondkv/millpond/kv"
	dp "github.com/millpondkv/millpond/kvconnect/datapath"
)

// Sums with bounds, which Deno and Node do not send: beyond them is an error, or the bound with clamp.
func TestBoundedSums(t *testing.T) {
	s := startServer(t)
	w := dial(t, s.url(""))
	bounded := func(operand, least, most any, clamp bool) *dp.Mutation {
		m := sum(key("n"), js(operand))
		m.SumMin, m.SumMax, m.SumClamp = js(least).Data, js(most).Data, clamp
		return m
	}
	w.commit(set(key("n"), js(5.0)))
	w.commit(bounded(100.0, -10.0, 10.0, true))
	if got := decode(t, w.get(key("n"))); got != 10.0 {
		t.Errorf("5+100 clamped to 10: got %v", got)
	}
	w.commit(bounded(-100.0, -10.0, 10.0, true))
	if got := decode(t, w.get(key("n"))); got != -10.0 {
		t.Errorf("10-100 clamped to -10: got %v", got)
	}
	w.commit(bounded(0.5, -10.0, 10.0, false))
	if err := w.tryCommit(t.Context(), bounded(-1.0, -10.0, 10.0, false)); err == nil {
		t.Error("-9.5-1 with the bound -10 was committed, want an error")
	}
	if got := decode(t, w.get(key("n"))); got != -9.5 {
		t.Errorf("got %v, want -9.5", got)
	}

	large := new(big.Int).Lsh(big.NewInt(1), 200)
	w.commit(set(key("n"), js(large)), bounded(big.NewInt(1), big.NewInt(0), large, true))
	if got := decode(t, w.get(key("n"))).(*big.Int); got.Cmp(large) != 0 {
		t.Errorf("2^200+1 clamped to 2^200: got %v", got)
	}
}

// An atomic whose checks do not all hold says which, and writes nothing.
func TestFailedChecks(t *testing.T) {
	s := startServer(t)
	w := dial(t, s.url(""))
	stamp := w.commit(set(key("a"), js("a")))
	absent := func(k []byte) *dp.Check { return &dp.Check{Key: k} }
	at := func(k []byte, stamp []byte) *dp.Check { return &dp.Check{Key: k, Versionstamp: stamp} }
	zero := make([]byte, 10)

	out := w.write(&dp.AtomicWrite{
		Checks: []*dp.Check{
			at(key("a"), stamp[:]), absent(key("a")), absent(key("b")), at(key("b"), stamp[:]), at(key("b"), zero),
		},
		Mutations: []*dp.Mutation{set(key("c"), js("never"))},
	})
	if diff := cmp.Diff([]uint32{1, 3, 4}, out.FailedChecks); diff != "" || out.Status != dp.AtomicWriteStatus_AW_CHECK_FAILURE {
		t.Errorf("got %v; failed checks (-want +got):\n%s", out, diff)
	}
	if e := w.get(key("c")); e != nil {
		t.Errorf("an atomic that failed wrote %v", e)
	}
}

// A versionstamp suffix adds the commit's versionstamp to the key as a string, with the value and the expiry it asks for.
func TestVersionstampSuffix(t *testing.T) {
	s := startServer(t)
	w := dial(t, s.url(""))
	lasting := mutation(dp.MutationType_M_SET_SUFFIX_VERSIONSTAMPED_KEY, key("log"), js("lasting"))
	first := w.commit(lasting, set(key("other"), js(1.0)))
	brief := mutation(dp.MutationType_M_SET_SUFFIX_VERSIONSTAMPED_KEY, key("log"), js("brief"))
	brief.ExpireAtMs = time.Now().UnixMilli() + 300
	second := w.commit(brief)

	if got := decode(t, w.get(key("log", first.String()))); got != "lasting" {
		t.Errorf("got %v, want lasting", got)
	}
	eventually(t, time.Minute, "the brief entry is gone", func() bool { return w.get(key("log", second.String())) == nil })
	if now := time.Now().UnixMilli(); now < brief.ExpireAtMs {
		t.Errorf("the brief entry was gone %d ms before its time", brief.ExpireAtMs-now)
	}
	if got := w.list(key("log")); len(got) != 1 {
		t.Errorf("got %d entries in the end, want the lasting one", len(got))
	}
}

// A key that has expired is gone at its millisecond for every kind of request, and stays gone when the server has
// crashed and started again.
func TestExpiredKeysStayGone(t *testing.T) {
	s := startServer(t)
	w := dial(t, s.url(""))
	brief := set(key("brief"), u64(40))
	brief.ExpireAtMs = time.Now().UnixMilli() + 1000
	late := set(key("later"), js("expires while the server is down"))
	late.ExpireAtMs = brief.ExpireAtMs + 500
	stamp := w.commit(brief)
	w.commit(late, set(key("lasting"), js("stays")))
	for w.get(key("brief")) != nil {
		if now := time.Now().UnixMilli(); now > brief.ExpireAtMs+60_000 {
			t.Fatal("the key is still there a minute after its time")
		}
	}
	if now := time.Now().UnixMilli(); now < brief.ExpireAtMs {
		t.Errorf("the key was gone %d ms before its time", brief.ExpireAtMs-now)
	}

	s.kill()
	eventually(t, time.Minute, "the other key's time has come", func() bool { return time.Now().UnixMilli() >= late.ExpireAtMs })
	s.start()
	w = dial(t, s.url(""))
	if got := w.list(nil); len(got) != 1 || !bytes.Equal(got[0].Key, key("lasting")) {
		t.Errorf("after a crash there are %v, want only the lasting key", got)
	}
	out := w.write(&dp.AtomicWrite{Checks: []*dp.Check{{Key: key("brief"), Versionstamp: stamp[:]}, {Key: key("later")}}})
	if diff := cmp.Diff([]uint32{0}, out.FailedChecks); diff != "" {
		t.Errorf("checks of expired keys that failed (-want +got):\n%s", diff)
	}
	w.commit(sum(key("brief"), u64(2)))
	if got := decode(t, w.get(key("brief"))); got != uint64(2) {
		t.Errorf("a sum on an expired key: got %v, want 2", got)
	}
}

// A message is accepted together with the mutations of its atomic, and survives a restart of the server with them.
func TestEnqueueIsAccepted(t *testing.T) {
	s := startServer(t)
	w := dial(t, s.url(""))
	message := &dp.Enqueue{
		Payload: js("hello").Data, DeadlineMs: time.Now().UnixMilli() + 3_600_000,
		KeysIfUndelivered: [][]byte{key("undelivered")}, BackoffSchedule: []uint32{100, 200},
	}
	out := w.write(&dp.AtomicWrite{Mutations: []*dp.Mutation{set(key("a"), js("b"))}, Enqueues: []*dp.Enqueue{message}})
	if out.Status != dp.AtomicWriteStatus_AW_SUCCESS {
		t.Fatalf("got %v, want a commit", out)
	}
	s.kill()
	s.start()
	w = dial(t, s.url(""))
	if e := w.get(key("a")); e == nil || kv.Versionstamp(e.Versionstamp) != kv.Versionstamp(out.Versionstamp) {
		t.Errorf("after a crash the commit's entry is %v, want versionstamp %x", e, out.Versionstamp)
	}
}
