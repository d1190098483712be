//go:build linux

package faults

import (
	"bytes"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/millpondkv/millpond/backup"
	"github.com/millpondkv/millpond/engine"
	"github.com/millpondkv/millpond/events"
	"github.com/millpondkv/millpond/internal/recovery"
	"github.com/millpondkv/millpond/kv"
)

// startArchive starts a process that keeps an archive of the clients' database, whatever happens to the cluster.
func (c *cluster) startArchive(servers string) {
	c.t.Helper()
	h := newHost(c.t, "archive", 40, "back")
	c.archive = &process{
		host: h, t: c.t, log: filepath.Join(c.dir, h.name+".log"), orders: filepath.Join(c.dir, h.name+".orders"),
		args: []string{filepath.Join(os.Getenv(binVariable), "millpond"), "backup", "run", c.archiveDir(), "--db", kvDefault, "--nats", servers, "--every", "200ms"},
	}
	c.archive.run()
	c.t.Cleanup(c.archive.kill)
}

func (c *cluster) archiveDir() string { return filepath.Join(c.dir, "archives") }

// judgeArchive holds the archive to the log: what it restores is what the log leads to, and nobody's money is gone. The
// clients rest.
func (c *cluster) judgeArchive() {
	c.t.Helper()
	if c.archive == nil {
		return
	}
	log := c.fetch(kvDefault)
	a := backup.Open(backup.Config{
		Blob: backup.NewDirectory(c.archiveDir()), Database: kvDefault, ReadState: recovery.ReadState, Now: time.Now, NewID: recovery.NewID(),
	})
	var plan *backup.Plan
	eventually(c.t, startWait, "the archive has the whole log", func() (done bool) {
		var err error
		plan, err = a.Plan(c.t.Context(), backup.Target{})
		return err == nil && plan.Line.End().Applied == kv.Position(len(log))
	})
	if _, err := a.Verify(c.t.Context()); err != nil {
		c.t.Errorf("verify the archive: %v", err)
	}
	archived, err := a.Replay(c.t.Context(), plan)
	if err != nil {
		c.t.Fatalf("replay the archive: %v", err)
	}
	defer archived.Close()
	replayed := recovery.NewState()
	defer replayed.Close()
	for _, m := range log {
		s, err := events.Open(m.Message)
		if err == nil {
			err = replayed.Apply(s)
		}
		if err != nil {
			c.t.Fatalf("replay the log: %v", err)
		}
	}
	if !bytes.Equal(c.checkpointOf(archived), c.checkpointOf(replayed)) {
		c.t.Errorf("what the archive restores at %d is not what the log leads to; see %s", archived.Chain().Applied, c.dir)
	}
	c.restores()
	c.tally.count("archives that restore what the log leads to")
}

func (c *cluster) checkpointOf(s backup.State) []byte {
	c.t.Helper()
	var out bytes.Buffer
	if _, err := s.WriteCheckpoint(c.t.Context(), &out, "the same"); err != nil {
		c.t.Fatal(err)
	}
	return out.Bytes()
}

// restores makes a database from the archive, as an operator does, and counts the money in it.
func (c *cluster) restores() {
	c.t.Helper()
	dir := filepath.Join(c.t.TempDir(), "restored")
	if out, err := exec.Command(c.archive.args[0], "restore", c.archiveDir(), "--db", kvDefault, "--data", dir).CombinedOutput(); err != nil {
		c.t.Fatalf("restore: %v\n%s", err, out)
	}
	e, err := engine.Open(c.t.Context(), engine.Config{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		c.t.Fatal(err)
	}
	defer e.Close(c.t.Context())
	db, err := e.Database(c.t.Context(), kvDefault)
	if err != nil {
		c.t.Fatal(err)
	}
	entries, err := db.Read(c.t.Context(), []kv.Range{everything})
	if err != nil {
		c.t.Fatal(err)
	}
	if total := moneyOf(entries[0]); total != accounts*balance {
		c.t.Errorf("the restored accounts have %v in all; want %d", total, accounts*balance)
	}
}
