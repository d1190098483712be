package near

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// startServers starts a cluster of two servers.
func startServers(t *testing.T) (servers [2]*server.Server) {
	t.Helper()
	var routes []*url.URL
	for i := range servers {
		s, err := server.NewServer(&server.Options{
			ServerName: fmt.Sprint("n", i), Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true, Routes: routes,
			Username: "me", Password: "secret",
			Cluster: server.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: server.RANDOM_PORT},
		})
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
		if !s.ReadyForConnections(10 * time.Second) {
			t.Fatal("a NATS server did not start")
		}
		routes = append(routes, &url.URL{Scheme: "nats", Host: s.ClusterAddr().String()})
		servers[i] = s
	}
	return servers
}

func urlOf(s *server.Server) string { return "nats://me:secret@" + s.Addr().String() }

func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

// The connection to a server is one to it, as soon as there is one and for as long as there is.
func TestTo(t *testing.T) {
	servers := startServers(t)
	main, err := nats.Connect(urlOf(servers[0])+","+urlOf(servers[1]), nats.DontRandomize())
	if err != nil {
		t.Fatal(err)
	}
	defer main.Close()
	p := NewPool(main)
	defer p.Close()
	for _, server := range []string{"n0", "", "nowhere"} {
		if p.To(server) != main {
			t.Errorf("the connection to %q is not the main one", server)
		}
	}
	await(t, "a connection to n1", func() bool { return p.To("n1").ConnectedServerName() == "n1" })
	if main.ConnectedServerName() != "n0" {
		t.Error("the main connection has moved")
	}
	if n := servers[1].NumClients(); n != 1 {
		t.Errorf("there are %d connections to n1, want 1", n)
	}
	servers[1].Shutdown()
	await(t, "the main connection is used after the loss of the other", func() bool { return p.To("n1") == main })
}

// After Close nothing is connected any more, whatever is asked for.
func TestClose(t *testing.T) {
	servers := startServers(t)
	main, err := nats.Connect(urlOf(servers[0]) + "," + urlOf(servers[1]))
	if err != nil {
		t.Fatal(err)
	}
	defer main.Close()
	p := NewPool(main)
	p.To("n0")
	p.To("n1")
	p.Close()
	if p.To("n0") != main || p.To("n1") != main {
		t.Error("there is a second connection after Close")
	}
	await(t, "one client in all", func() bool { return servers[0].NumClients()+servers[1].NumClients() == 1 })
}
