//go:build faults

package fault

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// order is one line of the file.
type order struct {
	left   atomic.Int64 // passings until it is carried out
	signal syscall.Signal
}

// orders are those of the file as it was last read.
type orders struct {
	points map[string]*order
	off    map[string]bool
}

var current = func() *atomic.Pointer[orders] {
	p := new(atomic.Pointer[orders])
	p.Store(read())
	again := make(chan os.Signal, 1)
	signal.Notify(again, syscall.SIGUSR1)
	go func() {
		for range again {
			p.Store(read())
		}
	}()
	return p
}()

// read reads the file. Orders that cannot be understood end the process: a test that injects nothing would prove nothing.
func read() *orders {
	o := &orders{points: map[string]*order{}, off: map[string]bool{}}
	file := os.Getenv("MILLPOND_FAULTS")
	if file == "" {
		return o
	}
	text, err := os.ReadFile(file)
	if err != nil {
		panic(err)
	}
	for _, line := range strings.Fields(string(text)) {
		what, action, _ := strings.Cut(line, "=")
		point, count, _ := strings.Cut(what, ":")
		n, err := strconv.Atoi(count)
		switch {
		case action == "off":
			o.off[what] = true
			continue
		case err != nil || action != "kill" && action != "stop":
			panic("MILLPOND_FAULTS: cannot read " + line)
		}
		made := &order{signal: syscall.SIGKILL}
		if action == "stop" {
			made.signal = syscall.SIGSTOP
		}
		made.left.Store(int64(n))
		o.points[point] = made
	}
	return o
}

// Point is passed by whoever is at the place of that name.
func Point(name string) {
	o := current.Load().points[name]
	if o == nil || o.left.Add(-1) != 0 {
		return
	}
	fmt.Fprintf(os.Stderr, "fault: %v at %s\n", o.signal, name)
	syscall.Kill(os.Getpid(), o.signal)
}

// Off reports whether a guard is out.
func Off(guard string) bool { return current.Load().off[guard] }

// Dialer returns what connects to NATS instead of the usual: its connections pass a point when they have sent a record.
func Dialer(timeout time.Duration) ConnDialer { return &dialer{net.Dialer{Timeout: timeout}} }

type dialer struct{ net.Dialer }

func (d *dialer) Dial(network, address string) (net.Conn, error) {
	c, err := d.Dialer.Dial(network, address)
	if err != nil {
		return nil, err
	}
	return &conn{c}, nil
}

type conn struct{ net.Conn }

func (c *conn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if err == nil && bytes.Contains(b, []byte(".log.commits ")) { // the space ends the subject of a message
		Point("append.sent")
	}
	if err == nil && bytes.Contains(b, []byte(".log.epoch ")) {
		Point("epoch.sent")
	}
	return n, err
}
