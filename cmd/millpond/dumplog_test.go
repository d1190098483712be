package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/oklog/ulid/v2"

	"github.com/millpondkv/millpond/engine"
	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/events/natslog"
	"github.com/millpondkv/millpond/kv"
)

// The log of a stopped data directory is shown, with what its commits did; a directory in use is refused, and none is made.
func TestDumpLogOfADirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	millpond := func(args ...string) (int, string, string) {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), args, strings.NewReader(""), &stdout, &stderr)
		return code, stdout.String(), stderr.String()
	}
	if code, _, stderr := millpond("dump-log", "--data", dir); code != exitError || !strings.Contains(stderr, "is not a data directory of millpond") {
		t.Errorf("no directory: code %d, %s", code, stderr)
	}
	e, err := engine.Open(t.Context(), engine.Config{Dir: dir, CreateDatabases: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	db, err := e.Database(t.Context(), "orders")
	if err != nil {
		t.Fatal(err)
	}
	key, old := kv.Key{"a", 1}.MustEncode(), kv.Key{"old"}.MustEncode()
	result, err := db.Commit(t.Context(), &kv.Atomic{
		Mutations: []kv.Mutation{
			{Type: kv.MutationSet, Key: key, Value: kv.Value{Encoding: kv.EncodingLE64, Data: []byte{7, 0, 0, 0, 0, 0, 0, 0}}, ExpireAt: 4102444800000},
			{Type: kv.MutationDelete, Key: old},
		},
		Enqueues: []kv.Enqueue{{Payload: []byte{0xff, 0x0f, '0'}, BackoffSchedule: []uint32{5}, KeysIfUndelivered: []kv.EncodedKey{old}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := millpond("dump-log", "orders", "--data", dir); code != exitError || !strings.Contains(stderr, "is in use, by a millpond server or by a program") {
		t.Errorf("in use: code %d, %s", code, stderr)
	}
	if err := e.Close(context.Background()); err != nil {
		t.Fatal(err)
	}

	code, stdout, stderr := millpond("dump-log", "orders", "--data", dir)
	if code != exitOK || stderr != "" {
		t.Fatalf("code %d, %s", code, stderr)
	}
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	if len(lines) < 3 || !strings.HasPrefix(lines[0], `{"position":1,"kind":"epoch","counts":true,"epoch":0,`) ||
		!strings.Contains(lines[len(lines)-1], `"writer":"none"`) {
		t.Errorf("not an epoch, commits and a resignation:\n%s", stdout)
	}
	for _, want := range []string{
		`"versionstamp":"` + result.Versionstamp.String() + `"`,
		`{"set":[{"type":"string","value":"a"},{"type":"number","value":1}],"value":{"type":"KvU64","value":"7"},"expireAt":"2100-01-01T00:00:00.000Z"}`,
		`{"delete":[{"type":"string","value":"old"}]}`,
		`"messages":[{"payload":{"type":"null","value":null},"backoff":[5],"keysIfUndelivered":[[{"type":"string","value":"old"}]]}]`,
	} {
		if strings.Count(stdout, want) != 1 {
			t.Errorf("%s is not there, or not once:\n%s", want, stdout)
		}
	}
	_, table, _ := millpond("dump-log", "orders", "--data", dir, "-o", "table")
	if rows := strings.Split(table, "\n"); len(rows) < 3 || !strings.HasPrefix(rows[0], "POSITION ") || !strings.HasPrefix(rows[1], "1 ") || !strings.HasSuffix(rows[1], " true") {
		t.Errorf("no table of records:\n%s", table)
	}
	if code, _, stderr := millpond("dump-log", "--data", dir); code != exitError || !strings.Contains(stderr, `there is no database "default"`) {
		t.Errorf("another database: code %d, %s", code, stderr)
	}
	if code, id, stderr := millpond("db", "create", "new", "--data", dir); code != exitOK || len(id) != 37 {
		t.Errorf("db create: code %d, %q, %s", code, id, stderr)
	}
	again, err := engine.Open(t.Context(), engine.Config{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := again.Database(t.Context(), "new"); err != nil {
		t.Error("the database that was made is not found:", err)
	}
	if err := again.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	_, part, _ := millpond("dump-log", "orders", "--data", dir, "--from", "2", "--limit", "1")
	if strings.Count(part, "\n") != 1 || !strings.HasPrefix(part, `{"position":2,`) || strings.Contains(part, `"counts"`) {
		t.Errorf("one record from the second on: %s", part)
	}
}

// The log of a cluster is read over NATS, whose address a context can have.
func TestDumpLogOverNATS(t *testing.T) {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	defer s.WaitForShutdown()
	defer s.Shutdown()
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the NATS server is not ready")
	}
	conn, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	log, err := natslog.Create(t.Context(), js, "orders", natslog.Config{})
	if err != nil {
		t.Fatal(err)
	}
	_, epoch := events.Seal(1, &events.Record{Kind: events.KindEpoch, Time: 5, Writer: ulid.ULID{1}})
	if _, err := log.Append(t.Context(), events.Append{Kind: events.KindEpoch, Data: epoch}); err != nil {
		t.Fatal(err)
	}

	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	millpond := func(args ...string) string {
		var stdout bytes.Buffer
		if code := run(t.Context(), args, strings.NewReader(""), &stdout, t.Output()); code != exitOK {
			t.Errorf("%q: exit code %d", args, code)
		}
		return stdout.String()
	}
	millpond("context", "add", "here", "--set", "nats="+s.ClientURL(), "--use")
	if got := millpond("dump-log", "orders"); !strings.HasPrefix(got, `{"position":1,"kind":"epoch","counts":true`) || strings.Count(got, "\n") != 1 {
		t.Errorf("dump-log shows %s", got)
	}
	if got, want := millpond("db", "list", "-o", "json"), `{"name":"orders","id":"`+log.ID()+`","first":1,"last":1}`+"\n"; got != want {
		t.Errorf("db list shows %s, want %s", got, want)
	}
	if id := strings.TrimSpace(millpond("db", "create", "new", "--replicas", "1")); !strings.Contains(millpond("db", "list"), id) || len(id) != 36 {
		t.Errorf("db create shows %q, and db list has it not", id)
	}
	for name, want := range map[string]int{"new": exitError, "NEW": exitUsage} {
		if code := run(t.Context(), []string{"db", "create", name}, nil, io.Discard, t.Output()); code != want {
			t.Errorf("db create %s: exit code %d, want %d", name, code, want)
		}
	}
	if code := run(t.Context(), []string{"get", `["a"]`}, nil, io.Discard, t.Output()); code != exitUsage {
		t.Errorf("a context without a URL: exit code %d for get", code)
	}
	if got := millpond("db", "list", "--nats", s.ClientURL()); !strings.HasPrefix(got, "DATABASE") {
		t.Errorf("db list shows %s", got)
	}
}

// What is damaged, missing, foreign or void is shown as such, and everything behind it too.
func TestDumpLogOfABrokenLog(t *testing.T) {
	_, epoch := events.Seal(1, &events.Record{Kind: events.KindEpoch, Time: 5, Writer: ulid.ULID{1}})
	_, again := events.Seal(2, &events.Record{Kind: events.KindEpoch, Time: 5, Writer: ulid.ULID{2}})
	log := messages{
		{Position: 1, Data: epoch}, {Position: 2, Data: again}, {Position: 3, Foreign: true, Data: []byte("x")},
		{Position: 4, Data: []byte("broken")}, {Position: 7, Data: epoch},
	}
	var out bytes.Buffer
	d := dump{w: &out}
	if err := d.run(t.Context(), log); err == nil || err.Error() != "records that are damaged or missing: 3" {
		t.Errorf("ended with %v", err)
	}
	var got []string
	for line := range strings.Lines(out.String()) {
		var v struct {
			Kind, Problem string
			Counts        *bool
		}
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatal(err)
		}
		what := v.Kind + v.Problem
		if v.Counts != nil && *v.Counts {
			what += " counts"
		}
		got = append(got, what)
	}
	for i, want := range []string{"epoch counts", "epoch", "foreign", "record 4: ", "missing, up to 6", "epoch"} {
		if i >= len(got) || !strings.HasPrefix(got[i], want) {
			t.Errorf("line %d of %q, want %s", i, got, want)
		}
	}
}

// messages is a log that cannot be appended to.
type messages []events.Message

func (l messages) Append(context.Context, events.Append) (kv.Position, error) { panic("read only") }

func (l messages) Bounds(context.Context) (first, last kv.Position, err error) {
	return 1, l[len(l)-1].Position, nil
}

func (l messages) Read(_ context.Context, from kv.Position) (events.Reader, error) {
	return &messageReader{l}, nil
}

type messageReader struct{ rest messages }

func (r *messageReader) Next(context.Context) (m events.Message, err error) {
	m, r.rest = r.rest[0], r.rest[1:]
	return m, nil
}

func (r *messageReader) Close() {}
