//go:build linux

package faults

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The waits are bounds on something that has gone wrong, far above what a busy two-core machine needs.
const (
	startWait = 60 * time.Second
	stopWait  = 60 * time.Second
)

// process is one process of a cluster, on a host of its own. It can be started again.
type process struct {
	*host
	t      testing.TB
	args   []string // the binary is the first
	ready  string   // URL of a page that answers 200 when it is ready
	log    string   // file, of all its starts
	orders string   // file that internal/fault reads
	guards []string // that are out
	cmd    *exec.Cmd
	exited chan struct{}
}

// run starts the process and does not wait until it is ready.
func (p *process) run() {
	p.t.Helper()
	p.order()
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	defer log.Close()
	p.cmd = exec.Command("ip", append([]string{"netns", "exec", p.name}, p.args...)...) // which becomes the process
	p.cmd.Env = append(os.Environ(), "MILLPOND_FAULTS="+p.orders)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	cmd, exited := p.cmd, make(chan struct{})
	p.exited = exited
	go func() { cmd.Wait(); close(exited) }()
}

// order writes the file with the orders, and with the guards that are out.
func (p *process) order(orders ...string) {
	p.t.Helper()
	for _, guard := range p.guards {
		orders = append(orders, guard+"=off")
	}
	if err := os.WriteFile(p.orders, []byte(strings.Join(orders, "\n")), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// arm gives a process that is ready an order: "append.sent:3=kill".
func (p *process) arm(order string) {
	p.t.Helper()
	p.order(order)
	p.signal(syscall.SIGUSR1)
}

// awaitHit waits until an armed process has ended, or has stopped.
func (p *process) awaitHit(wait time.Duration) bool {
	p.t.Helper()
	return within(wait, func() bool { return !p.running() || p.stopped() })
}

func (p *process) running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// stopped reports whether the process is stopped: T in the state that the kernel shows after the name.
func (p *process) stopped() bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	_, state, _ := bytes.Cut(stat, []byte(") "))
	return err == nil && bytes.HasPrefix(state, []byte("T"))
}

func (p *process) signal(s syscall.Signal) {
	if p.running() {
		p.cmd.Process.Signal(s)
	}
}

func (p *process) kill()  { p.t.Helper(); p.end(syscall.SIGKILL) }
func (p *process) pause() { p.signal(syscall.SIGSTOP) }
func (p *process) wake()  { p.signal(syscall.SIGCONT) }

// end ends the process with a signal and returns when it has ended.
func (p *process) end(s syscall.Signal) {
	p.t.Helper()
	p.signal(s)
	p.wake()
	select {
	case <-p.exited:
	case <-time.After(stopWait):
		p.t.Errorf("%s still ran %v after %v", p.name, stopWait, s)
		p.cmd.Process.Kill()
		<-p.exited
	}
}

// restart starts the process again, if it has ended, and otherwise continues it.
func (p *process) restart() {
	p.t.Helper()
	if p.running() {
		p.order()
		p.wake()
		return
	}
	p.run()
}

func (p *process) await() {
	p.t.Helper()
	eventually(p.t, startWait, p.name+" is ready", func() bool {
		if !p.running() {
			p.t.Fatalf("%s has ended; its log ends with:\n%s", p.name, p.tail())
		}
		_, err := fetch(p.ready)
		return err == nil
	})
}

func (p *process) tail() string {
	log, _ := os.ReadFile(p.log)
	return string(log[max(0, len(log)-4000):])
}

// says reports whether the log has a text.
func (p *process) says(text string) bool {
	log, _ := os.ReadFile(p.log)
	return bytes.Contains(log, []byte(text))
}

// within asks until the answer is yes, and reports whether it was within wait.
func within(wait time.Duration, yes func() bool) bool {
	deadline := time.After(wait)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !yes() {
		select {
		case <-tick.C:
		case <-deadline:
			return false
		}
	}
	return true
}

func eventually(t testing.TB, wait time.Duration, what string, yes func() bool) {
	t.Helper()
	if !within(wait, yes) {
		t.Fatalf("waited %v until %s", wait, what)
	}
}

var pages = &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// fetch returns a page that is answered with 200.
func fetch(url string) ([]byte, error) {
	response, err := pages.Get(url)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", url, response.Status, body)
	}
	return body, err
}
