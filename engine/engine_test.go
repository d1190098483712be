package engine_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millpondkv/millpond/engine"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kv/kvtest"
	"github.com/oklog/ulid/v2"
	"go.uber.org/goleak"
)

// childDir names the environment variable that makes this program a child which commits until it is killed.
const childDir = "MILLPOND_TEST_CHILD_DIR"

// trimDir is the same for a child whose log is trimmed meanwhile.
const trimDir = "MILLPOND_TEST_TRIM_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		commitForEver(dir)
	}
	if dir := os.Getenv(trimDir); dir != "" {
		trimForEver(dir)
	}
	code := m.Run()
	if err := noGoroutines(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// noGoroutines waits until engines that were closed have left no goroutine. A closed BuntDB's looks once a second whether
// it may end.
func noGoroutines() (err error) {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		if err = goleak.Find(); err == nil { // it tries for a while itself
			break
		}
	}
	return err
}

func mustOpen(t *testing.T, c engine.Config) *engine.Engine {
	t.Helper()
	c.Logger = slog.New(slog.DiscardHandler)
	e, err := engine.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close(context.Background()) })
	return e
}

// onDisk opens an engine on dir that makes databases.
func onDisk(t *testing.T, dir string) *engine.Engine {
	return mustOpen(t, engine.Config{Dir: dir, CreateDatabases: true})
}

