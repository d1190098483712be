package test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// A second process on the same directory is refused at once, with a sentence that names the directory, and the first one
// goes on.
func TestSecondProcessIsRefused(t *testing.T) {
	s := startServer(t)
	w := dial(t, s.url(""))
	w.commit(set(key("a"), js("first")))

	dir := s.args[2]
	out, err := serveToEnd(t, nil, "--data", dir, "--addr", freeAddr(t), "--access-token", accessToken)
	if err == nil || !strings.Contains(out, dir) {
		t.Errorf("the second process ended with %v and printed:\n%s\nwant a failure that names %s", err, out, dir)
	}
	if strings.Contains(out, "goroutine ") {
		t.Errorf("the second process panicked:\n%s", out)
	}
	w.commit(set(key("a"), js("still")))
	if got := decode(t, w.get(key("a"))); got != "still" {
		t.Errorf("got %v, want still", got)
	}
}

// An address that is taken is refused likewise.
func TestTakenAddressIsRefused(t *testing.T) {
	s := startServer(t)
	out, err := serveToEnd(t, nil, "--data", t.TempDir(), "--addr", s.addr, "--access-token", accessToken)
	if err == nil || !strings.Contains(out, s.addr) || strings.Contains(out, "goroutine ") {
		t.Errorf("the second process ended with %v and printed:\n%s\nwant a failure that names %s", err, out, s.addr)
	}
}

// serveToEnd runs `millpond serve` that is to end by itself and returns what it printed.
func serveToEnd(t *testing.T, env []string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startWait)
	defer cancel()
	cmd := exec.CommandContext(ctx, millpond(t), append([]string{"serve"}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("millpond serve %v ran on; it printed:\n%s", args, out)
	}
	return string(out), err
}

// The pages for operators are there without a token: alive, ready, and metrics in Prometheus' text format.
func TestOperatorPages(t *testing.T) {
	s := startServer(t)
	dial(t, s.url("")).commit(set(key("a"), js("a")))
	for _, path := range []string{"/livez", "/readyz"} {
		if _, err := s.get(path); err != nil {
			t.Error(err)
		}
	}
	metrics, err := s.get("/metrics")
	if err != nil || !bytes.Contains(metrics, []byte("# TYPE millpond_")) {
		t.Errorf("metrics: %v: %.500s", err, metrics)
	}
	if bytes.Contains(metrics, []byte(accessToken)) || strings.Contains(s.log.String(), accessToken) {
		t.Error("the access token is in the metrics or the log")
	}
}

// With --memory nothing is kept, and no directory is made.
func TestMemory(t *testing.T) {
	addr, dir := freeAddr(t), t.TempDir()
	s := &server{t: t, addr: addr, args: []string{"serve", "--memory", "--addr", addr, "--access-token", accessToken}, dir: dir}
	t.Cleanup(s.cleanUp)
	s.start()
	w := dial(t, s.url(""))
	w.commit(set(key("a"), js("a")))
	if got := decode(t, w.get(key("a"))); got != "a" {
		t.Errorf("got %v, want a", got)
	}
	s.stop()
	s.start()
	if e := dial(t, s.url("")).get(key("a")); e != nil {
		t.Errorf("after a restart there is %v, want nothing", e)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
		t.Errorf("the working directory has %v, %v; want nothing", files, err)
	}
}

// Without an access token the server makes one and prints the line that gives it to a program; the token in the
// environment is honoured.
func TestAccessTokens(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), startWait)
	defer cancel()
	addr := freeAddr(t)
	cmd := exec.CommandContext(ctx, millpond(t), "serve", "--memory", "--addr", addr)
	cmd.Env = append(os.Environ(), "DENO_KV_ACCESS_TOKEN=")
	program := startProgram(t, cmd)
	line := program.line(ctx)
	for !strings.Contains(line, "DENO_KV_ACCESS_TOKEN=") {
		line = program.line(ctx)
	}
	_, token, _ := strings.Cut(line, "DENO_KV_ACCESS_TOKEN=")
	token = strings.Trim(strings.Fields(token)[0], `"'`)

	env := os.Environ()
	use := denoCommand(ctx, t, "../examples/hello.ts", "http://"+addr)
	use.Env = append(env, "DENO_KV_ACCESS_TOKEN="+token, "NO_COLOR=1")
	if out, err := use.CombinedOutput(); err != nil || len(token) < 16 {
		t.Errorf("with the token %q of the line %q: %v: %s", token, line, err, out)
	}

	addr = freeAddr(t)
	second := &server{t: t, addr: addr, args: []string{"serve", "--memory", "--addr", addr}, dir: t.TempDir()}
	second.env = []string{"DENO_KV_ACCESS_TOKEN=" + accessToken}
	t.Cleanup(second.cleanUp)
	second.start()
	dial(t, second.url("")).commit(set(key("a"), js("a")))
}

// While a server drains, it is not ready; it ends soon even if a client holds its connection open.
func TestStopWithIdleConnections(t *testing.T) {
	s := startServer(t)
	w := dial(t, s.url(""))
	w.commit(set(key("a"), js("a")))
	began := time.Now()
	s.stop()
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("the server took %v to stop", took)
	}
}
