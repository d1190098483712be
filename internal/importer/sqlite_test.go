package importer_test

import (
	"bufio"
	"bytes"
	"database/sql"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/internal/fakeserver"
	"github.com/millpondkv/millpond/internal/importer"
	"github.com/millpondkv/millpond/internal/ndjson"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kv/kvtest"
	"github.com/millpondkv/millpond/kv/v8/v8test"
)

// deno returns a command that runs a script with the real Deno.
func deno(t *testing.T, script string, args ...string) *exec.Cmd {
	t.Helper()
	command := append(v8test.Deno(t).Command, "--unstable-kv", script)
	cmd := exec.CommandContext(t.Context(), command[0], append(command[1:], args...)...)
	cmd.Env = append(os.Environ(), "DENO_KV_ACCESS_TOKEN="+fakeserver.Token)
	cmd.Stderr = t.Output()
	return cmd
}

// A file that real Deno wrote comes over with everything in it: Deno finds each value as it wrote it, expiry and messages
// included. Run again, the import has nothing to do.
func TestSQLiteOfDeno(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kv #1%.sqlite3")
	if out, err := deno(t, "testdata/write.ts", path).Output(); err != nil {
		t.Fatal(err, string(out))
	}
	r := newRig(t)
	counts := r.must(source(t, path), importer.Options{IfExists: importer.Fail})
	checkImported(t, r, counts)

	again := r.must(source(t, path), importer.Options{IfExists: importer.Fail})
	if again.Written != 0 || again.Messages != 0 || again.Same != counts.Written || again.Known != counts.Messages {
		t.Errorf("run again: %+v after %+v", again, counts)
	}
}

// A file that Deno has open, or had when it was killed, is read with what is in its write-ahead log.
func TestSQLiteInUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kv.sqlite3")
	writer := deno(t, "testdata/write.ts", path, "open")
	stdin, err1 := writer.StdinPipe()
	stdout, err2 := writer.StdoutPipe()
	if err := errors.Join(err1, err2, writer.Start()); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || line != "written\n" {
		t.Fatal(line, err)
	}
	r := newRig(t)
	checkImported(t, r, r.must(source(t, path), importer.Options{IfExists: importer.Fail}))

	stdin.Close()
	writer.Wait()
	if info, err := os.Stat(path + "-wal"); err != nil || info.Size() == 0 {
		t.Fatal("Deno was killed and has left no write-ahead log", err)
	}
	r = newRig(t)
	checkImported(t, r, r.must(source(t, path), importer.Options{IfExists: importer.Fail}))
}

// What Deno wrote goes through lines of JSON into another database, and Deno finds each value there as it wrote it.
func TestLinesOfDeno(t *testing.T) {
	from, to := newRig(t), newRig(t)
	if out, err := deno(t, "../../test/clients/deno/values.ts", from.server.URL, "write", "deno").Output(); err != nil {
		t.Fatal(string(out), err)
	}
	var lines []byte
	for e, err := range from.db.List(t.Context(), client.Selector{}) {
		if err != nil {
			t.Fatal(err)
		}
		lines = ndjson.Append(lines, ndjson.Entry(e))
	}
	counts := to.must(importer.FromNDJSON(bytes.NewReader(lines)), importer.Options{IfExists: importer.Fail})
	if counts.Lost != 0 || counts.Written < 40 {
		t.Errorf("imported: %+v, %v", counts, to.lost)
	}
	if out, err := deno(t, "../../test/clients/deno/values.ts", to.server.URL, "compare", "deno").Output(); err != nil || !strings.HasPrefix(string(out), "ok") {
		t.Errorf("Deno finds other values: %s, %v", out, err)
	}
}

func source(t *testing.T, path string) importer.Source {
	t.Helper()
	file, err := importer.OpenSQLite(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	})
	return file.Source(t.Context())
}