func mustDatabase(t *testing.T, e *engine.Engine, name string) *engine.Database {
	t.Helper()
	db, err := e.Database(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func mustClose(t *testing.T, e *engine.Engine) {
	t.Helper()
	if err := e.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func setting(value string, keys ...string) *kv.Atomic {
	a := &kv.Atomic{}
	for _, k := range keys {
		a.Mutations = append(a.Mutations, kv.Mutation{
			Type: kv.MutationSet, Key: kv.Key{k}.MustEncode(), Value: kv.Value{Encoding: kv.EncodingBytes, Data: []byte(value)},
		})
	}
	return a
}

func mustSet(t *testing.T, db *engine.Database, key, value string) {
	t.Helper()
	if result, err := db.Commit(t.Context(), setting(value, key)); err != nil || !result.OK() {
		t.Fatalf("set: %+v, %v", result, err)
	}
}

// get returns the text at key, or "-".
func get(t *testing.T, db *engine.Database, key string) string {
	t.Helper()
	k := kv.Key{key}.MustEncode()
	found, err := db.Read(t.Context(), []kv.Range{{Start: k, End: k + "\x00", Limit: 1}})
	if err != nil {
		t.Fatal(err)
	}
	if len(found[0]) == 0 {
		return "-"
	}
	return string(found[0][0].Value.Data)
}

// clocked is a database with a clock that the test sets.
type clocked struct {
	*engine.Database
	now *atomic.Int64
}

func (c clocked) SetNow(now kv.Millis) { c.now.Store(int64(now)) }

func withClock(t *testing.T) clocked {
	var now atomic.Int64
	e := mustOpen(t, engine.Config{Memory: true, CreateDatabases: true, Now: func() time.Time { return time.UnixMilli(now.Load()) }})
	return clocked{mustDatabase(t, e, "default"), &now}
}

// The whole engine, real log included, keeps Deno KV's rules and does what the model does.
func TestRules(t *testing.T)  { kvtest.Rules(t, withClock(t)) }
func TestRandom(t *testing.T) { kvtest.Random(t, withClock(t), 1, 200) }

// Databases have their own keys and UUIDs, and keep both when the directory is opened again.
func TestReopen(t *testing.T) {
	dir := t.TempDir()
	e := onDisk(t, dir)
	ids := map[string]string{}
	for _, name := range []string{"default", "orders", "a-b_c"} {
		db := mustDatabase(t, e, name)
		ids[name] = db.ID()
		mustSet(t, db, "name", name)
	}
	mustClose(t, e)
	e = onDisk(t, dir)
	for name, id := range ids {
		db := mustDatabase(t, e, name)
		if db.ID() != id || get(t, db, "name") != name {
			t.Errorf("%q has the UUID %s and %q; want %s and its name", name, db.ID(), get(t, db, "name"), id)
		}
	}
	if len(ids) != 3 || ids["default"] == ids["orders"] {
		t.Errorf("UUIDs %v; want them different", ids)
	}
	if err := e.Ready(); err != nil {
		t.Errorf("Ready: %v", err)
	}
}

// What was committed under an id is not committed again, also after a restart.
func TestCommitOnce(t *testing.T) {
	dir := t.TempDir()
	e := onDisk(t, dir)
	db, id := mustDatabase(t, e, "default"), ulid.MustNew(1, nil)
	first, err := db.CommitOnce(t.Context(), id, setting("once", "k"))
	if err != nil {
		t.Fatal(err)
	}
	mustSet(t, db, "k", "later")
	mustClose(t, e)
	e = onDisk(t, dir)
	db = mustDatabase(t, e, "default")
	if again, err := db.CommitOnce(t.Context(), id, setting("once", "k")); err != nil || again.Versionstamp != first.Versionstamp || get(t, db, "k") != "later" {
		t.Errorf("again: %v, %v, and k is %s; want the versionstamp %v and what was set later", again, err, get(t, db, "k"), first.Versionstamp)
	}
	if _, err := db.CommitOnce(t.Context(), ulid.MustNew(2, nil), setting("twice", "k")); err != nil || get(t, db, "k") != "twice" {
		t.Errorf("with another id: %v, and k is %s", err, get(t, db, "k"))
	}
}

// Without CreateDatabases only those exist that were made before.
func TestNoSuchDatabase(t *testing.T) {
	dir := t.TempDir()
	e := onDisk(t, dir)
	mustSet(t, mustDatabase(t, e, "orders"), "k", "v")
	mustClose(t, e)
	e = mustOpen(t, engine.Config{Dir: dir})
	for range 2 {
		if _, err := e.Database(t.Context(), "users"); !errors.Is(err, kv.ErrNoDatabase) {
			t.Errorf("got %v; want ErrNoDatabase", err)
		}
	}
	if got := get(t, mustDatabase(t, e, "orders"), "k"); got != "v" {
		t.Errorf("got %q; want v", got)
	}
}

// Existing makes no database, and finds those that were made: in this life and in one before.
func TestExisting(t *testing.T) {
	dir := t.TempDir()
	e := onDisk(t, dir)
	for range 2 {
		if _, err := e.Existing(t.Context(), "orders"); !errors.Is(err, kv.ErrNoDatabase) {
			t.Fatalf("got %v; want ErrNoDatabase", err)
		}
	}
	want := mustDatabase(t, e, "orders")
	if got, err := e.Existing(t.Context(), "orders"); got != want || err != nil {
		t.Errorf("got %p, %v; want %p", got, err, want)
	}
	mustClose(t, e)
	e = onDisk(t, dir)
	if got, err := e.Existing(t.Context(), "orders"); err != nil || got.ID() != want.ID() {
		t.Errorf("after a restart: %v, %v; want the id %s", got, err, want.ID())
	}
	if _, err := e.Existing(t.Context(), "users"); !errors.Is(err, kv.ErrNoDatabase) {
		t.Errorf("got %v; want ErrNoDatabase", err)
	}
}

// Whoever comes first opens a database, and all others get the same one.
func TestConcurrentFirstUse(t *testing.T) {
	e := mustOpen(t, engine.Config{Memory: true, CreateDatabases: true})
	var wg sync.WaitGroup
	var got [16]*engine.Database
	for i := range got {
		wg.Go(func() {
			db, err := e.Database(t.Context(), "orders")
			if err != nil {
				t.Error(err)
				return
			}
			got[i] = db
			mustSet(t, db, fmt.Sprint(i), "v")
		})
	}
	wg.Wait()
	for i, db := range got {
		if db != got[0] || get(t, db, fmt.Sprint(i)) != "v" {
			t.Errorf("caller %d has a database of its own, or its key is lost", i)
		}
	}
}

// Close while commits, reads and first uses run: whatever was acked is there after the next start, what was answered with
// an error that says so is not, and nobody hangs or panics.
func TestCloseAmidWork(t *testing.T) {
	dir := t.TempDir()
	e := onDisk(t, dir)
	db := mustDatabase(t, e, "default")
	var wg sync.WaitGroup
	var acked, refused sync.Map
	started := make(chan struct{}, 1000)
	for i := range 4 {
		wg.Go(func() {
			for j := 0; ; j++ {
				k := fmt.Sprintf("%d-%d", i, j)
				_, err := db.Commit(context.Background(), setting(k, k))
				if err != nil {
					if !errors.Is(err, kv.ErrUnavailable) {
						t.Errorf("commit: %v; want ErrUnavailable", err)
					}
					refused.Store(k, true)
					return
				}
				acked.Store(k, true)
				select {
				case started <- struct{}{}:
				default:
				}
			}
		})
		wg.Go(func() {
			for j := range 3 {
				if _, err := e.Database(context.Background(), fmt.Sprintf("new-%d-%d", i, j)); err != nil {
					if !errors.Is(err, kv.ErrUnavailable) {
						t.Errorf("first use: %v; want ErrUnavailable", err)
					}
					return
				}
			}
		})
	}
	wg.Go(func() {
		for ; ; runtime.Gosched() {
			if _, err := db.Read(context.Background(), []kv.Range{{Start: "", End: "\xff", Limit: 10}}); err != nil {
				if !errors.Is(err, kv.ErrUnavailable) {
					t.Errorf("read: %v; want ErrUnavailable", err)
				}
				return
			}
		}
	})
	for range 200 {
		<-started
	}
	mustClose(t, e)
	wg.Wait()
	mustClose(t, e) // again: nothing happens

	db = mustDatabase(t, onDisk(t, dir), "default")
	acked.Range(func(k, _ any) bool {
		if got := get(t, db, k.(string)); got != k {
			t.Errorf("%v was acked and is %q", k, got)
		}
		return true
	})
	refused.Range(func(k, _ any) bool {
		if got := get(t, db, k.(string)); got != "-" {
			t.Errorf("%v was refused and is %q", k, got)
		}
		return true
	})
}

// commitForEver sets keys in a database under dir from several goroutines and prints each once it is acked.
func commitForEver(dir string) {
	e, err := engine.Open(context.Background(), engine.Config{
		Dir: dir, CreateDatabases: true, Logger: slog.New(slog.DiscardHandler), CheckpointBytes: 1,
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
	for i := range 16 {
		go func() {
			for j := 0; ; j++ {
				k := fmt.Sprintf("%d-%d-%d", os.Getpid(), i, j)
				if _, err := db.Commit(context.Background(), setting(k, k, k+" twin")); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				fmt.Println(k)
			}
		}()
	}
	select {}
}

// kill -9 amid commits, several times over: everything that was acked is there after the next start, every commit is there
// whole or not at all.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	var acked []string
	for range 3 {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), childDir+"="+dir)
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			acked = append(acked, lines.Text())
			if n == 300 {
				child.Process.Kill() // what it has printed until then is read on
			}
		}
		child.Wait()
	}
	db := mustDatabase(t, onDisk(t, dir), "default")
	for _, k := range acked {
		if got := get(t, db, k); got != k {
			t.Errorf("%s was acked and is %q", k, got)
		}
	}
	for r := (kv.Range{Start: "", End: "\xff", Limit: kv.MaxReadEntries}); ; {
		found, err := db.Read(t.Context(), []kv.Range{r})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range found[0] {
			k := strings.TrimSuffix(string(e.Value.Data), " twin")
			if get(t, db, k) != k || get(t, db, k+" twin") != k {
				t.Errorf("half a commit: %s", k)
			}
		}
		if len(found[0]) < r.Limit {
			break
		}
		r.Start = found[0][r.Limit-1].Key + "\x00"
	}
	if len(acked) < 900 {
		t.Errorf("%d were acked; want 300 a child", len(acked))
	}
}

// An engine in memory leaves nothing behind.
func TestMemory(t *testing.T) {
	e := mustOpen(t, engine.Config{Memory: true, CreateDatabases: true})
	mustSet(t, mustDatabase(t, e, "default"), "k", "v")
	dir := e.Dir()
	mustClose(t, e)
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there: %v", dir, err)
	}
}

