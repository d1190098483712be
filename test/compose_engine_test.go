//go:build linux

package test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// engine is a container engine of its own for one test: a Docker daemon with its own images, volumes and networks. The
// test's process and everything that the daemon starts are alone in new namespaces for networks, mounts and processes, so
// that nothing of the machine changes, its firewall included, and nothing is left behind.
type engine struct {
	t       *testing.T
	dir     string // of the daemon
	project string // with compose.yaml
	log     logBuffer
	exited  chan struct{} // closed once the daemon has ended
}

// apartVariable is set in the process that runs in its own namespaces.
const apartVariable = "MILLPOND_TEST_APART"

// engineTools are the programs that the test takes: Debian's docker.io, docker-compose, iptables, iproute2 and
// busybox-static.
var engineTools = []string{"dockerd", "/usr/bin/docker", "docker-compose", "iptables", "ip", "/bin/busybox"}

const composeWait = 8 * time.Minute

// apart runs the test again in a process that has its own namespaces, and returns true in that process.
func apart(t *testing.T) bool {
	t.Helper()
	if os.Getenv(apartVariable) != "" {
		return true
	}
	if os.Geteuid() != 0 {
		noEngine(t, "it takes root")
	}
	for _, tool := range engineTools {
		if _, err := exec.LookPath(tool); err != nil {
			noEngine(t, err.Error())
		}
	}
	t.Parallel() // the other process sets environment variables, so it cannot
	ctx, cancel := context.WithTimeout(t.Context(), composeWait)
	defer cancel()
	runtime.LockOSThread() // Pdeathsig is about the thread
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout="+composeWait.String())
	cmd.Env = append(os.Environ(), apartVariable+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:   syscall.CLONE_NEWPID | syscall.CLONE_NEWNET,
		Unshareflags: syscall.CLONE_NEWNS, // this way Go makes the mounts private
		Pdeathsig:    syscall.SIGKILL,
	}
	out, err := cmd.CombinedOutput()
	switch {
	case err != nil:
		t.Fatalf("%v\n%s", err, out)
	case strings.Contains(string(out), "--- SKIP"):
		noEngine(t, string(out))
	}
	t.Logf("%s", out)
	return false
}

// noEngine ends the test, and says so where it is seen.
func noEngine(t *testing.T, why string) {
	t.Helper()
	fmt.Fprintf(os.Stderr, "\n*** NO CONTAINER ENGINE HERE: compose.yaml IS NOT TESTED: %s\n\n", why)
	t.Skip("SKIPPED: no container engine can start here, so nothing shows that compose.yaml works: " + why)
}

// startEngine starts the daemon, which chooses its storage driver itself.
func startEngine(t *testing.T) *engine {
	t.Helper()
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		noEngine(t, "mount /proc: "+err.Error())
	}
	mustRun(t, "ip", "link", "set", "lo", "up")
	e := &engine{t: t, dir: t.TempDir(), project: filepath.Join(t.TempDir(), "millpond"), exited: make(chan struct{})}
	t.Setenv("DOCKER_HOST", "unix://"+filepath.Join(e.dir, "socket"))
	t.Setenv("DOCKER_BUILDKIT", "1")
	t.Setenv("DOCKER_CONFIG", e.dir)
	t.Setenv("PATH", "/usr/bin:"+os.Getenv("PATH")) // another docker may come first, and lack what builds
	daemon := exec.Command("dockerd", "--data-root", e.dir+"/data", "--exec-root", e.dir+"/exec", "--pidfile", e.dir+"/pid",
		"--host", os.Getenv("DOCKER_HOST"))
	daemon.Stdout, daemon.Stderr = &e.log, &e.log
	if err := daemon.Start(); err != nil {
		noEngine(t, err.Error())
	}
	go func() {
		daemon.Wait()
		close(e.exited)
	}()
	t.Cleanup(func() { e.stop(daemon.Process) })
	eventually(t, startWait, "the Docker daemon answers", func() bool {
		select {
		case <-e.exited:
			noEngine(t, "dockerd ended; it said:\n"+e.log.String())
		default:
		}
		return exec.Command("docker", "info").Run() == nil
	})
	return e
}

// stop ends the daemon, with all of its containers.
func (e *engine) stop(daemon *os.Process) {
	if err := daemon.Signal(syscall.SIGTERM); err != nil {
		e.t.Errorf("stop the Docker daemon: %v", err)
		return
	}
	select {
	case <-e.exited:
	case <-time.After(stopWait):
		e.t.Errorf("the Docker daemon did not stop; it said:\n%s", e.log.String())
	}
}

// docker runs a command and returns what it printed to standard output.
func (e *engine) docker(args ...string) string {
	e.t.Helper()
	return e.run("docker", args...)
}

func (e *engine) compose(args ...string) string {
	e.t.Helper()
	return e.run("docker-compose", append([]string{"--no-ansi"}, args...)...)
}

func (e *engine) run(name string, args ...string) string {
	e.t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = e.project
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		e.t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

// image builds an image from scratch of the files below a directory of its own.
func (e *engine) image(tag, dir string, files map[string]string, links ...string) {
	e.t.Helper()
	context := e.t.TempDir()
	target := filepath.Join(context, "files", dir)
	if err := os.MkdirAll(target, 0o755); err != nil {
		e.t.Fatal(err)
	}
	for name, path := range files {
		mustRun(e.t, "cp", path, filepath.Join(target, name))
	}
	for _, name := range links {
		if err := os.Symlink("busybox", filepath.Join(target, name)); err != nil {
			e.t.Fatal(err)
		}
	}
	dockerfile := "FROM scratch\nCOPY files /\nENV PATH=/" + dir + "\n"
	if err := os.WriteFile(filepath.Join(context, "Dockerfile"), []byte(dockerfile), 0o600); err != nil {
		e.t.Fatal(err)
	}
	e.docker("build", "--quiet", "--tag", tag, context)
}
