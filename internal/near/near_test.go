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

// The best connection is one to the wanted server, as soon as there is one and for as long as there is.
func TestBest(t *testing.T) {
	servers := startServers(t)
	main, err := nats.Connect(urlOf(servers[0])+","+urlOf(servers[1]), nats.DontRandomize())
	if err != nil {
		t.Fatal(err)
	}
	defer main.Close()
	c := New(main)
	defer c.Close()
	c.Want("n0")
	if c.Best() != main {
		t.Error("main is connected to the wanted server, and is not the best")
	}
	c.Want("n1")
	await(t, "a connection to n1", func() bool { return c.Best().ConnectedServerName() == "n1" })
	if main.ConnectedServerName() != "n0" {
		t.Error("the main connection has moved")
	}
	c.Want("nowhere")
	if c.Best() != main {
		t.Error("a connection to a server that is not wanted any more is used")
	}
	c.Want("n1")
	await(t, "a connection to n1 again", func() bool { return c.Best().ConnectedServerName() == "n1" })
	servers[1].Shutdown()
	await(t, "the main connection is used after the loss of the other", func() bool { return c.Best() == main })
}

// After Close nothing is connected any more, whatever is wanted.
func TestClose(t *testing.T) {
	servers := startServers(t)
	main, err := nats.Connect(urlOf(servers[0]) + "," + urlOf(servers[1]))
	if err != nil {
		t.Fatal(err)
	}
	defer main.Close()
	c := New(main)
	c.Want("n0")
	c.Want("n1")
	c.Close()
	c.Want("n0")
	c.Want("n1")
	if c.Best() != main {
		t.Error("there is a second connection after Close")
	}
	await(t, "one client in all", func() bool { return servers[0].NumClients()+servers[1].NumClients() == 1 })
}
