package test

import (
	"context"
	"testing"
	"time"

	"github.com/millpondkv/millpond/kv"
	dp "github.com/millpondkv/millpond/kvconnect/datapath"
)

// However often the server is killed under the load of several writers, no acknowledged commit is lost, nothing that was
// deleted, refused or expired comes back, and no commit is there by half. A stop between the kills makes the next start
// one from a checkpoint; a kill during a start must not matter either.
func TestKillUnderLoad(t *testing.T) {
	const commits = 300
	s := startServer(t)
	ctx, cancel := context.WithTimeout(t.Context(), programWait)
	defer cancel()
	deno := startDenoWriter(ctx, t, s.url(""), "deno")
	writers := newWriters(6)
	for _, end := range []func(){s.kill, s.kill, s.stop, s.kill, s.kill} {
		l := startLoad(t, s.url(""), writers)
		deno.proceed(ctx, commits/4)
		l.await(t, commits)
		end()
		l.done.Wait()
		s.launch()
		s.kill()
		s.start()
		l.verify(t, s.url(""))
	}
	deno.proceed(ctx, commits)
	deno.verify(t, s.url(""))
}

// SIGTERM under load ends the server with exit code 0 and loses no acknowledged commit either.
func TestStopUnderLoad(t *testing.T) {
	const rounds, commits = 2, 150
	s := startServer(t)
	ctx, cancel := context.WithTimeout(t.Context(), programWait)
	defer cancel()
	deno := startDenoWriter(ctx, t, s.url(""), "deno")
	writers := newWriters(6)
	for range rounds {
		l := startLoad(t, s.url(""), writers)
		deno.proceed(ctx, commits/2)
		l.await(t, commits)
		s.stop()
		l.done.Wait()
		s.start()
		l.verify(t, s.url(""))
	}
	deno.proceed(ctx, commits)
	deno.verify(t, s.url(""))
}

// Versionstamps go on growing after a crash and after a stop: none is given twice.
func TestVersionstampsGrowOverRestarts(t *testing.T) {
	s := startServer(t)
	var last kv.Versionstamp
	for i, end := range []func(){s.kill, s.stop, s.kill, s.stop} {
		w := dial(t, s.url(""))
		for range 20 {
			stamp := w.commit(set(key("a"), js("a")))
			if stamp.String() <= last.String() {
				t.Fatalf("start %d: the versionstamp %v came after %v", i, stamp, last)
			}
			last = stamp
		}
		end()
		s.start()
	}
	out := dial(t, s.url("")).write(&dp.AtomicWrite{Checks: []*dp.Check{{Key: key("a"), Versionstamp: last[:]}}})
	if out.Status != dp.AtomicWriteStatus_AW_SUCCESS {
		t.Errorf("a check of the last versionstamp: got %v, want a commit", out)
	}
}

// await waits until the writers have been told of n commits.
func (l *load) await(t *testing.T, n int64) {
	t.Helper()
	eventually(t, time.Minute, "the writers have committed", func() bool { return l.acked.Load() >= n })
}

func (l *load) verify(t *testing.T, url string) {
	t.Helper()
	database := dial(t, url)
	for _, w := range l.writers {
		w.verify(t, database)
	}
	if refused := database.list(key("never")); len(refused) > 0 {
		t.Errorf("%d entries are there that were refused, the first %v", len(refused), refused[0])
	}
}
