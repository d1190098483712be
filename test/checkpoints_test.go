package test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// A reader and a writer with checkpoints are killed under load, in whatever they do then, and start again from one. A damaged
// checkpoint is passed over for the one before. No start loses or changes anything.
func TestClusterStartsFromCheckpoints(t *testing.T) {
	t.Parallel()
	const commits = 100
	c := startCluster(t)
	dir := t.TempDir()
	reader := c.startReader("--checkpoint-dir", filepath.Join(dir, "reader"), "--checkpoint-bytes", "1KB")
	url := c.urls[len(c.urls)-1]
	writer := c.startWriter("--checkpoint-dir", filepath.Join(dir, "writer"), "--checkpoint-bytes", "1KB")
	checkpoints := func(of string) []string {
		files, err := filepath.Glob(filepath.Join(dir, of, "*", "checkpoint-*.millpond"))
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(files)
		return files
	}
	writers := newWriters(4)
	l := startLoad(t, c.urls[0], writers)
	eventually(t, startWait, "there are two checkpoints each", func() bool {
		return len(checkpoints("reader")) == 2 && len(checkpoints("writer")) == 2
	})
	for _, p := range []*process{reader, writer} {
		p.end(syscall.SIGKILL)
		said := len(p.log.String())
		p.run()
		p.await(startWait)
		eventually(t, startWait, "a process that was killed says that it has loaded a checkpoint", func() bool { // a writer is ready before
			return strings.Contains(p.log.String()[said:], `msg="loaded a checkpoint"`)
		})
	}
	l.await(t, commits)
	c.readers[0].end(syscall.SIGTERM) // which ends the load
	l.done.Wait()
	l.verify(t, url)

	reader.end(syscall.SIGTERM)
	newest := checkpoints("reader")[1]
	flipByte(t, newest)
	said := len(reader.log.String())
	reader.run()
	reader.await(startWait)
	log := reader.log.String()[said:]
	if !strings.Contains(log, "a checkpoint was passed over") || !strings.Contains(log, newest) || !strings.Contains(log, `msg="loaded a checkpoint"`) {
		t.Errorf("with a damaged checkpoint it did not say that it took the one before:\n%s", log)
	}
	l.verify(t, url)

	second := c.startReader("--checkpoint-dir", filepath.Join(dir, "reader"))
	<-second.exited
	if log := second.log.String(); !strings.Contains(log, "is in use by another process") {
		t.Errorf("a second reader on the directory said:\n%s\nwant a refusal", log)
	}
}

// flipByte changes a byte in the middle of a file.
func flipByte(t *testing.T, name string) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
