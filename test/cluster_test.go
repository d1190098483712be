package test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	dp "github.com/millpondkv/millpond/kvconnect/datapath"
)

// After a process is lost, writes go on within healWait: an election among NATS servers takes up to 9 s.
const healWait = 15 * time.Second

// process is one process of a cluster.
type process struct {
	t      testing.TB
	args   []string // the binary is the first
	ready  string   // URL of a page that answers 200 when it is ready
	log    logBuffer
	cmd    *exec.Cmd
	exited chan struct{}
}

// run starts a process, again if it was killed, and does not wait until it is ready.
func (p *process) run() {
	p.t.Helper()
	p.cmd = exec.Command(p.args[0], p.args[1:]...)
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	cmd, exited := p.cmd, make(chan struct{})
	p.exited = exited
	go func() { cmd.Wait(); close(exited) }()
}

func (p *process) end(sig syscall.Signal) {
	p.t.Helper()
	p.cmd.Process.Signal(sig)
	select {
	case <-p.exited:
	case <-time.After(stopWait):
		p.t.Errorf("%s still ran %v after %v", p.args[0], stopWait, sig)
		p.cmd.Process.Kill()
		<-p.exited
	}
}

func (p *process) await(wait time.Duration) {
	p.t.Helper()
	eventually(p.t, wait, filepath.Base(p.args[0])+" is ready", func() bool { _, err := fetch(p.ready); return err == nil })
}

// cluster is three NATS servers, two writers and two readers.
type cluster struct {
	t                      testing.TB
	nats, writers, readers []*process
	urls                   []string // of the readers' default databases
	natsURLs               []string
}

// natsURL is that of the default database for the client over NATS.
func (c *cluster) natsURL() string {
	return "nats://" + strings.ReplaceAll(strings.Join(c.natsURLs, ","), "nats://", "") + "/default"
}

// startCluster starts a cluster and returns once every process is ready. When the test ends, they are stopped.
func startCluster(t testing.TB) *cluster {
	t.Helper()
	c := startNATS(t)
	for range 2 {
		c.startWriter()
	}
	for range 2 {
		c.startReader()
	}
	for _, p := range append(c.writers, c.readers...) {
		p.await(startWait)
	}
	return c
}

// startWriter starts one more writer and does not wait until it is ready.
func (c *cluster) startWriter(args ...string) *process {
	c.t.Helper()
	addr := freeAddr(c.t)
	args = append([]string{filepath.Join(buildDir, "kvwriter"), "--nats", strings.Join(c.natsURLs, ","), "--http-addr", addr}, args...)
	p := c.start("http://"+addr+"/readyz", args...)
	c.writers = append(c.writers, p)
	return p
}

// startReader starts one more reader and does not wait until it is ready.
func (c *cluster) startReader(args ...string) *process {
	c.t.Helper()
	addr := freeAddr(c.t)
	args = append([]string{filepath.Join(buildDir, "kvreader"), "--nats", strings.Join(c.natsURLs, ","), "--addr", addr, "--access-token", accessToken}, args...)
	p := c.start("http://"+addr+"/readyz", args...)
	c.readers, c.urls = append(c.readers, p), append(c.urls, "http://"+addr)
	return p
}

// startNATS builds the binaries and starts the NATS servers only.
func startNATS(t testing.TB) *cluster {
	t.Helper()
	bin := buildCluster(t)
	c := &cluster{t: t}
	routes := []string{freeAddr(t), freeAddr(t), freeAddr(t)}
	for i, route := range routes {
		client, monitor := freeAddr(t), freeAddr(t)
		c.natsURLs = append(c.natsURLs, "nats://"+client)
		file := filepath.Join(t.TempDir(), "nats.conf")
		if err := os.WriteFile(file, fmt.Appendf(nil, natsConfig, i, client, monitor, filepath.Dir(file), route, strings.Join(routes, `", "nats://`)), 0o600); err != nil {
			t.Fatal(err)
		}
		c.nats = append(c.nats, c.start("http://"+monitor+"/healthz", filepath.Join(bin, "nats-server"), "--config", file))
	}
	for _, p := range c.nats {
		p.await(startWait)
	}
	return c
}

// A lost route is noticed in seconds, and every ack means that the record is on disk.
const natsConfig = `
server_name: nats%d
listen: "%s"
http: "%s"
ping_interval: "2s"
jetstream { store_dir: "%s", sync_interval: always }
cluster { name: millpond, listen: "%s", ping_interval: "2s", routes: ["nats://%s"] }
`

func (c *cluster) start(ready string, args ...string) *process {
	c.t.Helper()
	p := &process{t: c.t, args: args, ready: ready}
	c.t.Cleanup(func() {
		if c.t.Failed() {
			log := p.log.String()
			c.t.Logf("log of %v:\n%s", args, log[max(0, len(log)-10_000):])
		}
	})
	p.run()
	c.t.Cleanup(func() { p.end(syscall.SIGTERM) })
	return p
}

