package test

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// tool returns the path of an installed tool: the value of the environment variable, or else the file that matches the
// pattern below this directory.
func tool(t testing.TB, variable, pattern string) string {
	t.Helper()
	if path := os.Getenv(variable); path != "" {
		return path
	}
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) == 0 {
		t.Fatalf("no %s here: run make test (or make tools) first", pattern)
	}
	path, err := filepath.Abs(found[0])
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func deno(t testing.TB) string {
	return tool(t, "MILLPOND_DENO", "clients/node_modules/@deno/*/deno")
}

func denoCommand(ctx context.Context, t testing.TB, program string, args ...string) *exec.Cmd {
	t.Helper()
	flags := []string{"run", "--quiet", "--unstable-kv", "--no-lock", "--no-prompt", "--allow-all"}
	return command(ctx, deno(t), append(append(flags, program), args...)...)
}

func nodeCommand(ctx context.Context, t testing.TB, program string, args ...string) *exec.Cmd {
	t.Helper()
	tool(t, "", "clients/node_modules/@deno/kv")
	return command(ctx, "node", append([]string{"--no-warnings", program}, args...)...)
}

func pythonCommand(ctx context.Context, t testing.TB, program string, args ...string) *exec.Cmd {
	t.Helper()
	return command(ctx, tool(t, "", ".cache/venv/bin/python"), append([]string{program}, args...)...)
}

func command(ctx context.Context, path string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), "DENO_KV_ACCESS_TOKEN="+accessToken, "DENO_NO_UPDATE_CHECK=1", "NO_COLOR=1")
	return cmd
}

// run runs a program to its end and returns what it printed, without the last newline. A program that fails, or that
// prints nothing (as none of ours does when all is well), fails the test.
func run(t testing.TB, cmd func(context.Context, testing.TB, string, ...string) *exec.Cmd, program string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), programWait)
	defer cancel()
	c := cmd(ctx, t, program, args...)
	var out, errOut bytes.Buffer
	c.Stdout, c.Stderr = &out, &errOut
	err := c.Run()
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil || out.Len() == 0 {
		t.Fatalf("%s %s: %v\n%s%s", program, strings.Join(args, " "), err, out.String(), errOut.String())
	}
	return strings.TrimSuffix(out.String(), "\n")
}

func runDeno(t testing.TB, program string, args ...string) string {
	t.Helper()
	return run(t, denoCommand, "clients/deno/"+program, args...)
}

func runNode(t testing.TB, program string, args ...string) string {
	t.Helper()
	return run(t, nodeCommand, "clients/node/"+program, args...)
}

// background is a program that runs beside the test, line by line.
type background struct {
	t     testing.TB
	cmd   *exec.Cmd
	lines chan string // closed at the end of the output
	errs  logBuffer
}

// startProgram starts a program that runs until it is stopped, or else until the test ends. What it has printed to
// standard error is shown when the test fails.
func startProgram(t testing.TB, cmd *exec.Cmd) *background {
	t.Helper()
	b := &background{t: t, cmd: cmd, lines: make(chan string, 1<<20)}
	cmd.Stderr = &b.errs
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(b.lines)
		for s := bufio.NewScanner(stdout); s.Scan(); {
			b.lines <- s.Text()
		}
	}()
	t.Cleanup(func() {
		b.stop()
		if t.Failed() {
			t.Logf("%s printed to standard error:\n%s", cmd, b.errs.String())
		}
	})
	return b
}

// line returns the next line that the program prints. It fails the test when the program has ended.
func (b *background) line(ctx context.Context) string {
	b.t.Helper()
	select {
	case line, ok := <-b.lines:
		if !ok {
			b.t.Fatalf("%s ended, a line was expected", b.cmd)
		}
		return line
	case <-ctx.Done():
		b.t.Fatalf("%s printed no line in time", b.cmd)
	}
	return ""
}

// stop kills the program and returns the lines that nobody has read.
func (b *background) stop() []string {
	b.cmd.Process.Signal(syscall.SIGKILL)
	var rest []string
	for line := range b.lines {
		rest = append(rest, line)
	}
	b.cmd.Wait()
	return rest
}
