package main

import (
	"context"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/millpondkv/millpond/engine"
	"github.com/millpondkv/millpond/internal/fakeserver"
	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/kvconnect"
)

// Each script of testdata/history is a user of a server that keeps its history. The command "stamp NAME" sets a variable to what the
// last command has shown, a versionstamp.
func TestHistoryScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/history/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("there are no scripts", err)
	}
	for _, file := range files {
		url := serveHistory(t)
		other := fakeserver.New(t)
		testscript.Run(t, testscript.Params{
			Files: []string{file},
			Cmds: map[string]func(*testscript.TestScript, bool, []string){"stamp": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
			}},
			Setup: func(env *testscript.Env) error {
				env.Setenv("OTHER", other.URL)
				env.Setenv("MILLPOND_URL", url)
				env.Setenv("MILLPOND_ACCESS_TOKEN", fakeserver.Token)
				env.Setenv("GORACE", "atexit_sleep_ms=0")
				return nil
			},
		})
	}
}

// serveHistory serves an engine over HTTP, until the end of the test.
func serveHistory(t *testing.T) (url string) {
	t.Helper()
	e, err := engine.Open(t.Context(), engine.Config{Memory: true, CreateDatabases: true, Logger: discardLog})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close(context.Background()) })
	connect, err := kvconnect.New(kvconnect.Config{Databases: historyServer{e}, AccessToken: fakeserver.Token, Logger: discardLog})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(connect)
	t.Cleanup(server.Close)
	return server.URL
}

type historyServer struct{ *engine.Engine }

func (s historyServer) Database(ctx context.Context, name string, _ bool) (kvconnect.Database, error) {
	db, err := s.Engine.Database(ctx, name)
	return historyDatabase{db}, err
}

type historyDatabase struct{ *engine.Database }

func (d historyDatabase) Watch(keys []kv.EncodedKey) kvconnect.Watch { return d.Database.Watch(keys) }

func (d historyDatabase) History(ctx context.Context, want kv.HistoryRead) (kvconnect.History, error) {
	return d.Database.History(ctx, want)
}

// A moment is a time, a date, how long ago, or a versionstamp.
func TestMoments(t *testing.T) {
	now := time.UnixMilli(1_800_000_000_250)
	for text, want := range map[string]kv.Millis{
		"2026-01-31T12:00:00Z": 1_769_860_800_000, "2026-01-31T13:00:00.5+01:00": 1_769_860_800_500, "2026-01-31": 1_769_817_600_000,
		"-10m": 1_799_999_400_250, "-1h30m": 1_799_994_600_250, "-7d": 1_799_395_200_250, "-0s": 1_800_000_000_250,
		"": 0, "-": 0, "10m": 0, "-7": 0, "--7m": 0, "-d": 0, "-1.5d": 0, "-70000d": 0, "yesterday": 0, "2026-02-30": 0, "1969-12-31": 0, "-65535d": 0,
	} {
		if got, err := pastTime(text, now); got != want || (err == nil) != (want != 0) {
			t.Errorf("%q is %d, %v; want %d", text, got, err, want)
		}
	}
	var m momentFlag
	v := kv.NewVersionstamp(7, 0)
	if err := m.Set(v.String()); err != nil || m.moment != (kv.Moment{Versionstamp: v}) || !m.given() {
		t.Errorf("%v, %v", m.moment, err)
	}
	for _, text := range []string{"00000000000000000000", "0000000000000007000", "x"} {
		if err := m.Set(text); err == nil || m.given() {
			t.Errorf("%q is %v", text, m.moment)
		}
	}
}
