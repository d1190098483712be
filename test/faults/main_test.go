//go:build linux

package faults

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
)

var (
	lasts   = flag.Duration("for", 0, "hit clusters at random for so long (TestRandom)")
	theSeed = flag.Uint64("seed", 0, "choose by this seed; 0: by the time")
)

// The environment of the tests within their namespaces.
const (
	insideVariable = "MILLPOND_FAULTS_INSIDE"
	binVariable    = "MILLPOND_FAULTS_BIN" // directory of the binaries
	workVariable   = "MILLPOND_FAULTS_DIR" // where clusters keep their files
)

func TestMain(m *testing.M) {
	flag.Parse()
	if os.Getenv(insideVariable) != "" {
		if err := settleIn(); err != nil {
			fmt.Fprintln(os.Stderr, "prepare the namespaces:", err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	}
	if os.Geteuid() == 0 {
		if code, ran := runInside(); ran {
			os.Exit(code)
		}
	}
	os.Exit(m.Run()) // each test says that it cannot run here
}

// needNamespaces fails or skips a test that does not run within the namespaces.
func needNamespaces(t *testing.T) {
	t.Helper()
	switch {
	case os.Getenv(insideVariable) != "":
	case os.Getenv("CI") != "":
		t.Fatal("networks, mounts and loop devices take root; in CI this test must run")
	default:
		t.Skip("SKIPPED: networks, mounts and loop devices take root, so nothing here shows what a cluster survives")
	}
}

// runInside builds the binaries and runs this test program again, in new namespaces for network, mounts and processes; ran is
// false if there can be none. The directory of its clusters stays if a test fails.
func runInside() (code int, ran bool) {
	runtime.LockOSThread() // Pdeathsig looks at the thread
	work, err := os.MkdirTemp("", "millpond-faults-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1, true
	}
	bin := filepath.Join(work, "bin")
	if err := build(bin); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.RemoveAll(work)
		return 1, true
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), insideVariable+"=1", binVariable+"="+bin, workVariable+"="+work)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL,
	}
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "make the namespaces:", err)
		os.RemoveAll(work)
		return 0, false
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT)
	go func() {
		for s := range signals {
			cmd.Process.Signal(s)
		}
	}()
	if err := cmd.Wait(); err != nil {
		fmt.Fprintf(os.Stderr, "%v; kept for you to look at: %s\n", err, work)
		return max(cmd.ProcessState.ExitCode(), 1), true // -1 after a signal
	}
	os.RemoveAll(work)
	return 0, true
}

// build builds the programs of a cluster, Millpond's with the points where they can be hit.
func build(dir string) error {
	for name, pkg := range map[string]string{
		"kvwriter": "../../cmd/kvwriter", "kvreader": "../../cmd/kvreader", "millpond": "../../cmd/millpond", "nats-server": "github.com/nats-io/nats-server/v2",
	} {
		args := []string{"build", "-tags", "faults", "-o", filepath.Join(dir, name)}
		if raceFlag != "" && name != "nats-server" {
			args = append(args, raceFlag)
		}
		cmd := exec.Command("go", append(args, pkg)...)
		if name == "nats-server" { // as in the other tests, so that it is compiled once
			cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", name, err, out)
		}
	}
	return nil
}

// settleIn makes the namespaces usable: mounts stay inside, /proc and the list of networks are their own.
func settleIn() error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return err
	}
	if err := os.MkdirAll("/run/netns", 0o755); err != nil {
		return err
	}
	if err := syscall.Mount("none", "/run/netns", "tmpfs", 0, ""); err != nil {
		return err
	}
	return makeNetworks()
}

// seed returns the seed of this run, which it prints.
func seed(t *testing.T) uint64 {
	s := *theSeed
	if s == 0 {
		s = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", s)
	return s
}
