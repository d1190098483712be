package engine_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millpondkv/millpond/engine"
	"github.com/millpondkv/millpond/kv"
)

// short is an engine that keeps the log of a moment.
func short(t *testing.T, dir string) *engine.Engine {
	return mustOpen(t, engine.Config{Dir: dir, CreateDatabases: true, History: 200 * time.Millisecond, CheckpointBytes: 16 << 10})
}

// overwrite sets the same keys again and again until the log begins later than at first and done says that it is enough.
func overwrite(t *testing.T, db *engine.Database, done func(first, last kv.Position) bool) (n int) {
	t.Helper()
	value := strings.Repeat("v", 1000)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for ; ; n++ {
		for i := range 20 {
			mustSet(t, db, fmt.Sprint("key ", i), fmt.Sprint(n, value))
		}
		first, last, err := db.Log().Bounds(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if done(first, last) {
			return n
		}
	}
}

// The log of a database whose keys are overwritten for ever stays short; what it has lost, checkpoints have, also when those of the
// directory are gone.
func TestLogStaysShort(t *testing.T) {
	dir := t.TempDir()
	e := short(t, dir)
	db := mustDatabase(t, e, "d")
	trims, was := 0, kv.Position(1)
	n := overwrite(t, db, func(first, _ kv.Position) bool {
		if first != was {
			trims, was = trims+1, first
		}
		return trims >= 3
	})
	if err := db.Log().Check(t.Context()); err != nil {
		t.Error(err)
	}
	mustClose(t, e)

	if err := os.RemoveAll(filepath.Join(dir, "checkpoints")); err != nil {
		t.Fatal(err)
	}
	e = short(t, dir)
	defer mustClose(t, e)
	db = mustDatabase(t, e, "d")
	for i := range 20 {
		if got := get(t, db, fmt.Sprint("key ", i)); !strings.HasPrefix(got, fmt.Sprint(n, "v")) {
			t.Fatalf("after a start without the directory's checkpoints key %d is %.10q; want %d", i, got, n)
		}
	}
	mustSet(t, db, "k", "goes on")
}

// trimForEver overwrites keys of a database under dir with the shortest history, and prints how often each was written.
func trimForEver(dir string) {
	e, err := engine.Open(context.Background(), engine.Config{
		Dir: dir, CreateDatabases: true, Logger: slog.New(slog.DiscardHandler), History: 50 * time.Millisecond, CheckpointBytes: 1,
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	db, err := e.Database(context.Background(), "default")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for n := time.Now().UnixNano(); ; n++ {
		a := setting(fmt.Sprint(n), "a", "b")
		a.Enqueues = []kv.Enqueue{{Payload: []byte{0xff, 0x0f, '0'}}} // so that the queue does not hold the log
		if _, err := db.Commit(context.Background(), a); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		first, _, err := db.Log().Bounds(context.Background())
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(n, uint64(first))
	}
}

// kill -9 while checkpoints are taken and the log is trimmed as often as can be: the next start has what was acked, whether the
// directory's own checkpoints are there or not.
func TestKillWhileTrimming(t *testing.T) {
	dir := t.TempDir()
	trimmed := false
	for round := range 6 {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), trimDir+"="+dir)
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		enough := time.Now().Add(time.Duration(600+150*round) * time.Millisecond)
		acked, first := "", ""
		for lines := bufio.NewScanner(out); lines.Scan(); {
			acked, first, _ = strings.Cut(lines.Text(), " ")
			trimmed = trimmed || first != "1"
			if time.Now().After(enough) {
				child.Process.Kill()
			}
		}
		child.Wait()
		if round%2 == 1 {
			if err := os.RemoveAll(filepath.Join(dir, "checkpoints")); err != nil {
				t.Fatal(err)
			}
		}
		e := onDisk(t, dir)
		db := mustDatabase(t, e, "default")
		a, b := get(t, db, "a"), get(t, db, "b")
		if a != b || a < acked {
			t.Fatalf("round %d: a is %s and b is %s; want both at least %s, which was acked", round, a, b, acked)
		}
		if err := db.Log().Check(t.Context()); err != nil {
			t.Error(err)
		}
		mustClose(t, e)
	}
	if !trimmed {
		t.Error("the log was never trimmed")
	}
}
