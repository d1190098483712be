package test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// An import that is killed again and again, while its server crashes too, is run to its end: every entry is there once, as it was,
// and an export that is killed and resumed has them all.
func TestImportAndExportAreKilled(t *testing.T) {
	const entries = 30_000
	s := startServer(t)
	file := filepath.Join(t.TempDir(), "all.ndjson")
	want := writeLines(t, file, entries)
	w := dial(t, s.url(""))

	for round := range 4 {
		imported := startCommand(t, "import", file, "--url", s.url(""))
		before := round * entries / 6
		eventually(t, programWait, "the import has gone on", func() bool {
			return w.get(key("n", fmt.Sprintf("%06d", before+entries/12))) != nil || !imported.running()
		})
		if round == 1 {
			s.kill()
			s.start()
		}
		if err := imported.kill(); err == nil && round < 2 {
			t.Errorf("round %d: the import was done before it could be killed", round)
		}
	}
	if out := runCommand(t, "import", file, "--url", s.url("")); !strings.Contains(out, "entries that are there already: ") {
		t.Errorf("the last import says\n%s", out)
	}

	exported := filepath.Join(t.TempDir(), "exported.ndjson")
	killed := startCommand(t, "export", exported, "--url", s.url(""))
	eventually(t, programWait, "the export has begun", func() bool {
		info, err := os.Stat(exported + ".partial")
		return !killed.running() || err == nil && info.Size() > 1<<20
	})
	if killed.kill() != nil {
		runCommand(t, "export", exported, "--resume", "--url", s.url(""))
	}
	got, err := os.ReadFile(exported)
	if err != nil {
		t.Fatal(err)
	}
	if got := versionstamps.ReplaceAll(got, nil); !bytes.Equal(got, want) {
		t.Errorf("%d bytes were exported, of %d that were imported, or other ones", len(got), len(want))
	}
}

var versionstamps = regexp.MustCompile(`,"versionstamp":"[0-9a-f]*"`)

// What real Deno wrote to a file of its local KV is found by real Deno in Millpond, and again behind an export and an import into
// another database.
func TestImportOfDenosFile(t *testing.T) {
	s := startServer(t)
	path := filepath.Join(t.TempDir(), "kv.sqlite3")
	runDeno(t, "values.ts", path, "write", "deno")
	runCommand(t, "import", "sqlite", path, "--url", s.url(""))
	runDeno(t, "values.ts", s.url(""), "compare", "deno")

	lines := filepath.Join(t.TempDir(), "all.ndjson")
	runCommand(t, "export", lines, "--url", s.url(""))
	runCommand(t, "import", lines, "--url", s.url("lines"))
	runDeno(t, "values.ts", s.url("lines"), "compare", "deno")

	runCommand(t, "import", "kv", s.url("lines"), "--from-access-token", accessToken, "--url", s.url("copy"))
	runDeno(t, "values.ts", s.url("copy"), "compare", "deno")
}

// writeLines writes n entries, with an expiry, and returns them without their versionstamps.
func writeLines(t *testing.T, file string, n int) []byte {
	t.Helper()
	var lines bytes.Buffer
	for i := range n {
		fmt.Fprintf(&lines, `{"key":[{"type":"string","value":"n"},{"type":"string","value":"%06d"}],"value":{"type":"KvU64","value":"%d"},`+
			`"versionstamp":"00000000000000010000","expireAt":"2100-01-01T00:00:00.000Z"}`+"\n", i, i)
	}
	if err := os.WriteFile(file, lines.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return versionstamps.ReplaceAll(lines.Bytes(), nil)
}

// commandLine is a running millpond command.
type commandLine struct {
	cmd    *exec.Cmd
	exited chan struct{}
	err    error
}

func startCommand(t *testing.T, args ...string) *commandLine {
	t.Helper()
	c := &commandLine{cmd: command(t.Context(), millpond(t), args...), exited: make(chan struct{})}
	c.cmd.Stderr = t.Output()
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		c.err = c.cmd.Wait()
		close(c.exited)
	}()
	return c
}

func (c *commandLine) running() bool {
	select {
	case <-c.exited:
		return false
	default:
		return true
	}
}

// kill returns nil if the command had come to its end before.
func (c *commandLine) kill() error {
	c.cmd.Process.Kill() // it may have ended
	<-c.exited
	return c.err
}

// runCommand runs a millpond command that succeeds, and returns what it printed.
func runCommand(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), programWait)
	defer cancel()
	out, err := command(ctx, millpond(t), args...).Output()
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		t.Fatalf("millpond %q: %v\n%s%s", args, err, out, exit.Stderr)
	} else if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
