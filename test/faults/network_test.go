//go:build linux

package faults

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// The networks are each a bridge with the tests at its first address: the back one between NATS, writers and
// readers, the front one between readers and clients. Every process has a namespace of its own. The island is for some of them, at times.
var networks = map[string]string{"back": "10.77.0.", "front": "10.78.0.", "island": "10.79.0."}

func makeNetworks() error {
	if err := ip("link", "set", "lo", "up"); err != nil {
		return err
	}
	for name, prefix := range networks {
		for _, args := range [][]string{
			{"link", "add", name, "type", "bridge", "forward_delay", "0"},
			{"addr", "add", prefix + "1/24", "dev", name},
			{"link", "set", name, "up"},
		} {
			if err := ip(args...); err != nil {
				return err
			}
		}
	}
	return nil
}

func ip(args ...string) error {
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// host is the namespace of one process, with an address in each network that it is on.
type host struct {
	t      testing.TB
	name   string
	number int
}

// newHost makes a host, which is gone when the test ends.
func newHost(t testing.TB, name string, number int, on ...string) *host {
	t.Helper()
	h := &host{t, name, number}
	h.must("netns", "add", name)
	t.Cleanup(func() { h.must("netns", "del", name) })
	h.must("-n", name, "link", "set", "lo", "up")
	for _, network := range on {
		t.Cleanup(func() { h.must("link", "del", h.port(network)) })
		h.must("link", "add", h.port(network), "type", "veth", "peer", "name", network, "netns", name)
		h.must("link", "set", h.port(network), "master", network, "up")
		h.must("-n", name, "addr", "add", h.addr(network)+"/24", "dev", network)
		h.must("-n", name, "link", "set", network, "up")
	}
	return h
}

func (h *host) must(args ...string) {
	h.t.Helper()
	if err := ip(args...); err != nil {
		h.t.Fatal(err)
	}
}

// port is the name of the bridge's end of the host's cable.
func (h *host) port(network string) string { return h.name + "-" + network }

func (h *host) addr(network string) string { return fmt.Sprint(networks[network], h.number) }

// cut pulls the cable to a network: packets are lost, in both directions. join plugs it in again.
func (h *host) cut(network string) { h.t.Helper(); h.must("link", "set", h.port(network), "down") }

func (h *host) join(network string) { h.t.Helper(); h.must("link", "set", h.port(network), "up") }

// move plugs the cable to a network in elsewhere.
func (h *host) move(network, to string) {
	h.t.Helper()
	h.must("link", "set", h.port(network), "master", to)
}
