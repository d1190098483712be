package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// runMillpond runs a command to its end and returns what it printed to stdout.
func runMillpond(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command(millpond(t), args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("millpond %v: %v\n%s", args, err, stderr.String())
	}
	return string(out)
}

// killMillpond runs a command and kills it after a while, if it has not ended by then.
func killMillpond(t *testing.T, after time.Duration, args ...string) {
	t.Helper()
	cmd := exec.Command(millpond(t), args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-ended:
	case <-time.After(after):
		cmd.Process.Signal(syscall.SIGKILL)
		<-ended
	}
}

// startRestored starts a server on a data directory that a restore has made.
func startRestored(t *testing.T, dir string) *server {
	t.Helper()
	s := &server{t: t, addr: freeAddr(t)}
	s.args = []string{"serve", "--data", dir, "--addr", s.addr, "--access-token", accessToken}
	t.Cleanup(s.cleanUp)
	s.start()
	return s
}

// An archive that the server has kept under load, through kills, has every acknowledged commit when the server was stopped: the
// database that is restored from it holds what the writers know.
func TestBackupUnderLoad(t *testing.T) {
	t.Parallel()
	location := t.TempDir()
	s := startServer(t, "--backup-to", location)
	writers := newWriters(6)
	for _, end := range []func(){s.kill, s.stop, s.kill, s.stop} {
		l := startLoad(t, s.url(""), writers)
		l.await(t, 300)
		end()
		l.done.Wait()
		if out := verifyArchive(t, location); !strings.Contains(out, "is whole") {
			t.Errorf("verify printed %q", out)
		}
		s.start()
	}
	s.stop()
	dir := filepath.Join(t.TempDir(), "restored")
	out := runMillpond(t, "restore", location, "--data", dir)
	t.Log(out)
	restored := startRestored(t, dir)
	for _, w := range writers {
		w.verify(t, dial(t, restored.url("")))
	}
	dial(t, restored.url("")).commit(set(key("after"), js("restore")))
}

// verifyArchive verifies an archive, if the first kill has not come before it was begun.
func verifyArchive(t *testing.T, location string) string {
	t.Helper()
	if files, err := filepath.Glob(filepath.Join(location, "default", "*.json")); err != nil || len(files) == 0 {
		return "nothing there yet, which is whole: is whole"
	}
	return runMillpond(t, "backup", "verify", location)
}

// Backups and restores that are killed at any time can be done again, and end as if nothing had been.
func TestBackupAndRestoreKilled(t *testing.T) {
	const kills = 12
	s := startServer(t)
	writers := newWriters(4)
	l := startLoad(t, s.url(""), writers)
	l.await(t, 300)
	s.stop()
	l.done.Wait()
	data, location, dir := s.args[2], t.TempDir(), filepath.Join(t.TempDir(), "restored")

	began := time.Now()
	runMillpond(t, "backup", "create", t.TempDir(), "--data", data)
	took := time.Since(began)
	for i := range kills {
		killMillpond(t, took*time.Duration(i)/kills, "backup", "create", location, "--data", data)
	}
	runMillpond(t, "backup", "create", location, "--data", data)
	runMillpond(t, "backup", "verify", location)

	for i := range kills {
		killMillpond(t, took*time.Duration(i)/kills, "restore", location, "--data", dir)
	}
	out, err := exec.Command(millpond(t), "restore", location, "--data", dir).CombinedOutput()
	if err != nil && !strings.Contains(string(out), "the database exists already") { // one that was killed had done it
		t.Fatalf("restore: %v\n%s", err, out)
	}
	if left, err := os.ReadDir(filepath.Join(dir, "restored")); err == nil && len(left) > 0 {
		t.Errorf("the restore left %v", left)
	}
	restored := startRestored(t, dir)
	for _, w := range writers {
		w.verify(t, dial(t, restored.url("")))
	}
}
