package test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/creack/pty"
)

// At a terminal the user is asked before entries are deleted or a file is replaced, and sees a bar for what takes long.
func TestTerminal(t *testing.T) {
	s := startServer(t)
	w := dial(t, s.url(""))
	file := filepath.Join(t.TempDir(), "all.ndjson")
	writeLines(t, file, 3000)

	shown, code := atTerminal(t, "", "import", file, "--url", s.url(""))
	if code != 0 || !strings.Contains(shown, "entries written: 3000") || !strings.Contains(shown, "imported") || !strings.Contains(shown, "entries/s") {
		t.Errorf("import ended with %d and has shown %q", code, shown)
	}
	for _, test := range []struct {
		answer, want string
		code         int
		left         bool
	}{
		{"\n", "nothing was done", 1, true},
		{"n\n", "nothing was done", 1, true},
		{"\x03", "Go on? [y/N] ^C", 130, true}, // Ctrl-C
		{"yes\n", "deleted entries: 3000", 0, false},
	} {
		shown, code := atTerminal(t, test.answer, "del", "--prefix", `["n"]`, "--url", s.url(""))
		if !strings.Contains(shown, `entries below ["n"] that will be deleted: 3000. Go on? [y/N] `) || !strings.Contains(shown, test.want) || code != test.code {
			t.Errorf("%q: del ended with %d and has shown %q, want %q", test.answer, code, shown, test.want)
		}
		if left := w.get(key("n", fmt.Sprintf("%06d", 7))) != nil; left != test.left {
			t.Errorf("%q: an entry is left: %v", test.answer, left)
		}
	}
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	shown, code = atTerminal(t, "n\n", "export", file, "--url", s.url(""))
	after, err := os.ReadFile(file)
	if code != 1 || !strings.Contains(shown, "all.ndjson is there and will be replaced") || err != nil || !bytes.Equal(before, after) {
		t.Errorf("export ended with %d and has shown %q, %v", code, shown, err)
	}
}

// atTerminal runs millpond at a terminal of its own and returns what that has shown, and the exit code. The answer is typed when a
// question is shown.
func atTerminal(t *testing.T, answer string, args ...string) (shown string, code int) {
	t.Helper()
	cmd := command(t.Context(), millpond(t), args...)
	terminal, err := pty.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	var all []byte
	for buffer := make([]byte, 4096); ; {
		n, err := terminal.Read(buffer)
		all = append(all, buffer[:n]...)
		if answer != "" && bytes.HasSuffix(all, []byte("[y/N] ")) {
			if _, err := terminal.WriteString(answer); err != nil {
				t.Fatal(err)
			}
			answer = ""
		}
		if err != nil { // the process has closed its end
			break
		}
	}
	if err := cmd.Wait(); err != nil {
		exit := new(exec.ExitError)
		if !errors.As(err, &exit) {
			t.Fatal(err)
		}
		code = exit.ExitCode()
	}
	return string(all), code
}
