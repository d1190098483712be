package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/millpondkv/millpond/engine"
	"github.com/millpondkv/millpond/kv"
)

// Each script of testdata/backup is an operator with a data directory, "data", of a server that has been stopped; $FIRST and $SECOND
// are the versionstamps of two commits of its database, of which the first was made before the first backup, and the second after it.
func TestBackupScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/backup/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("there are no scripts", err)
	}
	for _, file := range files {
		identity, err := age.GenerateX25519Identity()
		if err != nil {
			t.Fatal(err)
		}
		store := s3mem.New()
		if err := store.CreateBucket("bucket"); err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(gofakes3.New(store).Server())
		t.Cleanup(server.Close)
		testscript.Run(t, testscript.Params{
			Files: []string{file},
			Cmds:  map[string]func(*testscript.TestScript, bool, []string){"commit": commitValue, "value": wantValue, "flip": flipByte},
			Setup: func(env *testscript.Env) error {
				env.Setenv("RECIPIENT", identity.Recipient().String())
				env.Setenv("AWS_ENDPOINT_URL_S3", server.URL)
				env.Setenv("AWS_ACCESS_KEY_ID", "key")
				env.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
				env.Setenv("AWS_REGION", "us-east-1")
				env.Setenv("GORACE", "atexit_sleep_ms=0")
				env.Setenv("NATS", startNATS(t))
				env.Setenv("XDG_CONFIG_HOME", filepath.Join(env.WorkDir, "config"))
				return os.WriteFile(filepath.Join(env.WorkDir, "identity"), []byte(identity.String()+"\n"), 0o600)
			},
		})
	}
}

// startNATS runs a NATS server on loopback, and returns its URL.
func startNATS(t *testing.T) string {
	t.Helper()
	s, err := natsserver.NewServer(&natsserver.Options{Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(30 * time.Second) {
		t.Fatal("the NATS server does not start")
	}
	return s.ClientURL()
}

var discardLog = slog.New(slog.DiscardHandler)

// withDatabase calls f with a database of a data directory, as a server has it.
func withDatabase(dir, name string, f func(context.Context, *engine.Database) error) error {
	ctx := context.Background()
	e, err := engine.Open(ctx, engine.Config{Dir: dir, CreateDatabases: true, Logger: discardLog})
	if err != nil {
		return err
	}
	defer e.Close(ctx)
	db, err := e.Database(ctx, name)
	if err != nil {
		return err
	}
	return f(ctx, db)
}

var scriptKey = kv.Key{"k"}.MustEncode()

// commitValue is the command "commit DIR VALUE [NAME]": it sets the key "k", and the variable to the commit's versionstamp.
func commitValue(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(withDatabase(ts.MkAbs(args[0]), "default", func(ctx context.Context, db *engine.Database) error {
		value := kv.Value{Encoding: kv.EncodingBytes, Data: []byte(args[1])}
		result, err := db.Commit(ctx, &kv.Atomic{Mutations: []kv.Mutation{{Type: kv.MutationSet, Key: scriptKey, Value: value}}})
		if len(args) > 2 {
			ts.Setenv(args[2], result.Versionstamp.String())
		}
		return err
	}))
}

// wantValue is the command "value DIR VALUE [DATABASE]": it fails unless the key "k" has that value.
func wantValue(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(withDatabase(ts.MkAbs(args[0]), append(args, "default")[2], func(ctx context.Context, db *engine.Database) error {
		found, err := db.Read(ctx, []kv.Range{{Start: scriptKey, End: scriptKey + "\x00", Limit: 1}})
		if err == nil && (len(found[0]) != 1 || string(found[0][0].Value.Data) != args[1]) {
			err = fmt.Errorf("the database has %v; want %q", found[0], args[1])
		}
		return err
	}))
}

// flipByte is the command "flip PATTERN": it changes a byte in the middle of the first file that matches.
func flipByte(ts *testscript.TestScript, _ bool, args []string) {
	files, err := filepath.Glob(ts.MkAbs(args[0]))
	ts.Check(err)
	data, err := os.ReadFile(files[0])
	ts.Check(err)
	data[len(data)/2] ^= 1
	ts.Check(os.WriteFile(files[0], data, 0o600))
}

// A backup that runs is stopped by an interrupt without losing what it has read; that is no failure.
func TestBackupRunInterrupted(t *testing.T) {
	dir, location := filepath.Join(t.TempDir(), "data"), t.TempDir()
	if err := withDatabase(dir, "default", func(context.Context, *engine.Database) error { return nil }); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	logged := &cancelWhen{text: "stored a full part", cancel: cancel, out: t.Output()}
	if code := run(ctx, []string{"backup", "run", location, "--data", dir}, strings.NewReader(""), io.Discard, logged); code != exitOK {
		t.Errorf("exit code %d; want %d", code, exitOK)
	}
	var out bytes.Buffer
	if code := run(t.Context(), []string{"backup", "verify", location}, strings.NewReader(""), &out, t.Output()); code != exitOK {
		t.Errorf("verify: exit code %d, %s", code, out.String())
	}
}

// cancelWhen ends a command when it has written a text.
type cancelWhen struct {
	text   string
	cancel func()
	out    io.Writer
}

func (c *cancelWhen) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte(c.text)) {
		c.cancel()
	}
	return c.out.Write(b)
}