// A directory that another engine uses, that is of a newer format, or that is something else is refused with a sentence
// that names it and says what to do, and is left as it is.
func TestRefusedDirectories(t *testing.T) {
	write := func(name, contents string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(contents), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, test := range map[string]struct {
		prepare func(*testing.T, string)
		want    string
	}{
		"in use":           {func(t *testing.T, dir string) { onDisk(t, dir) }, "is in use, by a millpond server or by a program"},
		"newer format":     {write("millpond", "millpond data 2\n"), "run a newer one"},
		"something else":   {write("thesis.doc", "42"), "choose another directory"},
		"another millpond": {write("millpond", "\x7fELF"+strings.Repeat("x", 1<<20)), "choose another directory"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			test.prepare(t, dir)
			before, _ := os.ReadDir(dir)
			e, err := engine.Open(t.Context(), engine.Config{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
			if err == nil {
				e.Close(t.Context())
			}
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), dir) || len(err.Error()) > 400 {
				t.Errorf("got %.500v; want a sentence with %q", err, test.want)
			}
			if after, _ := os.ReadDir(dir); len(after) != len(before) {
				t.Errorf("it has %v; want it left as it was, %v", after, before)
			}
		})
	}
}

// A first start that was interrupted is no obstacle.
func TestInterruptedFirstStart(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"lock", "millpond.tmp"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	mustSet(t, mustDatabase(t, onDisk(t, dir), "default"), "k", "v")
}
