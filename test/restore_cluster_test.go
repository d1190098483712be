package test

import (
	"encoding/json"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A restore into a cluster of real processes that is killed again and again has, in the end, all that was archived; the cluster goes on
// with it, and a reader that is started later has it too.
func TestRestoreIntoCluster(t *testing.T) {
	const kills = 8
	s := startServer(t)
	writers := newWriters(6)
	l := startLoad(t, s.url(""), writers)
	l.await(t, 2000)
	s.stop()
	l.done.Wait()
	location := t.TempDir()
	runMillpond(t, "backup", "create", location, "--data", s.args[2])

	c := startCluster(t)
	restore := func(as string) []string {
		return []string{"restore", location, "--as", as, "--nats", strings.Join(c.natsURLs, ",")}
	}
	began := time.Now()
	t.Log(runMillpond(t, restore("first")...))
	took := time.Since(began)
	for i := range kills {
		killMillpond(t, took*time.Duration(i+1)/kills, restore("second")...)
	}
	out, err := exec.Command(millpond(t), restore("second")...).CombinedOutput()
	if err != nil && !strings.Contains(string(out), "the database exists already") { // one that was killed had done it
		t.Fatalf("restore: %v\n%s", err, out)
	}
	c.startReader().await(startWait)
	for _, name := range []string{"first", "second"} {
		for _, url := range []string{c.urls[0], c.urls[2]} {
			client := dial(t, url+"/"+name)
			for _, w := range writers {
				w.verify(t, client)
			}
		}
		dial(t, c.urls[1]+"/"+name).commit(set(key("after"), js("restore")))
	}
}

// A database that is deleted while programs write to it, and brought back, has all that was acknowledged, also when the writer that led
// it was stopped in the meantime and goes on as if nothing had happened.
func TestDeleteUnderLoad(t *testing.T) {
	c := startCluster(t)
	writers := newWriters(6)
	l := startLoad(t, c.urls[0], writers)
	l.await(t, 300)
	servers := strings.Join(c.natsURLs, ",")
	leader := c.leader()
	runMillpond(t, "db", "delete", "default", "--yes", "--nats", servers)
	l.done.Wait() // their commits are refused
	leader.cmd.Process.Signal(syscall.SIGSTOP)
	runMillpond(t, "db", "undelete", "default", "--nats", servers)
	leader.cmd.Process.Signal(syscall.SIGCONT)
	for _, url := range c.urls {
		eventually(t, healWait, "the database is back", func() bool {
			status, body, err := send(t.Context(), http.DefaultClient, url, metadataHeader(), []byte(`{"supportedVersions":[1,2,3]}`))
			var m metadata
			return err == nil && status == http.StatusOK && json.Unmarshal(body, &m) == nil && m.DatabaseID != writers[0].w.id
		})
		l.verify(t, url)
		dial(t, url).commit(set(key("after"), js("undelete")))
	}
}
