package engine_test

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millpondkv/millpond/engine"
	"github.com/millpondkv/millpond/events"
)

// history makes a directory with some commits, keeps a copy of its log, and makes more commits.
func history(t *testing.T) (dir, earlierLog string) {
	t.Helper()
	dir, earlierLog = t.TempDir(), t.TempDir()
	addCommits(t, dir, "first", 5)
	if err := os.CopyFS(earlierLog, os.DirFS(filepath.Join(dir, "nats"))); err != nil {
		t.Fatal(err)
	}
	addCommits(t, dir, "second", 20)
	return dir, earlierLog
}

func addCommits(t *testing.T, dir, value string, n int) {
	t.Helper()
	e := onDisk(t, dir)
	db := mustDatabase(t, e, "d")
	for range n {
		mustSet(t, db, "k", value)
	}
	mustClose(t, e)
}

func replaceLog(t *testing.T, dir, with string) {
	t.Helper()
	if err := errors.Join(os.RemoveAll(filepath.Join(dir, "nats")), os.CopyFS(filepath.Join(dir, "nats"), os.DirFS(with))); err != nil {
		t.Fatal(err)
	}
}

func wantRefused(t *testing.T, dir string, want error) {
	t.Helper()
	e, err := engine.Open(t.Context(), engine.Config{Dir: dir, CreateDatabases: true, Logger: slog.New(slog.DiscardHandler)})
	if err == nil {
		mustClose(t, e)
	}
	if !errors.Is(err, want) || !strings.Contains(err.Error(), "restore the data directory") {
		t.Errorf("Open: %v; want %v and what to do", err, want)
	}
}

// A log that has lost its end is refused: the next records would take the places of acked ones. That stays so at the next
// try.
func TestLogLostItsEnd(t *testing.T) {
	dir, earlier := history(t)
	replaceLog(t, dir, earlier)
	wantRefused(t, dir, events.ErrGap)
	wantRefused(t, dir, events.ErrGap)
}

// So it is if there is no checkpoint to tell, only the mark.
func TestLogLostItsEndWithoutCheckpoint(t *testing.T) {
	dir, earlier := history(t)
	checkpoints, err := filepath.Glob(filepath.Join(dir, "checkpoints", "*", "checkpoint-*"))
	if err != nil || len(checkpoints) == 0 {
		t.Fatalf("checkpoints: %v, %v; want some", checkpoints, err)
	}
	for _, file := range checkpoints {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	replaceLog(t, dir, earlier)
	wantRefused(t, dir, events.ErrGap)
}

// A log that went on from an earlier copy is longer than what the checkpoint knows, and another history: its records would
// be void to that checkpoint.
func TestLogOfAnotherHistory(t *testing.T) {
	dir, earlier := history(t)
	other := t.TempDir()
	if err := os.CopyFS(other, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	replaceLog(t, other, earlier)
	if err := os.RemoveAll(filepath.Join(other, "checkpoints")); err != nil {
		t.Fatal(err)
	}
	addCommits(t, other, "third", 40)
	replaceLog(t, dir, filepath.Join(other, "nats"))
	wantRefused(t, dir, events.ErrDiverged)
}

// The operator's way out: without the checkpoints what is left of the log is taken as it is.
func TestGoOnWithWhatIsLeft(t *testing.T) {
	dir, earlier := history(t)
	replaceLog(t, dir, earlier)
	if err := os.RemoveAll(filepath.Join(dir, "checkpoints")); err != nil {
		t.Fatal(err)
	}
	e := onDisk(t, dir)
	if got := get(t, mustDatabase(t, e, "d"), "k"); got != "first" {
		t.Errorf("k = %q; want what the earlier log has", got)
	}
}

// A log that is gone as a whole is not taken for a database that never was.
func TestLogIsMissing(t *testing.T) {
	dir, _ := history(t)
	if err := os.RemoveAll(filepath.Join(dir, "nats")); err != nil {
		t.Fatal(err)
	}
	e, err := engine.Open(t.Context(), engine.Config{Dir: dir, CreateDatabases: true, Logger: slog.New(slog.DiscardHandler)})
	if err == nil {
		mustClose(t, e)
		t.Fatal("opened; want a refusal")
	}
	if !strings.Contains(err.Error(), "log is missing") || !strings.Contains(err.Error(), "restore the data directory") {
		t.Errorf("Open: %v; want what is missing and what to do", err)
	}
}
