package serve_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/internal/recovery"
	"github.com/millpondkv/millpond/internal/serve"
	"github.com/millpondkv/millpond/kv"
)

// server is a Run in this process.
type server struct {
	out  *buffer
	url  string
	stop func() error
}

// buffer is a bytes.Buffer for two goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func run(ctx context.Context, c serve.Config, out io.Writer) error {
	c.CreateDatabases, c.DrainTimeout = true, 5*time.Second
	c.History = cmp.Or(c.History, time.Hour)
	return serve.Run(ctx, c, out, slog.New(slog.DiscardHandler))
}

// start runs a server on a free port and returns when it is ready.
func start(t *testing.T, c serve.Config) *server {
	t.Helper()
	c.Addr = freeAddr(t)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	s := &server{out: &buffer{}, url: "http://" + c.Addr}
	s.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	go func() { ended <- run(ctx, c, s.out) }()
	for deadline := time.Now().Add(30 * time.Second); ; {
		if status, _ := s.get("/readyz"); status == http.StatusOK {
			return s
		}
		if time.Now().After(deadline) {
			t.Fatal("the server did not become ready")
		}
	}
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (s *server) get(path string) (status int, body string) {
	resp, err := http.Get(s.url + path)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text)
}

var printedToken = regexp.MustCompile(`export DENO_KV_ACCESS_TOKEN=(\S+)\n`)

// Without an access token one is made; the line to paste opens the database, and goes on to do so after a restart.
func TestMadeToken(t *testing.T) {
	dir := t.TempDir()
	s := start(t, serve.Config{Data: dir})
	match := printedToken.FindStringSubmatch(s.out.String())
	if match == nil || !strings.Contains(s.out.String(), `Deno.openKv("`+s.url+`")`) {
		t.Fatalf("the welcome lacks the token or the program:\n%s", s.out)
	}
	put(t, s, match[1])
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	s = start(t, serve.Config{Data: dir})
	db, err := client.Open(t.Context(), s.url, client.WithAccessToken(match[1]))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if e, err := db.Get(t.Context(), kv.Key{"k"}); err != nil || !e.Exists() {
		t.Errorf("after a restart: %+v, %v; want the entry", e, err)
	}
	if info, err := os.Stat(filepath.Join(dir, "access-token")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the token's file: %v, %v; want it to be the owner's only", info, err)
	}
}

func put(t *testing.T, s *server, token string) {
	t.Helper()
	db, err := client.Open(t.Context(), s.url, client.WithAccessToken(token))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Set(t.Context(), kv.Key{"k"}, kv.Value{Encoding: kv.EncodingBytes, Data: []byte("v")}); err != nil {
		t.Fatal(err)
	}
}

// A token that the user chose is not repeated on the screen.
func TestGivenTokenIsNotShown(t *testing.T) {
	s := start(t, serve.Config{Memory: true, AccessToken: "a-secret-of-mine"})
	if strings.Contains(s.out.String(), "a-secret-of-mine") {
		t.Errorf("the welcome shows the access token:\n%s", s.out)
	}
}

// What cannot work is refused at the start, in a sentence that says what to do.
func TestRefused(t *testing.T) {
	first := start(t, serve.Config{Data: t.TempDir()})
	taken := strings.TrimPrefix(first.url, "http://")
	used := t.TempDir()
	start(t, serve.Config{Data: used})
	foreign := t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign, "thesis.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		config serve.Config
		want   string
	}{
		"short token":       {serve.Config{Memory: true, AccessToken: "short"}, "use at least 12"},
		"token with spaces": {serve.Config{Memory: true, AccessToken: "correct horse battery"}, "without spaces"},
		"address in use":    {serve.Config{Memory: true, Addr: taken}, "choose another with --addr"},
		"no port":           {serve.Config{Memory: true, Addr: "4512"}, "is like 127.0.0.1:4512"},
		"debug in use":      {serve.Config{Memory: true, DebugAddr: taken}, "choose another with --debug-addr"},
		"no such location":  {serve.Config{Memory: true, BackupTo: "ftp://host/dir"}, "neither a directory nor s3://BUCKET/PREFIX"},
		"no such recipient": {serve.Config{Memory: true, BackupTo: "dir", Store: recovery.Store{EncryptTo: []string{"me"}}}, "--encrypt-to"},
		"directory in use":  {serve.Config{Data: used}, "is in use, by a millpond server or by a program"},
		"foreign directory": {serve.Config{Data: foreign}, "choose another directory"},
	} {
		t.Run(name, func(t *testing.T) {
			if test.config.Addr == "" {
				test.config.Addr = freeAddr(t)
			}
			if err := run(t.Context(), test.config, io.Discard); err == nil || !strings.Contains(fmt.Sprint(err), test.want) {
				t.Errorf("got %v; want a sentence with %q", err, test.want)
			}
		})
	}
}

// Health and metrics answer without a token, and the metrics count what was done.
func TestOperatorsPages(t *testing.T) {
	s := start(t, serve.Config{Memory: true, AccessToken: "a-secret-of-mine"})
	put(t, s, "a-secret-of-mine")
	if status, body := s.get("/livez"); status != http.StatusOK {
		t.Errorf("/livez: %d %s", status, body)
	}
	status, page := s.get("/metrics")
	if status != http.StatusOK {
		t.Fatalf("/metrics: %d %s", status, page)
	}
	for _, want := range []string{
		`millpond_record_commits_sum{database="default"} 1`,
		`millpond_entries{database="default"} 1`,
		`millpond_http_requests_total{endpoint="atomic_write",status="200"} 1`,
		`millpond_epochs_total{database="default"} 1`,
	} {
		if !strings.Contains(page, want+"\n") {
			t.Errorf("/metrics lacks %s", want)
		}
	}
}
