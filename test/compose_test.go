//go:build linux

package test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The cluster of compose.yaml works in a real container engine, also without the leader, a reader and a NATS server. No image
// can be pulled there: those that the Dockerfile begins with are built from scratch, under their names, of binaries that
// were built here.
func TestCompose(t *testing.T) {
	deno(t) // before the long way there
	if !apart(t) {
		return
	}
	e := startEngine(t)
	c := newCompose(e)
	began := time.Now()
	e.compose("up", "-d")
	c.awaitHealthy("kvwriter", 2)
	c.awaitHealthy("kvreader", 2)
	t.Logf("from up to ready: %v", time.Since(began).Round(time.Second/10))

	c.expectRestricted()

	readers := c.readers()
	c.write(readers[0], "first")
	t.Logf("from up to the first write: %v", time.Since(began).Round(time.Second/10))
	c.expect("first", readers...)
	if got := run(t, denoCommand, "../examples/hello.ts", readers[1]); !strings.Contains(got, "Alice") {
		t.Errorf("Deno printed %q, want Alice", got)
	}
	c.expectThreeReplicas()
	c.expectStatus()

	c.docker("stop", c.leader(), c.containers("kvreader")[0], c.containers("nats1")[0])
	c.write(readers[1], "with one of each stopped")
	c.expect("with one of each stopped", readers[1])

	e.compose("up", "-d", "--scale", "kvreader=4")
	c.awaitHealthy("kvreader", 4)
	c.awaitHealthy("nats1", 1)
	readers = c.readers()
	c.write(readers[3], "with four readers")
	c.expect("with four readers", readers...)

	c.expectUnsyncedRefused()
	e.compose("down")
}

// compose is the cluster, in an engine.
type compose struct{ *engine }

// newCompose lays out the project with new secrets and builds its images.
func newCompose(e *engine) *compose {
	e.t.Helper()
	for _, path := range []string{"compose.yaml", "Dockerfile", ".dockerignore", "deploy/make-secrets.sh", "deploy/nats"} {
		to := filepath.Join(e.project, filepath.Dir(path))
		mustRun(e.t, "mkdir", "-p", to)
		mustRun(e.t, "cp", "-r", filepath.Join("..", path), to)
	}
	mustRun(e.t, "sh", filepath.Join(e.project, "deploy/make-secrets.sh"))
	if err := os.WriteFile(filepath.Join(e.project, "deploy/secrets/access-token"), []byte(accessToken), 0o644); err != nil {
		e.t.Fatal(err)
	}

	bin := static(e.t, "github.com/nats-io/nats-server/v2", "../cmd/millpond", "../cmd/kvwriter", "../cmd/kvreader")
	e.image("docker.io/library/nats:2.15.2-alpine", "bin", map[string]string{"nats-server": filepath.Join(bin, "nats-server"), "busybox": "/bin/busybox"}, "sh", "chown", "wget")
	programs := map[string]string{}
	for _, name := range []string{"millpond", "kvwriter", "kvreader"} {
		programs[name] = filepath.Join(bin, name)
	}
	e.image("millpond-binaries", "out", programs)
	e.compose("build", "--build-arg", "BINARIES=millpond-binaries")
	c := &compose{e}
	e.t.Cleanup(func() {
		if e.t.Failed() {
			e.t.Logf("%s\n%s", e.compose("ps"), e.compose("logs", "--tail=40"))
		}
	})
	return c
}

// static builds programs as the Dockerfile does, all at once, and returns the directory of the binaries. It leaves out -trimpath, which
// would have everything compiled anew that the other tests have compiled.
func static(t *testing.T, programs ...string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	cmd := exec.Command("go", append([]string{"build", "-ldflags", "-s -w", "-o", dir + "/"}, programs...)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %v: %v\n%s", programs, err, out)
	}
	return dir
}

// containers returns the ids of a service's running containers, those with the lowest numbers first.
func (c *compose) containers(service string) []string {
	c.t.Helper()
	list := c.docker("ps", "--filter", "label=com.docker.compose.service="+service, "--format",
		`{{.Label "com.docker.compose.container-number"}} {{.ID}}`)
	var ids []string
	for _, line := range slices.Sorted(strings.SplitSeq(list, "\n")) {
		ids = append(ids, strings.Fields(line)[1])
	}
	return ids
}

// leader returns the id of the writer that leads, by what the writers have logged.
func (c *compose) leader() string {
	c.t.Helper()
	leading := regexp.MustCompile(`(?m)^kvwriter_(\d+) .*msg=leading`).FindStringSubmatch(c.compose("logs", "--no-color", "kvwriter"))
	if leading == nil {
		c.t.Fatal("no writer says that it leads")
	}
	return c.docker("ps", "--quiet", "--filter", "label=com.docker.compose.service=kvwriter",
		"--filter", "label=com.docker.compose.container-number="+leading[1])
}

// awaitHealthy waits until n containers of a service run, and their health checks say yes.
func (c *compose) awaitHealthy(service string, n int) {
	c.t.Helper()
	eventually(c.t, startWait, fmt.Sprintf("%d containers of %s are healthy", n, service), func() bool {
		ids := c.containers(service)
		return len(ids) == n && !slices.ContainsFunc(ids, func(id string) bool {
			return c.docker("inspect", "--format", "{{.State.Health.Status}}", id) != "healthy"
		})
	})
}

