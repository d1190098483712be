package main

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/millpondkv/millpond/internal/fakeserver"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"millpond": main, "exits": exits})
}

// exits is the command "exits CODE millpond ARG..." of the scripts: it succeeds if the command line ends with that code.
func exits() {
	want, err := strconv.Atoi(os.Args[1])
	if err != nil {
		panic(err)
	}
	if got := run(context.Background(), os.Args[3:], os.Stdin, os.Stdout, os.Stderr); got != want {
		fmt.Fprintf(os.Stderr, "exit code %d, want %d\n", got, want)
		os.Exit(1)
	}
}

// Each script of testdata is a user at a terminal, with a server of its own.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("there are no scripts", err)
	}
	for _, file := range files {
		server := fakeserver.New(t)
		testscript.Run(t, testscript.Params{Files: []string{file}, Setup: func(env *testscript.Env) error {
			if err := makeSQLite(filepath.Join(env.WorkDir, "local.sqlite3")); err != nil {
				return err
			}
			other := fakeserver.New(t)
			env.Setenv("OTHER", other.URL)
			env.Setenv("MILLPOND_URL", server.URL)
			env.Setenv("MILLPOND_ACCESS_TOKEN", fakeserver.Token)
			env.Setenv("TOKEN", fakeserver.Token)
			env.Setenv("URL", server.URL)
			env.Setenv("GORACE", "atexit_sleep_ms=0") // the race detector would wait a second in every process
			return nil
		}})
	}
}

// makeSQLite makes a small file such as Deno's local KV has.
func makeSQLite(path string) error {
	db, err := sql.Open("sqlite", path)
	if err != nil {
		return err
	}
	_, err = db.Exec(`create table migration_state(k, version); insert into migration_state values (0, 3);
		create table kv(k blob, v blob, v_encoding, expiration_ms);
		insert into kv values (x'026100', x'FF1022026869', 1, -1), (x'026200', x'0700000000000000', 2, 4102444800000), (x'01', x'00', 3, -1);
		create table queue(ts, id, data, backoff_schedule, keys_if_undelivered); create table queue_running(id, data, backoff_schedule, keys_if_undelivered);
		insert into queue values (1, 'f00d', x'FF102201786F', '[]', '[]')`)
	return errors.Join(err, db.Close())
}

// An import that waits for more on stdin ends with an interrupt.
func TestImportInterrupted(t *testing.T) {
	server := fakeserver.New(t)
	millpond := func(stdin io.Reader, args ...string) int {
		args = append(args, "--url", server.URL, "--access-token", fakeserver.Token)
		return run(t.Context(), args, stdin, t.Output(), t.Output())
	}
	stdin, lines := io.Pipe()
	defer lines.Close()
	code := make(chan int)
	go func() { code <- millpond(stdin, "import", "-") }()
	if _, err := io.WriteString(lines, `{"key":[{"type":"string","value":"a"}],"value":{"type":"number","value":1}}`+"\n"); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGINT); err != nil { // it reads, so it can be interrupted
		t.Fatal(err)
	}
	if got := <-code; got != exitInterrupted {
		t.Errorf("exit code %d, want %d", got, exitInterrupted)
	}
}

// A watch shows what is there and what changes, until it is interrupted, which is exit code 130.
func TestWatchInterrupted(t *testing.T) {
	server := fakeserver.New(t)
	millpond := func(stdout io.Writer, args ...string) int {
		args = append(args, "--url", server.URL, "--access-token", fakeserver.Token)
		return run(t.Context(), args, strings.NewReader(""), stdout, t.Output())
	}
	for _, test := range []struct {
		format string
		want   []string
	}{
		{"table", []string{
			`KEY    VERSIONSTAMP          VALUE`,
			`["a"]  -                     -`, `["b"]  -                     -`,
			`["b"]  00000000000000010000  1`,
		}},
		{"json", []string{
			`{"key":[{"type":"string","value":"a"}],"value":null,"versionstamp":null}`,
			`{"key":[{"type":"string","value":"b"}],"value":{"type":"number","value":1},"versionstamp":"00000000000000010000"}`,
			`{"key":[{"type":"string","value":"b"}],"value":{"type":"number","value":1},"versionstamp":"00000000000000020000"}`,
		}},
	} {
		r, w := io.Pipe()
		code := make(chan int)
		go func() {
			code <- millpond(w, "watch", `["a"]`, `["b"]`, "-o", test.format)
			w.Close()
		}()
		lines := bufio.NewScanner(r)
		for i, want := range test.want {
			if !lines.Scan() || lines.Text() != want {
				t.Errorf("line %d: %q, want %q", i, lines.Text(), want)
			}
			if i == len(test.want)-2 && millpond(io.Discard, "set", `["b"]`, "1") != exitOK {
				t.Fatal("set failed")
			}
		}
		if err := syscall.Kill(os.Getpid(), syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		if got := <-code; got != exitInterrupted {
			t.Errorf("exit code %d, want %d", got, exitInterrupted)
		}
	}
}