// leader returns the writer that leads a database.
func (c *cluster) leader() (leader *process) {
	c.t.Helper()
	eventually(c.t, startWait, "a writer leads", func() bool {
		for _, p := range c.writers {
			page, err := fetch(strings.Replace(p.ready, "readyz", "metrics", 1))
			if err == nil && bytes.Contains(page, []byte("millpond_leading_databases 1\n")) {
				leader = p
			}
		}
		return leader != nil
	})
	return leader
}

// buildCluster returns the directory of the binaries of a cluster, which the first call builds.
func buildCluster(t testing.TB) string {
	t.Helper()
	if err := buildClusterOnce(); err != nil {
		t.Fatal(err)
	}
	return buildDir
}

var buildClusterOnce = sync.OnceValue(func() error {
	for _, pkg := range []string{"../cmd/kvwriter", "../cmd/kvreader", "github.com/nats-io/nats-server/v2"} {
		args := []string{"build", "-o", filepath.Join(buildDir, strings.Replace(filepath.Base(pkg), "v2", "nats-server", 1))}
		if raceFlag != "" && strings.HasPrefix(pkg, "..") {
			args = append(args, raceFlag)
		}
		cmd := exec.Command("go", append(args, pkg)...)
		if !strings.HasPrefix(pkg, "..") { // as static does, so that it is compiled once
			cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", pkg, err, out)
		}
	}
	return nil
})

// What is written through one reader is there at once through another.
func TestClusterStrongReads(t *testing.T) {
	c := startCluster(t)
	a, b := dial(t, c.urls[0]), dial(t, c.urls[1])
	if diff := cmp.Diff(a.id, b.id); diff != "" {
		t.Errorf("the readers' databases have different ids:\n%s", diff)
	}
	for i := range 200 {
		stamp := a.commit(set(key("a"), js(fmt.Sprint(i))))
		e := b.get(key("a"))
		if got := decode(t, e); got != fmt.Sprint(i) || !bytes.Equal(e.Versionstamp, stamp[:]) {
			t.Fatalf("after commit %d, the other reader has %v", i, got)
		}
		a, b = b, a
	}
}

// While no writer runs, a strong read waits, and says in the end that it can be tried again; an eventual one, at its endpoint,
// is answered by what the reader has. Node's client finds that endpoint by itself.
func TestClusterWithoutWriters(t *testing.T) {
	t.Parallel() // it mostly waits
	c := startCluster(t)
	w := dial(t, c.urls[0])
	w.commit(set(key("k"), js("v")))
	for _, p := range c.writers {
		p.end(syscall.SIGTERM)
	}
	read := &dp.SnapshotRead{Ranges: []*dp.ReadRange{{Start: key("k"), End: append(key("k"), 0), Limit: 1}}}
	var got dp.SnapshotReadOutput
	if err := w.call(t.Context(), "eventual/snapshot_read", read, &got); err != nil {
		t.Fatal(err)
	}
	if v := got.Ranges[0].Values; len(v) != 1 || decode(t, v[0]) != "v" || got.ReadIsStronglyConsistent {
		t.Errorf("the eventual read returned %v; want the value, and no word of a strong read", &got)
	}
	runNode(t, "eventual.mjs", c.urls[0])
	if err := w.call(t.Context(), "snapshot_read", read, &got); err == nil || !strings.Contains(err.Error(), "status 503") {
		t.Errorf("the strong read: %v; want status 503", err)
	}
}

// Whichever process is killed under load, writes go on soon, no acknowledged commit is lost, and none is there twice.
func TestClusterSurvivesKills(t *testing.T) {
	const commits = 100
	c := startCluster(t)
	writers := newWriters(6)
	l := startLoad(t, c.urls[0], writers)
	l.await(t, commits)
	lose := func(p *process) {
		p.end(syscall.SIGKILL)
		before, killed := l.acked.Load(), time.Now()
		eventually(t, healWait, "writes go on after the loss of "+strings.Join(p.args, " "), func() bool { return l.acked.Load() >= before+commits })
		t.Logf("%s was lost: %d commits after %v", filepath.Base(p.args[0]), commits, time.Since(killed).Round(time.Millisecond))
		p.run()
		p.await(startWait)
	}
	lose(c.leader())
	for _, p := range c.nats {
		lose(p)
	}
	lose(c.leader())
	c.readers[0].end(syscall.SIGTERM) // which ends the load
	l.done.Wait()
	l.verify(t, c.urls[1])
	if refused := strings.Count(c.readers[0].log.String(), "request failed"); refused > 0 {
		t.Errorf("the reader failed %d requests in a way that it did not expect", refused)
	}
}