// expectRestricted looks at every container: none runs as root, can write to its image, or has a capability.
func (c *compose) expectRestricted() {
	c.t.Helper()
	const want = "65532:65532 true [ALL] [no-new-privileges:true]"
	all := strings.Fields(c.docker("ps", "--quiet"))
	for _, id := range all {
		got := c.docker("inspect", "--format", "{{.Config.User}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}}", id)
		if got != want {
			c.t.Errorf("%s runs with %s; want %s", c.docker("inspect", "--format", "{{.Name}}", id), got, want)
		}
	}
	if len(all) != 7 {
		c.t.Errorf("%d containers run; want 7", len(all))
	}
}

// readers returns the URLs of the readers, each on a published port of its own.
func (c *compose) readers() []string {
	c.t.Helper()
	var urls []string
	for _, id := range c.containers("kvreader") {
		urls = append(urls, "http://"+c.docker("port", id, "4512/tcp"))
	}
	if distinct := slices.Compact(slices.Sorted(slices.Values(urls))); len(distinct) != len(urls) {
		c.t.Errorf("readers share addresses: %v", urls)
	}
	return urls
}

// write sets one key through a reader, again until that succeeds.
func (c *compose) write(reader, value string) {
	c.t.Helper()
	began, database := time.Now(), dial(c.t, reader)
	var err error
	eventually(c.t, startWait, "a write succeeds", func() bool {
		if err = database.tryCommit(c.t.Context(), set(key("a"), js(value))); err != nil {
			c.t.Logf("%s: %v", value, err)
		}
		return err == nil
	})
	c.t.Logf("written %s: %v", value, time.Since(began).Round(time.Millisecond))
}

// expect reads the key from each reader.
func (c *compose) expect(value string, readers ...string) {
	c.t.Helper()
	for _, reader := range readers {
		if got := decode(c.t, dial(c.t, reader).get(key("a"))); got != value {
			c.t.Errorf("%s has %v, want %s", reader, got, value)
		}
	}
}

// expectStatus asks for the status, a verification and the health from inside a reader: everything is there, and all is well.
func (c *compose) expectStatus() {
	c.t.Helper()
	inside := func(args ...string) string {
		return c.docker(append([]string{"exec", c.containers("kvreader")[0]}, args...)...)
	}
	var overview struct {
		Databases []struct{ Name, Leader string }
		Readers   []struct{ Process string }
		Writers   []struct{ Process string }
		Servers   struct{ Known []struct{ SyncAlways bool } }
		Warnings  []string
	}
	eventually(c.t, startWait, "the status has no warnings", func() bool {
		if err := json.Unmarshal([]byte(inside("/millpond", "status", "-o", "json")), &overview); err != nil {
			c.t.Fatal(err)
		}
		return len(overview.Warnings) == 0
	})
	if len(overview.Databases) != 1 || overview.Databases[0].Leader == "" || len(overview.Readers) != 2 || len(overview.Writers) != 2 ||
		len(overview.Servers.Known) != 3 || !overview.Servers.Known[0].SyncAlways {
		c.t.Errorf("the status is %+v", overview)
	}
	c.t.Logf("millpond status:\n%s", inside("/millpond", "status"))
	verified := inside("/millpond", "verify")
	if strings.Count(verified, " ok") != 4 {
		c.t.Errorf("millpond verify printed\n%s\nwant four that are ok", verified)
	}
	if got := inside("/kvreader", "health"); got != "ok" {
		c.t.Errorf("kvreader health printed %q, want ok", got)
	}
}

// expectUnsyncedRefused takes the line out of a NATS server's configuration that makes it sync: no writer starts any more.
func (c *compose) expectUnsyncedRefused() {
	c.t.Helper()
	file := filepath.Join(c.project, "deploy/nats/nats.conf")
	text, err := os.ReadFile(file)
	if err != nil {
		c.t.Fatal(err)
	}
	unsynced := regexp.MustCompile(`(?m)^\s*sync_interval: always.*\n`).ReplaceAll(text, nil)
	if len(unsynced) == len(text) {
		c.t.Fatal("the configuration has no line with sync_interval")
	}
	if err := os.WriteFile(file, unsynced, 0o644); err != nil {
		c.t.Fatal(err)
	}
	c.docker("restart", c.containers("nats1")[0])
	c.awaitHealthy("nats1", 1)
	cmd := exec.Command("docker-compose", "--no-ansi", "run", "--rm", "--no-deps", "-T", "kvwriter")
	cmd.Dir = c.project
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "on the NATS servers nats1; set sync_interval: always") {
		c.t.Errorf("with a NATS server that does not sync, a writer ended with %v and printed\n%s\nwant a refusal", err, out)
	}
}

// expectThreeReplicas asks a NATS server, as the administrator, for the log of the default database.
func (c *compose) expectThreeReplicas() {
	c.t.Helper()
	addr := c.docker("inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", c.containers("nats2")[0])
	admin := natsPasswords(c.t, filepath.Join(c.project, "deploy/secrets"))["admin"]
	conn, err := nats.Connect("nats://"+addr+":4222", nats.UserInfo("admin", admin))
	if err != nil {
		c.t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		c.t.Fatal(err)
	}
	stream, err := js.Stream(c.t.Context(), "millpond_default")
	if err != nil {
		c.t.Fatal(err)
	}
	if info := stream.CachedInfo(); info.Config.Replicas != 3 || info.Cluster == nil || len(info.Cluster.Replicas) != 2 {
		c.t.Errorf("the log has %d replicas: %+v; want 3", info.Config.Replicas, info.Cluster)
	}
}
