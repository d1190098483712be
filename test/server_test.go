package test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// accessToken is the token that every server of the tests asks for.
const accessToken = "a-token-for-tests"

// The waits are bounds on something that has gone wrong, far above what a busy two-core machine needs.
const (
	startWait   = 60 * time.Second
	stopWait    = 60 * time.Second
	programWait = 3 * time.Minute
)

// buildDir holds the binary of this run.
var buildDir string

func TestMain(m *testing.M) {
	var err error
	if buildDir, err = os.MkdirTemp("", "millpond-test-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(buildDir)
	os.Exit(code)
}

// millpond returns the path of the binary, which the first call builds.
func millpond(t testing.TB) string {
	t.Helper()
	path, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var buildOnce = sync.OnceValues(func() (string, error) {
	path := filepath.Join(buildDir, "millpond")
	args := []string{"build", "-o", path}
	if raceFlag != "" {
		args = append(args, raceFlag)
	}
	out, err := exec.Command("go", append(args, "../cmd/millpond")...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build millpond: %w\n%s", err, out)
	}
	return path, nil
})

// server is a running `millpond serve`, or one that was stopped and can be started again on the same address and data.
type server struct {
	t    testing.TB
	addr string   // 127.0.0.1:port
	args []string // of every start
	env  []string // beside that of the tests
	dir  string   // the working directory; "": that of the tests
	log  logBuffer

	cmd    *exec.Cmd
	exited chan struct{} // closed once the process has ended and exit is set
	exit   error
}

// startServer starts a server on a free port, with its data in a directory of the test, and returns once it is ready.
// When the test ends, the server must stop with exit code 0; its log is shown if the test failed.
func startServer(t testing.TB, args ...string) *server {
	t.Helper()
	s := &server{t: t, addr: freeAddr(t)}
	s.args = append([]string{"serve", "--data", t.TempDir(), "--addr", s.addr, "--access-token", accessToken}, args...)
	t.Cleanup(s.cleanUp)
	s.start()
	return s
}

// cleanUp stops the server if it runs, and shows its log if the test has failed.
func (s *server) cleanUp() {
	if s.running() {
		s.stop()
	}
	if s.t.Failed() {
		s.t.Logf("log of the server:\n%s", s.log.String())
	}
}

// start starts the server and returns once it is ready.
func (s *server) start() {
	s.t.Helper()
	s.launch()
	eventually(s.t, startWait, "the server is ready", func() bool {
		if !s.running() {
			s.t.Fatalf("the server ended before it was ready: %v", s.exit)
		}
		_, err := s.get("/readyz")
		return err == nil
	})
}

// launch starts the server's process.
func (s *server) launch() {
	s.t.Helper()
	s.cmd = exec.Command(millpond(s.t), s.args...)
	s.cmd.Stdout, s.cmd.Stderr, s.cmd.Dir = &s.log, &s.log, s.dir
	s.cmd.Env = append(os.Environ(), s.env...)
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	cmd, exited := s.cmd, make(chan struct{})
	s.exited = exited
	go func() {
		s.exit = cmd.Wait()
		close(exited)
	}()
}

func (s *server) running() bool {
	if s.exited == nil {
		return false
	}
	select {
	case <-s.exited:
		return false
	default:
		return true
	}
}

// stop asks the server to end and expects that it does, with exit code 0.
func (s *server) stop() {
	s.t.Helper()
	s.signal(syscall.SIGTERM)
	if s.exit != nil {
		s.t.Errorf("after SIGTERM the server ended with %v, want exit code 0", s.exit)
	}
}

// kill ends the server as a crash would.
func (s *server) kill() {
	s.t.Helper()
	s.signal(syscall.SIGKILL)
}

func (s *server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Errorf("send %v to the server: %v", sig, err)
	}
	select {
	case <-s.exited:
	case <-time.After(stopWait):
		s.t.Errorf("the server still ran %v after %v; its goroutines are in the log", stopWait, sig)
		s.cmd.Process.Signal(syscall.SIGQUIT)
		<-s.exited
	}
}

// url returns the address of a database, "" for the default one.
func (s *server) url(database string) string {
	return strings.TrimSuffix("http://"+s.addr+"/"+database, "/")
}

// get returns the body of a page that the server answers with 200.
func (s *server) get(path string) ([]byte, error) { return fetch("http://" + s.addr + path) }

// eventually asks until the answer is yes and fails the test if that takes too long.
func eventually(t testing.TB, wait time.Duration, what string, yes func() bool) {
	t.Helper()
	deadline := time.After(wait)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !yes() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited %v until %s", wait, what)
		}
	}
}

// freeAddr returns an address that nobody listens on.
func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// logBuffer collects what the server prints.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