func checkImported(t *testing.T, r *rig, counts importer.Counts) {
	t.Helper()
	if counts.Lost != 0 || counts.Changed != 1 || counts.Messages != 3 || counts.Written < 340 {
		t.Errorf("imported: %+v, %v", counts, r.lost)
	}
	if out, err := deno(t, "../../test/clients/deno/values.ts", r.server.URL, "compare", "deno").Output(); err != nil || !strings.HasPrefix(string(out), "ok") {
		t.Errorf("Deno finds other values: %s, %v", out, err)
	}
	for key, want := range map[string]string{
		`["u64"]`: u64(1<<64 - 1), `["key", 1.5, -2n, true, new Uint8Array([0, 255])]`: `{"type":"string","value":"parts"}`,
		`["many", 299]`: `{"type":"object","value":{"i":{"type":"number","value":299}}}`,
	} {
		if got := r.entries()[key]; got != want {
			t.Errorf("%s is %s, want %s", key, got, want)
		}
	}
	r.server.SetNow(kv.MillisOf(time.Now().Add(2 * time.Hour)))
	if e, err := r.db.Get(t.Context(), kv.Key{"expires"}); err != nil || e.Exists() {
		t.Error("the entry has lost its expiry", err)
	}
	r.server.SetNow(0)
	if e, err := r.db.Get(t.Context(), kv.Key{"expires"}); err != nil || !e.Exists() {
		t.Error("the entry that expires later has not come over", err)
	}
	checkMessages(t, r)
}

func checkMessages(t *testing.T, r *rig) {
	t.Helper()
	messages := r.server.Messages()
	slices.SortFunc(messages, func(a, b kvtest.Message) int { return strings.Compare(string(b.Payload), string(a.Payload)) })
	var backoffs [][]uint32
	for _, m := range messages {
		backoffs = append(backoffs, m.BackoffSchedule)
		if wait := m.Deadline - kv.MillisOf(time.Now()); wait < 50*60_000 || wait > 121*60_000 {
			t.Errorf("a message is due in %d ms", wait)
		}
	}
	want := [][]uint32{{10, 20}, {100, 1000, 5000, 30000, 60000}, nil}
	if diff := cmp.Diff(want, backoffs); diff != "" {
		t.Error(diff)
	}
	if got := messages[0].KeysIfUndelivered; len(got) != 1 || got[0].String() != `["undelivered", 1n]` {
		t.Errorf("keys if undelivered: %v", got)
	}
}

// What is no database of Deno KV is refused in a sentence, and rows that are broken are named.
func TestSQLiteBroken(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte("something else"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "none"): "no such file", dir: "is not a file", text: "is not an SQLite database",
		makeDatabase(t, filepath.Join(dir, "other"), `create table t(k)`):                                                               "is not a database of Deno KV",
		makeDatabase(t, filepath.Join(dir, "old"), `create table migration_state(k, version); insert into migration_state values(0,2)`): "newer Deno",
		makeDatabase(t, filepath.Join(dir, "new"), `create table migration_state(k, version); insert into migration_state values(0,9)`): "run a newer one",
	} {
		if _, err := importer.OpenSQLite(t.Context(), path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
	broken := makeDatabase(t, filepath.Join(dir, "broken"), `create table migration_state(k, version); insert into migration_state values(0,3);
		create table kv(k, v, v_encoding, expiration_ms);
		insert into kv values(x'01', x'', 1, -1), (x'026100', x'00', 9, -1), (x'026200', x'00', 2, -1), (x'026300', x'FF0F30', 1, -1);
		create table queue(ts, id, data, backoff_schedule, keys_if_undelivered); create table queue_running(id, data, backoff_schedule, keys_if_undelivered);
		insert into queue values(1, 'm1', x'FF0F30', 'x', '[]'), (1, 'm2', x'FF0F30', '[1]', '[[1]]'), (1, 'm3', x'01', '[1]', '[]')`)
	r := newRig(t)
	counts := r.must(source(t, broken), importer.Options{IfExists: importer.Fail})
	if diff := cmp.Diff(importer.Counts{Written: 1, Lost: 6}, counts); diff != "" || len(r.lost) != 6 {
		t.Error(diff, r.lost)
	}
}

func makeDatabase(t *testing.T, path, schema string) string {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err == nil {
		_, err = db.ExecContext(t.Context(), schema)
	}
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

// A file that is opened while it is read as one that nobody has open is noticed.
func TestSQLiteChangedMeanwhile(t *testing.T) {
	path := makeDatabase(t, filepath.Join(t.TempDir(), "db"), `create table migration_state(k, version); insert into migration_state values(0,3);
		create table kv(k, v, v_encoding, expiration_ms); create table queue(ts, id, data, backoff_schedule, keys_if_undelivered);
		create table queue_running(id, data, backoff_schedule, keys_if_undelivered)`)
	all := source(t, path)
	makeDatabase(t, path, `insert into kv values(x'026300', x'FF0F30', 1, -1)`)
	if _, err := newRig(t).run(all, importer.Options{IfExists: importer.Fail}); err == nil || !strings.Contains(err.Error(), "opened by another program") {
		t.Errorf("ended with %v", err)
	}
}
